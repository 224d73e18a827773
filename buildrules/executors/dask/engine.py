"""Tasks by a scheduler of Dask: dask+tls://HOST[:PORT]. See https://distributed.dask.org/en/stable/client.html.

Content lies in the shared cache of the workspace. A task is submitted under its own key, so that clients that want the
same one get one run; who asked holds the answer until its command ends. Nothing of buildrules is unpickled by the
scheduler: what is called there is `eval`, of an expression that imports what a worker runs (dask/distributed#9283).
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from urllib.parse import urlsplit

from buildrules.credentials.redact import redact
from buildrules.engine.kind import BuildContext
from buildrules.errors import BuildrulesError, Interrupted, UsageError
from buildrules.executors.answer import LARGEST
from buildrules.executors.dask.tls import SilentError, greet, security
from buildrules.executors.depot import Depot
from buildrules.executors.engine import EngineError, LostInputError, Ran
from buildrules.executors.task import Task, task_key
from buildrules.net.session import Session
from buildrules.remote.backend import Blob
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend
from buildrules.sha256 import digest_of
from buildrules.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client, Future

PORT = 8786
_CALL = "__import__('buildrules.executors.dask.work', fromlist=['run']).run(request)"
_PATIENCE = 60.0  # seconds for a scheduler that is started again
_LOOK = 5.0  # seconds between looks at the workers
_RETRIES = 2  # times that what a worker could not do is tried elsewhere
_LOGGERS, _NOTHING = ("distributed", "distributed.client", "tornado", "asyncio"), logging.CRITICAL + 1
_PROBE = b"buildrules\n"


class DaskEngine:
    """See `executors.engine.Engine`."""

    slots = 32
    unfit = ()
    overhead = 0.1

    def __init__(
        self,
        url: str,
        settings: Mapping[str, Any],
        session: Session,
        told: Callable[[str], None],
    ) -> None:
        """Nobody is asked yet."""
        parts = urlsplit(url)
        self.name = redact(url)
        self._address = parts.hostname or "", parts.port or PORT
        self._settings = settings
        self._session = session
        self._told = told
        self._client: Client | None = None
        self._until = 0.0  # when a scheduler that went away has to be back
        self._levels: dict[logging.Logger, int] = {}  # that others have set
        self._held: dict[str, Future[Any]] = {}  # by key: others may want the answer
        self._lock = threading.Lock()
        self.depot = Depot(self._open_place)

    def _open_place(self) -> Guarded:
        """The nearest cache of the workspace that takes content. Raises UsageError, CredentialsError."""
        cache = self._settings["cache"]
        connection, probe = cache.get("connection"), Blob(digest_of(_PROBE), len(_PROBE))
        for url in cache["remote"]:
            place = Guarded(open_backend(url, self._session, connection), self._told)
            if url == cache["remote"][-1] or place.write(probe, lambda: [_PROBE]):
                break
            place.close()
        return place

    def greet(self) -> None:
        """See `Engine.greet`."""
        self._open()

    def run(self, task: Task, context: BuildContext, *, again: bool = False) -> Ran:
        """See `Engine.run`."""
        data = task.data()
        key = f"br-{task_key(data)}"
        if again or key in self._held:  # what Dask knows of it is of no use
            key += f"-{os.urandom(4).hex()}"
        request: dict[str, Any] = {"task": data.decode()}
        if len(data) > LARGEST:
            blob = Blob(digest_of(data), len(data))
            if not self.depot.place.write(blob, lambda: [data]):
                raise EngineError(f"the task {task.step.title!r} cannot be sent to {self.depot.place.url}")
            request = {"digest": blob.digest, "size": blob.size}
        resources = _numbers(task.properties)
        while not context.cancelled:
            try:
                found = self._asked(key, request, resources, context)
            except SilentError:
                if time.monotonic() > self._until:
                    raise
                time.sleep(0.5)
                continue
            if found is not None:
                return found
        raise Interrupted("interrupted")

    def close(self) -> None:
        """See `Engine.close`."""
        self._drop(self._client)
        self.depot.close()
        for logger, level in self._levels.items():
            logger.setLevel(level)

    def _asked(
        self, key: str, request: Mapping[str, Any], resources: Mapping[str, float], context: BuildContext
    ) -> Ran | None:
        """How a request ended; None where the scheduler went away. Raises SilentError, EngineError, Interrupted."""
        client = self._open()
        began = time.monotonic()
        done = threading.Event()
        try:
            future: Future[Any] = client.submit(
                eval, _CALL, {"request": dict(request)}, key=key, pure=False, retries=_RETRIES, resources=resources
            )
            future.add_done_callback(lambda _: done.set())
            with context.at_cancel(done.set):
                while not done.wait(_LOOK):
                    self._look(client, resources, time.monotonic() - began)
            if context.cancelled:
                future.cancel()
                raise Interrupted("interrupted")
            if future.status == "finished":
                answer = future.result(timeout=_PATIENCE)
                self._held[key] = future
                return self._ran(answer, time.monotonic() - began)
            if future.status == "error":
                raise self._failed(future.exception(timeout=_PATIENCE))
        except BuildrulesError:
            raise
        except Exception as error:  # noqa: BLE001 - Dask has many for a connection that breaks
            if client.status == "running" and not isinstance(error, CancelledError):
                raise EngineError(f"{self.name}: {type(error).__name__}: {_plain(error)}") from None
        self._drop(client, lost=True)
        return None

    def _ran(self, answer: Any, seconds: float) -> Ran:
        """What a worker answered, who may say anything. Raises LostInputError, EngineError."""
        try:
            worker, took = _plain(answer["worker"]), float(answer["seconds"])
            if "lost" in answer:
                raise LostInputError(f"worker {worker} lacks what it needs: {_plain(answer['lost'])}")
            return Ran(answer["answer"].encode(), worker, queued=max(0.0, round(seconds - took, 4)))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise EngineError(f"a worker of {self.name} answered with what is no answer") from None

    def _failed(self, error: BaseException) -> EngineError:
        """The error of a task that no worker could do."""
        text, _, log = str(error).partition("\n")
        if type(error).__name__ == "KilledWorker":
            worker = getattr(getattr(error, "last_worker", None), "address", "?")
            return EngineError(
                f"the workers of {self.name} die of it, the last one was {_plain(worker)}",
                hint="see its log: a step that takes more memory than a worker has ends like this",
            )
        if isinstance(error, ModuleNotFoundError):
            return EngineError(
                f"the workers of {self.name} lack something: {_plain(text)}",
                hint="install buildrules of this version there, with the extra `dask`",
            )
        return EngineError(f"{_plain(text)}", hint=f"tried {_RETRIES + 1} times by {self.name}", log=log or None)

    def _look(self, client: "Client", resources: Mapping[str, float], waited: float) -> None:
        """Raise EngineError where a task waits for a worker that there is not."""
        if waited < self._settings["queued"] or client.status != "running":
            return
        workers = client.scheduler_info().get("workers", {}).values()
        offers = [worker.get("resources", {}) for worker in workers]
        if any(all(offer.get(name, 0) >= count for name, count in resources.items()) for offer in offers):
            return
        asked = ", ".join(f"{name}={count:g}" for name, count in resources.items()) or "any"
        raise EngineError(
            f"no worker of {self.name} has what the task asks for ({asked}), since {waited:.0f} seconds",
            hint="start one: dask worker --resources NAME=COUNT; or change workspace.executor.properties",
        )

    def _open(self) -> "Client":
        """The connection to the scheduler. Raises EngineError, CredentialsError."""
        with self._lock:
            if self._client is None:
                try:
                    from distributed import Client
                except ImportError:
                    raise UsageError(
                        "steps go to a Dask cluster by what the extra `dask` installs",
                        hint="pip install 'buildrules[dask]'",
                    ) from None
                for logger in map(logging.getLogger, _LOGGERS):  # what is of interest is told as an error
                    if logger.level != _NOTHING:
                        self._levels[logger] = logger.level
                        logger.setLevel(_NOTHING)
                secured = security(self._settings.get("tls") or {}, self._settings["root"])
                greet(self.name, self._address, secured)
                host, port = self._address
                address = f"tls://[{host}]:{port}" if ":" in host else f"tls://{host}:{port}"
                try:
                    self._client = Client(address, security=secured, timeout=10, set_as_default=False)
                except OSError as error:
                    raise SilentError(f"{self.name} does not answer: {error}") from None
            return self._client

    def _drop(self, client: "Client | None", *, lost: bool = False) -> None:
        """Use a connection no more."""
        with self._lock:
            if client is None or client is not self._client:
                return
            self._client = None
            if lost:
                self._until = time.monotonic() + _PATIENCE
                self._told(f"{self.name} went away; what was under way there is sent again when it is back")
            self._held.clear()
        with suppress(Exception):  # what breaks off a handshake raises more than says that it is closed
            client.close(timeout=2)


def open_engine(url: str, session: Session, settings: Mapping[str, Any], told: Callable[[str], None]) -> DaskEngine:
    """See `executors.opening.open_engine`. Raises UsageError."""
    parts = urlsplit(url)
    try:
        sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise UsageError(f"{redact(url)!r} is no scheduler of Dask", hint="write dask+tls://HOST[:PORT]")
    if not settings["cache"].get("remote"):
        raise UsageError(
            "a Dask cluster needs a shared cache: content of steps lies there, and never goes through the scheduler",
            hint="name one: workspace.cache.remote in BUILD.yaml, or BUILDRULES_CACHE",
        )
    _numbers(settings.get("properties", {}))
    return DaskEngine(url, settings, session, told)


def _numbers(properties: Mapping[str, str]) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in properties.items()}
    except ValueError:
        raise UsageError(
            "workspace.executor.properties: resources of Dask are numbers", hint="such as {GPU: '1'}"
        ) from None


def _plain(text: object) -> str:
    """A text of others on one line."""
    return "".join(letter for letter in str(text) if letter.isprintable())[:500]
