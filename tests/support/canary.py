"""A secret that must not be found, in any form, wherever a build has written."""

import base64
import contextlib
import gzip
import html
import io
import json
import lzma
import os
import shlex
import string
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import SystemRandom
from urllib.parse import quote

ODD = "".join(letter for letter in string.printable if letter >= " " and not letter.isalnum()) + "ü"
"""Every printable character that may be written in another way."""


class Canary:
    """One secret and the forms it may take. With `plain`, it has only what every place takes."""

    def __init__(self, *, plain: bool = False) -> None:
        self.text = f"canary-{os.urandom(12).hex()}" + ("" if plain else "".join(SystemRandom().sample(ODD, len(ODD))))
        data = self.text.encode()
        quoted = json.dumps(self.text)[1:-1]
        forms = {
            data,
            quote(self.text, safe="").encode(),
            quote(quoted, safe="").encode(),
            quoted.encode(),
            json.dumps(quoted)[1:-1].encode(),
            json.dumps(self.text, ensure_ascii=False)[1:-1].encode(),
            html.escape(self.text).encode(),
            shlex.quote(self.text).encode(),
            repr(self.text)[1:-1].encode(),
            self.text.encode("utf-16-le"),
        }
        forms |= {data[31:][start : start + 12] for start in range(len(data) - 31 - 12)}  # odd ones beside each other
        forms |= {self.text.encode("unicode_escape"), data.hex().encode()}
        core = f"canary-{data[7:31].decode()}".encode()
        forms |= {core, core[7:19], core[19:]}  # part of it is as bad
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            for shift in range(3):  # after a user name of any length
                text = encode(b"\0" * shift + core)
                forms.add(text[4 if shift else 0 : len(text) - 4])
        self.forms = sorted(forms, key=len)

    def inside(self, data: bytes) -> bool:
        """Whether some form of it is in `data`, or in what that is packed of."""
        return any(any(form in layer for form in self.forms) for layer in _unpacked(data, 4))

    def found(self, *places: Path) -> list[str]:
        """The files below these that hold it, in name or content."""
        hits = []
        for place in places:
            for path in [place, *sorted(place.rglob("*"))]:
                if path.is_symlink():
                    content = os.fsencode(os.readlink(path))
                else:
                    content = path.read_bytes() if path.is_file() else b""
                if self.inside(os.fsencode(path.name)) or self.inside(content):
                    hits.append(str(path))
        return hits


def _unpacked(data: bytes, depth: int) -> Iterator[bytes]:
    yield data
    if not depth:
        return
    if zipfile.is_zipfile(io.BytesIO(data)):
        with contextlib.suppress(zipfile.BadZipFile, RuntimeError), zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from _unpacked(archive.read(name), depth - 1)
    if data[257:262] == b"ustar":
        with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                if file:
                    yield from _unpacked(file.read(), depth - 1)
    for magic, unpack in ((b"\x1f\x8b", _gunzip), (b"\xfd7zXZ", lzma.decompress), (b"x", zlib.decompress)):
        if data.startswith(magic):
            with contextlib.suppress(OSError, EOFError, zlib.error, lzma.LZMAError):
                yield from _unpacked(unpack(data), depth - 1)


def _gunzip(data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        return file.read()


class CommandLines:
    """Every command line seen in /proc while it watches, of what was started since."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._others: set[str] = set()  # to read them all again and again would take half a processor
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "CommandLines":
        self._others.update(os.listdir("/proc"))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.004):
            for name in os.listdir("/proc"):
                if name.isdecimal() and name not in self._others:
                    with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                        self.seen.add(file.read())

    def text(self, words: Iterable[bytes] = ()) -> bytes:
        """All of them, one a line."""
        return b"\n".join(sorted({*self.seen, *words}))
