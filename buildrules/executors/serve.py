"""A worker that is handed task after task: JSON on lines of standard input, an answer to each on standard output.

    {"task": text} or {"digest": "sha256:<hex>", "size": bytes}    a task, or where the cache has it

    {"answer": text}                 sealed, as `executors.answer` has it; what was made is in the cache
    {"lost": text}                   the cache lacks content that the task needs
    {"failed": text, "log": text}    nothing came of it: no cache that answers, a process that died; its last lines

Each task is done by a process of its own, forked from one that has the modules: what kills a step costs that step.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from buildrules.engine.kind import Kinds
from buildrules.errors import BuildrulesError, StoreError
from buildrules.executors.engine import EngineError, LostInputError
from buildrules.executors.task import Task
from buildrules.executors.worker import check, of_machine, placeless, sealed, work
from buildrules.net.session import Session
from buildrules.oci.descriptor import is_digest, is_size
from buildrules.remote.backend import Blob, body_of
from buildrules.remote.envelope import Signer
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend
from buildrules.start.secret import hide
from buildrules.state.location import store_root
from buildrules.store.blobs import Blobs
from buildrules.store.collect import blob_files, collect
from buildrules.store.store import Store
from buildrules.typed import Any

_SIDE_BY_SIDE = 8  # blobs that are fetched at a time
_AGES = (7 * 86400.0, 86400.0, 3600.0, 600.0)  # seconds: what is older goes, until there is room
_MEASURED = 50  # tasks, after which the store is measured again
_GRACE = 5.0  # seconds that a step has to end what it has started
_LAST = 2000  # bytes that are told of what a process wrote before it died


class Server:
    """Does tasks with the content of `caches`, addresses of the shared cache, the nearest first."""

    def __init__(
        self, caches: Sequence[str], connection: str | None, session: Session, kinds: Kinds, signer: Signer | None
    ) -> None:
        """Nobody is asked yet. Raises UsageError, CredentialsError."""
        self._session = session
        self._kinds = kinds
        self._signer = signer
        self._said: list[str] = []
        self._places = [Guarded(open_backend(url, session, connection), self._said.append) for url in caches]
        self._waiting = b""

    def serve(self, requests: int, answers: int, room: int) -> None:
        """Answer what the descriptor `requests` gives, until it ends: then a task that is being done ends as well.

        Now and then what the store has above `room` bytes goes, oldest first.
        """
        done = 0
        while True:
            while b"\n" not in self._waiting:
                if not (more := os.read(requests, 1 << 16)):
                    return
                self._waiting += more
            line, _, self._waiting = self._waiting.partition(b"\n")
            answer = self._forked(line, requests)
            if answer is None:
                return
            _write(answers, answer)
            if done % _MEASURED == 0:
                shrink(room)
            done += 1

    def _forked(self, line: bytes, requests: int) -> bytes | None:
        """The answer to a request, from a process of its own; None where nobody wants it any more."""
        with contextlib.suppress(Exception):  # whatever is wrong with it is told there
            self._kinds.named(json.loads(json.loads(line)["task"])["step"]["kind"])  # imports it, once
        into, out = os.pipe()
        with tempfile.TemporaryFile() as log:
            child = os.fork()
            if not child:
                self._in_child(line, out, log)
            os.close(out)
            with contextlib.suppress(OSError):  # it has done so itself
                os.setpgid(child, child)
            try:
                answer = self._awaited(into, requests)
                if answer is None:
                    _end(child)
                    return None
            finally:
                os.close(into)
            _, status = os.waitpid(child, 0)
            with contextlib.suppress(OSError):
                os.killpg(child, signal.SIGKILL)  # what it has left behind
            if answer.endswith(b"\n"):
                return answer
            log.seek(max(0, log.seek(0, 2) - _LAST))
            code = os.waitstatus_to_exitcode(status)
            died = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            told = {"failed": f"the process of the step {died}", "log": hide(log.read().decode(errors="replace"))}
            return json.dumps(told).encode() + b"\n"

    def _awaited(self, into: int, requests: int) -> bytes | None:
        """What the process of a task writes; None where the requests end before that."""
        found = b""
        watched = [into, requests]
        while not found.endswith(b"\n"):
            ready, _, _ = select.select(watched, [], [])
            if requests in ready:
                if not (more := os.read(requests, 1 << 16)):
                    return None
                self._waiting += more
            if into in ready:
                if not (more := os.read(into, 1 << 16)):
                    break
                found += more
        return found

    def _in_child(self, line: bytes, out: int, log: IO[bytes]) -> None:
        code = 1
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            null = os.open(os.devnull, os.O_RDONLY)
            for target, descriptor in enumerate((null, log.fileno(), log.fileno())):
                os.dup2(descriptor, target)
            _write(out, json.dumps(self._answer(line)).encode() + b"\n")
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may get into the code of the parent
            traceback.print_exc()
        finally:
            os._exit(code)

    def _answer(self, line: bytes) -> dict[str, Any]:
        """The answer to a request. Raises nothing that a step may raise."""
        room = ""
        try:
            data = self._task(line)
            try:
                return {"answer": self._done(data).decode()}
            except Exception as error:
                broken = of_machine(error)
                if broken is None or not broken.full:
                    raise
            room = "the store of the worker was full: what it held for other steps is gone"
            shrink(0, (0.0,))
            return {"answer": self._done(data, [room]).decode()}
        except LostInputError as error:
            return {"lost": hide(error.message)}
        except Exception as error:  # noqa: BLE001 - whatever a task makes of it, the next one is done
            wrong = of_machine(error) or error
            said = f"this worker cannot do it: {type(error).__name__}: {error}"
            if isinstance(wrong, BuildrulesError):
                said = wrong.message + (f" (at the worker: {wrong.hint})" if wrong.hint else "")
            return {"failed": placeless(hide(said + (room and f"; {room}")), "", store_root()), "log": ""}

    def _task(self, line: bytes) -> bytes:
        """The bytes of the task. Raises EngineError, LostInputError."""
        try:
            request = dict(json.loads(line))
        except (ValueError, TypeError, RecursionError):
            request = {}
        if isinstance(request.get("task"), str):
            return str(request["task"]).encode()
        blob = Blob(request.get("digest", ""), request.get("size", 0))
        if not is_digest(blob.digest) or not is_size(blob.size):
            raise EngineError("what came is no request for a worker")
        for place in self._places:
            with contextlib.suppress(FileNotFoundError):
                return b"".join(place.read(blob))
        raise self._lacking(blob.digest)

    def _done(self, data: bytes, warnings: Sequence[str] = ()) -> bytes:
        """The sealed answer to a task, with `warnings`; what was made is in the cache. Raises BuildrulesError,
        LostInputError among them."""
        if not self._places:
            raise EngineError("this worker knows no shared cache: set BUILDRULES_CACHE to its address where it starts")
        task = Task.read(data)
        check(task, self._kinds)
        store = Store()
        with store.locked():
            folder = store.blobs.tmp_path()
            try:
                self._laid_out(task, store.blobs, folder)
                body = work(task, folder, store, self._session, self._kinds)
                body["warnings"] += warnings
                answer, long = sealed(data, task, body, self._signer)
                made = {digest: size for digest, size in body["blobs"].items() if digest not in task.blobs}
                if long:
                    made[store.blobs.put(long)] = len(long)
                self._keep([Blob(*item) for item in made.items()], store.blobs)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return answer

    def _laid_out(self, task: Task, blobs: Blobs, folder: str) -> None:
        """Have the blobs of a task in the store and its files in a folder. Raises LostInputError, EngineError."""
        files = task.files
        left = [blob for blob in {*files.values(), *task.content} if not blobs.has(*blob)]

        def bring(blob: Blob) -> None:
            if not any(place.bring(blob, blobs) for place in self._places):
                raise self._lacking(blob.digest)

        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            list(pool.map(bring, left))
        os.makedirs(folder)
        for path, blob in files.items():
            target = os.path.join(folder, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(blobs.path(blob.digest), target)

    def _keep(self, made: Sequence[Blob], blobs: Blobs) -> None:
        """Send content to the nearest cache that takes it. Raises EngineError."""
        for place in self._places:
            there = place.holds(made) if made else set()
            if all(blob.digest in there or place.write(blob, body_of(blobs.open, blob.digest)) for blob in made):
                return
            place.tell()
        raise EngineError(
            f"what was made cannot be sent to {', '.join(place.url for place in self._places)}: {self._why()}"
        )

    def _lacking(self, digest: str) -> EngineError:
        for place in self._places:
            place.tell()
        if self._said:
            return EngineError(f"this worker cannot fetch what the task needs: {self._why()}")
        return LostInputError(f"{', '.join(place.url for place in self._places)} has no {digest}")

    def _why(self) -> str:
        return "; ".join(self._said) or "it takes nothing of this worker"


def shrink(room: int, ages: Sequence[float] = _AGES) -> None:
    """Make the store hold no more than `room` bytes of content, if that can be done without what was used just now.

    While others use the store it may become twice as large.
    """
    for age in ages:
        store = Store()
        try:
            size = sum(entry.stat(follow_symlinks=False).st_size for _, entry in blob_files(store))
            if size <= room:
                break
            collect(store, keep_seconds=age, wait=size > 2 * room)
        except (StoreError, OSError):  # in use, or a file went meanwhile: later
            break
        finally:
            store.close()


def _end(child: int) -> None:
    """End a process and what it has started."""
    for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
        with contextlib.suppress(OSError):
            os.killpg(child, number)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if os.waitpid(child, os.WNOHANG)[0]:
                return
            time.sleep(0.02)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
