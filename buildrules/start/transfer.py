"""A file from its source to its place: resumed, retried, checked, renamed.

What has arrived is kept in a partial file under a lock, so that a restart goes on where it stopped and two processes
that want one file fetch it once. A large file comes in parts, several at once, where its server gives parts.
"""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from .address import redacted
from .failure import MISSING, UNREACHABLE, WRONG, Failure
from .header import content_length, content_range
from .partial import CHUNK, Arrived, Partial, check, disk_failure, is_right, put
from .parts import LARGE, PART, READ, Locate, Parts, Request
from .retry import pause
from .web import broken, failure_of

PATIENCE = "see that the address is right and can be reached from here"
TRIES = 5  # in a row without a mebibyte of progress among them

Moved = Callable[[int, int], None]
"""Called with the bytes by which what is there grew, or shrank where a transfer starts over, and the bytes received."""


def copy_to(read: Callable[[], bytes], path: str, size: int, sha256: str, *, stop: threading.Event) -> bool:
    """Bring what `read` gives to `path`, whole or not at all; False where it is other content than it must be.

    Two processes that do so at once do it one after the other. Raises OSError, and Failure where it is told to stop.
    """
    folder = os.path.dirname(path)
    partial = os.path.join(folder, f".{sha256}.part")
    os.makedirs(folder, exist_ok=True)
    try:
        with Partial(partial, keep=False, stop=stop, arrived=lambda: is_right(path, size, sha256, stop)) as file:
            while data := read():
                check(stop)
                file.write(data)
            if file.sha256 != sha256:
                file.remove()
                return False
            file.finish()
            put(partial, path)
    except Arrived:
        pass
    return True


class Transfer:
    """A file of `size` bytes with the digest `sha256` (hex); whatever comes where they are None.

    Where both are known, `streams` requests at once bring a large one.
    """

    def __init__(
        self,
        request: Request,
        locate: Locate,
        size: int | None = None,
        sha256: str | None = None,
        *,
        moved: Moved = lambda *_: None,
        stop: threading.Event | None = None,
        tries: int = TRIES,
        streams: int = 1,
    ) -> None:
        self._request = request
        self._locate = locate
        self._size = size
        self._expected = sha256
        self._moved = moved
        self._stop = stop or threading.Event()
        self._tries = tries
        self._streams = streams if size and sha256 else 1
        self._tag: str | None = None  # of what has arrived, where the digest is not known
        self._whole = size  # bytes there must be in the end, as far as anybody has said
        self._file: Partial

    def fetch(self, partial: str, arrived: Callable[[], bool] | None = None) -> tuple[int, str]:
        """Bring it to the path `partial`, and give its size and digest. The caller renames.

        What is there of an earlier transfer is used where the digest is known. Raises Failure; then what has arrived
        stays, unless it is wrong or the disk is full. Raises Arrived where somebody else who was waited for has brought
        and renamed it, as `arrived` says.
        """
        try:
            with Partial(partial, keep=self._expected is not None, stop=self._stop, arrived=arrived) as self._file:
                self._moved(self._file.size, 0)
                found = self._run()
                self._file.finish()
                return found
        except OSError as error:
            raise disk_failure(error, os.path.dirname(partial)) from None

    def to(self, path: str) -> None:
        """Bring it to `path`, whole or not at all; size and digest are known. Raises Failure."""
        folder, size, sha256 = os.path.dirname(path), self._size or 0, self._expected or ""
        partial = os.path.join(folder, f".{sha256}.part")
        try:
            os.makedirs(folder, exist_ok=True)
            self.fetch(partial, lambda: is_right(path, size, sha256, self._stop))
            put(partial, path)
        except Arrived:
            return
        except OSError as error:
            if is_right(path, size, sha256):  # somebody else put it there meanwhile
                return
            raise disk_failure(error, folder) from None

    def _run(self) -> tuple[int, str]:
        failures, reached, tries = 0, self._file.size, 0
        while True:
            tries += 1
            check(self._file.stop)
            try:
                self._receive()
                return self._file.size, self._file.sha256
            except Failure as failure:
                if not failure.retry:
                    raise
                failures += 1
                self._streams = max(1, self._streams // 2)  # the server may not want so many
                if self._file.size >= reached + CHUNK:
                    failures, reached = 1, self._file.size
                if failures >= self._tries:
                    hint = PATIENCE if failure.reason in (UNREACHABLE, MISSING) else None
                    text = f"{failure.text} (after {tries} tries)"
                    raise Failure(failure.reason, text, hint=failure.hint or hint) from None
                if self._file.stop.wait(pause(failures) if failure.wait is None else failure.wait):
                    check(self._file.stop)

    def _receive(self) -> None:
        """One try: ask for what is missing, append it, check the whole."""
        file, size = self._file, self._size
        if size is not None and file.size > size:
            self._restart()
        resumed = file.size
        url = ""
        if not resumed or resumed != size:
            url, headers = self._locate()
            in_parts = self._streams > 1 and size is not None and size > LARGE and size - resumed > PART
            last = resumed + PART - 1 if in_parts else ""
            extra = {"Range": f"bytes={resumed}-{last}"} if resumed or in_parts else {}
            if resumed and self._expected is None:
                extra["If-Range"] = self._tag or ""
            answer = self._request(url, headers, extra)
            try:
                self._judge(answer, url, part=bool(extra))
                if in_parts and answer.status == 206 and content_length(answer.headers) == PART:
                    self._append_parts(answer, url)
                else:
                    self._append(answer, url)
            finally:
                answer.close()
        if self._expected is None:
            self._check_size(url)
            return
        if file.sha256 == self._expected and size in (None, file.size):
            return
        found = f"sha256:{file.sha256}, {file.size} bytes"
        self._restart()
        if resumed:  # what was left of an earlier transfer may be to blame
            raise Failure(WRONG, f"{redacted(url)} sent other content: {found}", retry=True)
        raise self._wrong(url, found)

    def _check_size(self, url: str) -> None:
        """Raise Failure where the file, whose digest nobody knows, is not as long as somebody has said it is."""
        file, whole = self._file, self._whole
        if whole is None or file.size == whole:
            return
        if file.size > whole:
            self._restart()
            raise self._wrong(url, f"more than {whole} bytes")
        failure = Failure(UNREACHABLE, f"{redacted(url)} ends at byte {file.size} of {whole}", retry=True)
        if self._tag is None:  # nothing says that the rest would be of the same file
            self._restart()
        raise failure

    def _wrong(self, url: str, found: str) -> Failure:
        if self._expected is None:
            due = "" if self._size is None else f", not {self._size}"
            hint = "see that nothing writes to it, and try again"
            return Failure(WRONG, f"{redacted(url)} contradicts what its server says of it: {found}{due}", hint=hint)
        due = f"sha256:{self._expected}" + ("" if self._size is None else f", {self._size} bytes")
        return Failure(
            WRONG,
            f"{redacted(url)} has other content than it must: {found}, expected {due}",
            hint="the file was changed after it was locked: put it back, or lock and build again",
        )

    def _judge(self, answer: Any, url: str, *, part: bool) -> None:
        """Go on, or raise Failure; puts the partial file where the answer starts. `part` says if one was asked for."""
        tag = answer.headers.get("ETag") or ""
        if answer.status == 200:
            self._restart()
            length = content_length(answer.headers)
            if self._size is not None and length is not None and length != self._size:
                raise self._wrong(url, f"{length} bytes")
            self._whole = self._size if self._size is not None else length
        elif answer.status == 206:
            problem = self._mismatch(answer.headers, tag) if part else "another range than was asked for"
            if problem:
                self._restart()
                raise Failure(UNREACHABLE, f"{redacted(url)} answered with {problem}", retry=True)
        elif answer.status == 416:
            self._restart()
            raise Failure(UNREACHABLE, f"{redacted(url)} answered 416", retry=True)
        else:
            raise failure_of(answer, url)
        self._tag = tag if tag.startswith('"') else None

    def _mismatch(self, headers: Mapping[str, str], tag: str) -> str | None:
        """Why a part of the file cannot be put behind what has arrived.

        Where the digest is known it decides in the end. Otherwise the part must say that it is of the same file, by the
        ETag that If-Range asked for and by the bytes of the whole, and it must be known where the whole ends.
        """
        size = self._file.size
        found = content_range(headers)
        if found is None or found[0] != size:
            return "another range than was asked for"
        if self._expected is None:
            whole = self._whole if found[1] is None else found[1]
            if tag != self._tag or whole is None or self._whole not in (None, whole):
                return "a part of another file than it began with"
            self._whole = whole
        return None

    def _append(self, answer: Any, url: str) -> None:
        file, most = self._file, self._whole
        length = content_length(answer.headers)
        end = None if length is None else file.size + length
        try:
            while True:
                try:
                    data = answer.read(READ)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    raise broken(error, url) from None
                if not data:
                    break
                check(file.stop)
                file.write(data)
                self._moved(len(data), len(data))
                if most is not None and file.size > most:
                    return
            if end is not None and file.size < end:
                raise Failure(UNREACHABLE, f"{redacted(url)} broke off at byte {file.size} of {end}", retry=True)
        except Failure:
            if self._expected is None and self._tag is None:  # nothing says that the rest would be of the same file
                self._restart()
            raise

    def _append_parts(self, first: Any, url: str) -> None:
        """The part that `first` answers, and all behind it, which are asked for meanwhile."""
        file = self._file
        parts = Parts(self._request, self._locate, file.size + PART, self._size or 0, self._streams - 1, file.stop)
        try:
            self._append(first, url)
            for data in parts:
                file.write(data)
                self._moved(len(data), len(data))
        finally:
            parts.close()

    def _restart(self) -> None:
        self._tag, self._whole = None, self._size
        if self._file.size:
            self._moved(-self._file.size, 0)
            self._file.restart()
