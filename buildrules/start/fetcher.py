"""Fetches the files of all downloads side by side, and says how far it is."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from .address import is_loopback
from .archive import Content, members
from .failure import NO_SPACE, REFUSED, UNREACHABLE, UNUSABLE, WRONG, Failure
from .partial import CHUNK, disk_failure, is_right
from .parts import streams
from .sources import advice, describe, join, locate
from .transfer import PATIENCE, TRIES, Transfer, copy_to
from .web import Web

EVERY = 5.0  # seconds between two lines about progress
HERE = "in a container this address is the container itself: name one it can reach, or run it with --network host"


class Trouble(Exception):
    """The downloads failed: what to tell, and the way out."""

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint


Job = Callable[[], None]


class Fetcher:
    """All downloads of one start. `say` gets lines for people; `stop` ends everything."""

    def __init__(
        self,
        downloads: list[dict[str, Any]],
        environ: Mapping[str, str],
        stop: threading.Event,
        parallel: int,
        say: Callable[[str], None],
    ) -> None:
        self._downloads = downloads
        self._environ = environ
        self._stop = stop
        self._parallel = parallel
        self._say = say
        self._web = Web()
        self._lock = threading.Lock()
        self._done = 0
        self._fetched = 0
        self._streams = 1
        self._tries = positive(environ, "BUILDRULES_FETCH_TRIES", TRIES)

    def run(self) -> None:
        """Have every file at its place. Raises Trouble."""
        started = time.monotonic()
        missing = self._missing()
        total = sum(file["size"] for _, files in missing for file in files)
        count = sum(len(files) for _, files in missing)
        if not count:
            self._say(f"{self._names(self._downloads)}: already there, digests are right")
            return
        self._say(f"{self._names([item for item, _ in missing])}: fetching {count} files, {_bytes(total)}")
        sent = [row for item, files in missing for row in (*files, *item.get("archives", ())) if not row.get("archive")]
        self._streams = streams([row["size"] for row in sent], self._parallel)
        jobs: list[Job] = []
        for download, files in missing:
            self._check_space(download, files)
            jobs += self._jobs(download, files)
        self._run_all(jobs, lambda: self._say(f"{_bytes(self._done)} of {_bytes(total)}"))
        self._say(f"fetched {count} files, {_bytes(self._fetched)} in {time.monotonic() - started:.1f} s")

    def _missing(self) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Each download that is not complete, with the files it lacks."""
        lacking: dict[int, list[dict[str, Any]]] = {}
        jobs: list[Job] = []
        for number, download in enumerate(self._downloads):
            for file in download["files"]:
                jobs.append(partial(self._look, download, file, lacking.setdefault(number, [])))
        self._run_all(jobs, lambda: self._say("checking the files that are there"))
        return [(self._downloads[number], files) for number, files in lacking.items() if files]

    def _look(self, download: dict[str, Any], file: dict[str, Any], lacking: list[dict[str, Any]]) -> None:
        with self._naming(download, file):
            if not self._there(download, file):
                lacking.append(file)

    def _there(self, download: dict[str, Any], file: dict[str, Any]) -> bool:
        return is_right(join(download["directory"], file["path"]), file["size"], file["sha256"], self._stop)

    def _jobs(self, download: dict[str, Any], files: list[dict[str, Any]]) -> list[Job]:
        plain = [file for file in files if not file.get("archive")]
        jobs: list[Job] = [
            partial(self._file, download, file) for file in sorted(plain, key=lambda file: -int(file["size"]))
        ]
        for archive in download.get("archives", ()):
            inside = [file for file in files if file.get("archive") == archive["sha256"]]
            if inside:
                jobs.insert(0, partial(self._archive, download, archive, inside))
        return jobs

    def _file(self, download: dict[str, Any], file: dict[str, Any]) -> None:
        with self._naming(download, file):
            self._get(download, file, join(download["directory"], file["path"]))

    def _archive(self, download: dict[str, Any], archive: dict[str, Any], files: list[dict[str, Any]]) -> None:
        with self._naming(download, archive):
            try:
                self._members(download, archive, files)
            except (Failure, OSError):
                if not all(self._there(download, file) for file in files):  # else another start was faster
                    raise

    def _members(self, download: dict[str, Any], archive: dict[str, Any], files: list[dict[str, Any]]) -> None:
        path = join(download["directory"], f".{archive['sha256']}.archive")
        if not is_right(path, archive["size"], archive["sha256"], self._stop):
            self._get(download, archive, path)
        wanted = {file["key"]: file for file in files}
        for name, _, content in members(path, archive["path"], wanted.__contains__):
            with self._naming(download, wanted[name]):
                self._unpack(wanted[name], content, join(download["directory"], wanted[name]["path"]))
        for file in files:
            if not os.path.exists(join(download["directory"], file["path"])):
                raise Failure(WRONG, f"there is no {file['key']!r} in {archive['path']!r}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def _get(self, download: dict[str, Any], file: dict[str, Any], path: str) -> None:
        source = download["source"]
        Transfer(
            lambda url, headers, extra: self._web.request(url, headers, extra, within=source.get("within")),
            lambda: locate(source, file, self._environ, self._web),
            file["size"],
            file["sha256"],
            moved=self._moved,
            stop=self._stop,
            tries=self._tries,
            streams=self._streams,
        ).to(path)

    def _unpack(self, file: dict[str, Any], content: Content, path: str) -> None:
        left = file["size"]

        def read() -> bytes:
            nonlocal left
            data = content.read(CHUNK) if left >= 0 else b""
            left -= len(data)
            return data

        if not copy_to(read, path, file["size"], file["sha256"], stop=self._stop):
            raise Failure(WRONG, "it has other content in its archive than it must")

    def _moved(self, grown: int, received: int) -> None:
        with self._lock:
            self._done += grown
            self._fetched += received

    def _check_space(self, download: dict[str, Any], files: list[dict[str, Any]]) -> None:
        needed = sum(file["size"] for file in files)
        needed += sum(
            archive["size"]
            for archive in download.get("archives", ())
            if any(file.get("archive") == archive["sha256"] for file in files)
        )
        place = download["directory"]
        while not os.path.isdir(place) and place != os.path.dirname(place):
            place = os.path.dirname(place)
        for file in files:
            with contextlib.suppress(OSError):
                folder = os.path.dirname(os.path.join(download["directory"], file["path"]))
                needed -= os.stat(os.path.join(folder, f".{file['sha256']}.part")).st_size
        try:
            found = os.statvfs(place)
        except OSError:
            return
        free = found.f_bavail * found.f_frsize
        if free < needed:
            with self._naming(download, None):
                raise Failure(
                    NO_SPACE,
                    f"{download['directory']!r} has {_bytes(free)} of space, {_bytes(needed)} are needed",
                    hint="give it more space, or mount a larger volume there",
                )

    def _run_all(self, jobs: list[Job], tell: Callable[[], None]) -> None:
        """Run the jobs on threads. Raises the first trouble; the threads are left to end by themselves."""
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)

        def worker() -> None:
            while not self._stop.is_set():
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    job()
                    ended.put(None)
                except BaseException as error:  # noqa: BLE001 - raised again in the main thread
                    ended.put(error)

        for _ in range(min(self._parallel, len(jobs))):
            threading.Thread(target=worker, daemon=True).start()
        told = time.monotonic()
        left = len(jobs)
        while left:
            try:
                error = ended.get(timeout=0.2)
            except queue.Empty:
                error = None
            else:
                left -= 1
            if self._stop.is_set():
                raise Trouble("stopped")
            if error is not None:
                self._stop.set()
                raise error if isinstance(error, Trouble) else Trouble(f"{type(error).__name__}: {error}")
            if time.monotonic() - told >= EVERY:
                told = time.monotonic()
                tell()

    @contextlib.contextmanager
    def _naming(self, download: dict[str, Any], file: dict[str, Any] | None) -> Any:
        """Turn failures into Trouble that names model, source and file."""
        what = f"{download.get('kind', 'model')} {download['name']!r}"
        try:
            yield
        except Trouble:
            raise
        except (Failure, OSError) as error:
            failure = error if isinstance(error, Failure) else disk_failure(error, download["directory"])
            hint = failure.hint
            if failure.reason == REFUSED:
                hint = advice(download["source"], self._environ, hint)
            if failure.reason == UNUSABLE:
                hint = hint or "build the image again"
            if failure.reason == UNREACHABLE and is_loopback(urlsplit(describe(download["source"])).hostname or ""):
                hint = HERE if hint in (None, PATIENCE) else hint
            name = f", file {file['path']!r}" if file else ""
            text = f"{what}{name}, from {describe(download['source'])}: {failure.text}"
            raise Trouble(text, hint or PATIENCE) from None

    @staticmethod
    def _names(downloads: list[dict[str, Any]]) -> str:
        return ", ".join(f"{item.get('kind', 'model')} {item['name']!r}" for item in downloads)


def _bytes(count: int) -> str:
    """1536 as "1.5 KiB"."""
    value, unit = float(max(count, 0)), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def positive(environ: Mapping[str, str], name: str, default: int) -> int:
    """What a variable says, where it is a number above 0."""
    value = environ.get(name, "")
    return int(value) if value.isdecimal() and int(value) else default
