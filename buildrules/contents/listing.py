"""What a layer holds: its files with what tells their contents, and the packages and models among them.

Formats: OCI image specification 1.1, layer.md; "Recording installed projects" of packaging.python.org (RECORD);
deb-control(5) as in /var/lib/dpkg/status; MLflow's MLmodel.
"""

import csv
import hashlib
import posixpath
import re
import tarfile
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Iterator
from typing import IO, Any, NamedTuple

from buildrules.errors import IntegrityError
from buildrules.oci.assemble import entries as recipe_entries
from buildrules.oci.chunks import chunk_file
from buildrules.oci.content import content_of
from buildrules.oci.descriptor import LAYER_TAR, Layer
from buildrules.oci.local import Local
from buildrules.oci.parts.entry import FILE, HARDLINK, SYMLINK
from buildrules.oci.reader import Reader
from buildrules.oci.recipe import LARGE_FILE
from buildrules.oci.unpacked import MOST_ENTRIES, layer_unpacked, room_of
from buildrules.oci.untar import entries as tar_entries

GONE = "gone"
"""The content of what a layer takes away from those below."""

_CHUNK = 1 << 20
_LARGEST_TEXT = 16 << 20  # bytes of a file that is read as a whole
_INFO = re.compile(r"(?:.*/)?([^/]+)-([^/-]+)\.dist-info/(?:METADATA|RECORD)")
_CONDA = re.compile(r"(?:.*/)?conda-meta/([^/]+)-([^/-]+)-[^/-]+\.json")
_RECORD = re.compile(r"(?:.*/)?[^/]+\.dist-info/RECORD")
_DPKG = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+)")
_MODEL = re.compile(r"(?:.*/)?MLmodel")
_STANZA = re.compile(r"^(Package|Version|Status):[ \t]*(.*?)[ \t]*$", re.MULTILINE)


class Listed(NamedTuple):
    """A file: bytes, permission bits, what tells its content, and the Python distribution whose RECORD names it, or "".

    The content is `sha256:...`, `-> TARGET` of a link, GONE, or `layer sha256:...` of a large file that is a layer by
    itself: the digest is that layer's, uncompressed (see `oci.recipe`).
    """

    size: int
    mode: int
    content: str
    owner: str = ""


class Listing(NamedTuple):
    """The files of a layer by path, no folders among them; versions of Debian packages; texts of MLmodel files."""

    files: dict[str, Listed]
    debian: dict[str, str]
    models: dict[str, str]

    @property
    def python(self) -> dict[str, str]:
        """Versions of Python distributions by normalised name."""
        return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in self._named(_INFO)}

    @property
    def conda(self) -> dict[str, str]:
        """Versions of conda packages."""
        return dict(self._named(_CONDA))

    def _named(self, pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
        for path, file in self.files.items():
            if (found := pattern.fullmatch(path)) and file.content != GONE:
                yield found[1], found[2]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**self._asdict(), "files": {path: list(file) for path, file in self.files.items()}}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Listing":
        """Read what `to_dict` wrote. Raises KeyError, TypeError, ValueError on anything else."""
        return cls({path: Listed(*row) for path, row in data["files"].items()}, data["debian"], data["models"])


def view(listings: Iterable[Listing]) -> dict[str, Listed]:
    """The files of layers over each other, base first; GONE stands for what one of them takes away."""
    seen: dict[str, Listed] = {}
    for listing in listings:
        gone = {path for path, file in listing.files.items() if file.content == GONE}
        if gone:
            seen = {path: file for path, file in seen.items() if gone.isdisjoint(_above(path))}
        seen.update(listing.files)
    return seen


def _above(path: str) -> Iterator[str]:
    """A path, and the folders it is in."""
    while path:
        yield path
        path = posixpath.dirname(path)
    yield ""


class _Files:
    """A listing on its way."""

    def __init__(self) -> None:
        self.files: dict[str, Listed] = {}
        self._records: dict[str, bytes] = {}
        self._debian: dict[str, str] = {}
        self._models: dict[str, str] = {}

    def wanted(self, path: str, size: int) -> bool:
        """Whether the text of a file tells something."""
        return size <= _LARGEST_TEXT and any(one.fullmatch(path) for one in (_RECORD, _DPKG, _MODEL))

    def take(self, path: str, text: bytes) -> None:
        """Take the text of a file that is `wanted`."""
        if _RECORD.fullmatch(path):
            self._records[path] = text
        elif _MODEL.fullmatch(path):
            self._models[path] = text.decode("utf-8", "replace")
        else:
            self._debian.update(_packages(text.decode("utf-8", "replace")))

    def recorded(self) -> dict[str, tuple[str, str]]:
        """By path the content ("" where none is said) and the distribution of each file that a RECORD names."""
        found = {}
        for path, text in self._records.items():
            info, folder = posixpath.dirname(path), posixpath.dirname(posixpath.dirname(path))
            owner = posixpath.basename(info).removesuffix(".dist-info").rpartition("-")[0]
            try:
                for name, digest, *_ in csv.reader(text.decode("utf-8", "replace").splitlines()):
                    place = posixpath.normpath(posixpath.join(folder, name))
                    found[place] = (_hexed(digest), re.sub(r"[-_.]+", "-", owner).lower())
            except (csv.Error, ValueError):
                continue  # what nobody could install from
        return found

    def listing(self) -> Listing:
        """All of it."""
        for path, (_, owner) in self.recorded().items():
            if path in self.files:
                self.files[path] = self.files[path]._replace(owner=owner)
        return Listing(self.files, self._debian, self._models)


def _hexed(digest: str) -> str:
    """A digest of a RECORD, `sha256=` and base64, as `sha256:` and hex; "" for others."""
    algorithm, _, value = digest.partition("=")
    if algorithm != "sha256":
        return ""
    return f"sha256:{urlsafe_b64decode(value + '=' * (-len(value) % 4)).hex()}"


def _packages(text: str) -> Iterator[tuple[str, str]]:
    """Name and version of the packages that are installed, of dpkg's status."""
    for stanza in text.split("\n\n"):
        fields = dict(_STANZA.findall(stanza))
        if "Package" in fields and fields.get("Status", "installed").endswith("installed"):
            yield fields["Package"], fields.get("Version", "")


def from_recipe(layer: Layer, local: Local) -> Listing | None:
    """The listing of a layer whose recipe tells it all, with the wheels that it names in the store; else None.

    Of wheels the directory is read, and what they say of themselves. Raises IntegrityError for one that is damaged.
    """
    parts = layer.recipe["parts"] if layer.recipe else []
    alone = len([part for part in parts if part["kind"] == "file"]) == 1
    if not parts or not all(_told(part, alone) for part in parts):
        return None
    named = {part["path"]: part for part in parts if part["kind"] == "file"}
    found = _Files()
    try:
        with Reader() as reader:
            unnamed = []
            for entry in recipe_entries(layer.recipe or {}, local):
                if entry.path in named:
                    part = named[entry.path]
                    content = f"layer {part['layer']}" if "layer" in part else str(part["digest"])
                elif entry.kind == FILE:
                    content = ""
                    unnamed.append(entry)
                    if found.wanted(entry.path, entry.size):
                        found.take(entry.path, content_of(entry, reader))
                elif entry.kind in (SYMLINK, HARDLINK):
                    content = f"-> {entry.link}"
                else:
                    continue
                found.files[entry.path] = Listed(entry.size, entry.mode, content)
            recorded = found.recorded()
            for entry in unnamed:
                known = recorded.get(entry.path, ("", ""))[0] or _digest([content_of(entry, reader)])
                found.files[entry.path] = found.files[entry.path]._replace(content=known)
    except FileNotFoundError:
        return None
    return found.listing()


def _told(part: dict[str, Any], alone: bool) -> bool:
    """Whether a part says what its files are. Small files have names together: of those only one alone has its own."""
    if part["kind"] == "file":
        return "digest" in part or (alone and part["size"] >= LARGE_FILE)
    return part["kind"] in ("wheel", "inline", "symlink", "directory")


def from_tar(layer: Layer, chunks: Iterable[bytes]) -> Listing:
    """The listing of a layer from its bytes, which are read to their end, but where one large file is all of them.

    Raises IntegrityError for what is no sound layer, or unpacks to out of all proportion, and what `chunks` raise.
    """
    what = f"layer {layer.digest[:19]}"
    raw = chunk_file(chunks)
    stream, damage = layer_unpacked(layer, raw)
    unsound: tuple[type[Exception], ...] = (*damage, OSError)
    found = _Files()
    room = room_of(layer)
    try:
        for member, content in tar_entries(stream):
            room -= member.size
            if room < 0 or len(found.files) >= MOST_ENTRIES:
                raise IntegrityError(f"{what} unpacks to more than can be meant")
            path = posixpath.normpath("/" + member.name).lstrip("/")
            if content is not None and layer.media_type == LAYER_TAR and not found.files and _alone(member, layer):
                found.files[path] = Listed(member.size, member.mode & 0o7777, f"layer {layer.diff_id}")
                return found.listing()
            _take(found, path, member, content)
        while stream.read(_CHUNK):  # so that the digest is of everything
            pass
        for _ in iter(lambda: raw.read(_CHUNK), b""):
            pass
    except unsound as error:
        raise IntegrityError(f"{what} is not a sound tar: {error}") from error
    files = [file for file in found.files.items() if file[1].content != GONE]
    if len(files) == 1 and files[0][1].size >= LARGE_FILE:
        found.files[files[0][0]] = files[0][1]._replace(content=f"layer {layer.diff_id}")
    return found.listing()


def _alone(member: tarfile.TarInfo, layer: Layer) -> bool:
    """Whether a file of an uncompressed layer is large and ends where the layer does."""
    end = member.offset_data + member.size + -member.size % 512
    return member.size >= LARGE_FILE and end + 1024 == layer.size


def _take(found: _Files, path: str, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
    folder, name = posixpath.split(path)
    if name.startswith(".wh."):
        hidden = folder if name == ".wh..wh..opq" else posixpath.join(folder, name.removeprefix(".wh."))
        found.files[hidden] = Listed(0, 0, GONE)
    elif content is not None and found.wanted(path, member.size):
        text = content.read()
        found.take(path, text)
        found.files[path] = Listed(member.size, member.mode & 0o7777, _digest([text]))
    elif content is not None:
        found.files[path] = Listed(member.size, member.mode & 0o7777, _digest(iter(lambda: content.read(_CHUNK), b"")))
    elif not member.isdir():
        found.files[path] = Listed(0, member.mode & 0o7777, f"-> {member.linkname}")


def _digest(chunks: Iterable[bytes]) -> str:
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return f"sha256:{sha256.hexdigest()}"
