"""Tasks on a server of the Remote Execution API, version 2: grpc://HOST[:PORT][/INSTANCE], grpcs: with TLS.

Source: build/bazel/remote/execution/v2/remote_execution.proto, service Execution. A task is an action whose input root
is the task's folder (`executors.folder`), with the Python that runs it in `tool` (`reapi.tool`); its outputs are
`answer.json` and `out`. A step that fails ends with another exit code than 0, so that no server keeps it.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial

from buildrules.credentials.redact import redact
from buildrules.engine.kind import BuildContext
from buildrules.errors import Interrupted
from buildrules.executors.answer import LARGEST
from buildrules.executors.depot import Depot
from buildrules.executors.engine import EngineError, LostInputError, Ran
from buildrules.executors.folder import ANSWER, OUT, TASK, laid
from buildrules.executors.reapi import messages as forms
from buildrules.executors.reapi.failures import LOCAL, action_failed, cache_only, call_failed, unanswered, waited
from buildrules.executors.reapi.tool import Tool, tool
from buildrules.executors.reapi.tree import Leaf, Messages
from buildrules.executors.task import Task
from buildrules.executors.told import in_line
from buildrules.net.session import Session
from buildrules.remote.backend import Blob, RemoteError, body_of
from buildrules.remote.guarded import Guarded
from buildrules.remote.patient import Patient, again
from buildrules.remote.protobuf import decode
from buildrules.remote.reapi import API, SHORT, Content, Server, digest_message, open_server, place_of
from buildrules.remote.rpc import CallError
from buildrules.typed import Any

SLOTS = 32
OVERHEAD = 1.0  # seconds, of a scheduler; a server that runs actions itself takes a quarter
PATIENCE = 120.0  # seconds that a server which was there may be away
FIRST = 1.5  # seconds that one which has not answered yet is asked again
LAG, FOLLOWING = 0.3, 10.0  # seconds that we let another build go first, and for how long
_TOOL = "tool"
_LONGEST = 600.0  # seconds of a stream, after which it is opened anew: a line may be dead with nobody noticing


class ReapiEngine:
    """See `executors.engine.Engine`."""

    slots = SLOTS
    unfit = ("rootfs",)  # it starts this Python anew, by a path that an action does not have, in namespaces of its own
    overhead = OVERHEAD

    def __init__(
        self,
        url: str,
        server: Server,
        told: Callable[[str], None],
        queued: float,
    ) -> None:
        self.name = url
        self._server = server
        self._told = told
        self._queued = queued
        self._tool: Tool | None = None
        self._broken: EngineError | None = None  # what is wrong with it from the start: the next step does not ask
        self._follows = 0.0  # until when we let another build go first
        self._moved: dict[str, float] = {}  # by what workers must have: when a task of ours got one
        self._told_at = -PATIENCE  # when people were told that it does not answer
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self.depot = Depot(self._open_place)

    def _open_place(self) -> Guarded:
        """The server's content; it is asked what it can before. Raises EngineError where it does not answer."""
        if self._broken is None:
            try:
                if not again(self._server.limits, FIRST, self._closed).executes:
                    self._broken = cache_only(self.name)
            except CallError as error:
                self._broken = call_failed(self.name, self._server, error)
            except RemoteError as error:
                self._broken = EngineError(f"{self.name}: {error.text}", hint=LOCAL)
        if self._broken is not None:
            raise self._broken
        return Guarded(Patient(place_of(self.name, self._server), PATIENCE, self._silent).place, self._told)

    def greet(self) -> None:
        """See `Engine.greet`."""
        self.depot.place  # noqa: B018 - opening it asks

    def run(self, task: Task, context: BuildContext, *, again: bool = False) -> Ran:
        """See `Engine.run`."""
        with self._lock:
            brought = self._tool = self._tool or tool(context)
        files = {blob: body_of(open, path, "rb") for blob, path in brought.files.items()}
        context.count(sent=self.depot.have(files), source="executor")
        action, sent = self._action(task, brought)
        for fresh in (True,) if again else (False, True):
            waits, lag = partial(self._waits, task.properties), LAG if time.monotonic() < self._follows else 0.0
            began = time.monotonic() + lag
            execution = _Execution(self._server, context, action, sent, fresh, waits, self._silent)
            done = execution.result(self.name, lag)
            waits(forms.EXECUTING, 0.0)
            self._note(done, time.monotonic() - began)
            try:
                ran = self._ran(done, task)
            except LostInputError:
                self.depot.forget(brought.files.keys())
                raise
            if ran is not None:
                return ran
        raise unanswered(self.name, task, done, "")

    def close(self) -> None:
        """See `Engine.close`."""
        self._closed.set()
        self.depot.close()
        self._server.channel.close()

    def _action(self, task: Task, brought: Tool) -> tuple[Blob, Messages]:
        """The action of a task, and all messages that describe it."""
        sent = Messages()
        leaves = {path: Leaf(blob) for path, blob in laid(task).items()}
        leaves[TASK] = Leaf(sent.keep(task.data()))
        leaves |= {f"{_TOOL}/{path}": leaf for path, leaf in brought.leaves.items()}
        platform = {"properties": _pairs(task.properties)} if task.properties else None
        command = {
            "arguments": brought.command(_TOOL),
            "environment_variables": _pairs(brought.variables(_TOOL)),
            "output_paths": sorted((ANSWER, OUT)),
            "platform": platform,
        }
        action = {
            "command_digest": digest_message(sent.put(forms.COMMAND, command)),
            "input_root_digest": digest_message(sent.tree(leaves)),
            "platform": platform,
        }
        return sent.put(forms.ACTION, action), sent

    def _waits(self, wanted: Mapping[str, str], stage: int, since: float) -> float:
        """Seconds that a task may go on waiting for a worker that has `wanted`.

        Raises EngineError where it has waited too long.
        """
        now, name = time.monotonic(), repr(wanted)
        if stage != forms.QUEUED:
            self._moved[name] = now
            return _LONGEST
        left = self._queued - (now - max(self._moved.get(name, since), since))
        if left <= 0:
            raise waited(self.name, self._queued, wanted)
        return left

    def _silent(self) -> None:
        """Tell once that the server, which was there, does not answer."""
        with self._lock:
            told, self._told_at = self._told_at, time.monotonic()
        if self._told_at - told > PATIENCE:
            self._told(f"{self.name} does not answer; waiting up to {PATIENCE / 60:.0f} min for it")

    def _note(self, done: Mapping[str, Any], seconds: float) -> None:
        """Whether another build asked for the same before, so that the server ran it once: it was queued for longer
        than the `seconds` that we waited. Both get the result, and would ask for the next step, at the same moment, at
        which servers run it twice.
        """
        about = (done["result"] or {}).get("execution_metadata") or decode(forms.METADATA, b"")
        whole = _between(about["queued_timestamp"], about["worker_completed_timestamp"])
        if whole is not None and not done["cached_result"] and seconds < whole:
            self._follows = time.monotonic() + FOLLOWING

    def _ran(self, done: Mapping[str, Any], task: Task) -> Ran | None:
        """What an ExecuteResponse says; None where the server keeps a result whose answer is lost. Raises EngineError,
        LostInputError."""
        result = done["result"] or decode(forms.RESULT, b"")
        about = result["execution_metadata"] or decode(forms.METADATA, b"")
        worker = in_line(about["worker"])
        queued = _between(about["queued_timestamp"], about["worker_start_timestamp"])
        if done["status"] and done["status"]["code"]:
            raise action_failed(self.name, worker, task, done)
        found = next((file["digest"] for file in result["output_files"] if file["path"] == ANSWER), None)
        if found is not None:
            if found["size_bytes"] > LARGEST:
                where = f"worker {worker} of {self.name}" if worker else self.name
                raise EngineError(f"the answer of {where} is too large: {found['size_bytes']} bytes")
            with suppress(FileNotFoundError):
                answer = b"".join(self.depot.place.read(_blob(found)))
                return Ran(answer, worker, bool(done["cached_result"]), queued)
        elif result["exit_code"]:
            raise unanswered(self.name, task, done, self._stderr(result))
        return None

    def _stderr(self, result: Mapping[str, Any]) -> str:
        data: bytes = result["stderr_raw"]
        apart = result["stderr_digest"]
        if not data and apart and 0 < apart["size_bytes"] < 1 << 20:
            with suppress(FileNotFoundError):
                data = b"".join(self.depot.place.read(_blob(apart)))
        return data.decode(errors="replace")


class _Execution:
    """One action under way: `waits` says, by its stage and when it began, how long to listen; `silent` is called while
    nobody answers."""

    def __init__(
        self,
        server: Server,
        context: BuildContext,
        action: Blob,
        sent: Messages,
        fresh: bool,
        waits: Callable[[int, float], float],
        silent: Callable[[], None],
    ) -> None:
        self._silent = silent
        self._server = server
        self._context = context
        self._action = action
        self._sent = sent
        self._fresh = fresh
        self._waits = waits
        self._operation = ""  # its name, once there is one
        self._stage = forms.QUEUED
        self._ended = threading.Event()

    def result(self, name: str, lag: float) -> dict[str, Any]:
        """The ExecuteResponse, asked for after `lag` seconds.

        A server that is away is asked again until it is there, with a pause that grows. Raises EngineError,
        LostInputError, Interrupted.
        """
        pause = 0.25
        with self._context.at_cancel(self._ended.set):
            self._ended.wait(lag)
            began = answered = time.monotonic()
            while True:
                operation = self._operation
                try:
                    done = self._followed(self._waits(self._stage, began))
                    if done is not None:
                        return done
                    failure = CallError("UNAVAILABLE", "it ended the stream without a result")
                except CallError as error:
                    failure = error
                except RemoteError as error:
                    raise EngineError(f"{name}: {error.text}", hint=LOCAL) from None
                except KeyboardInterrupt:  # in the main thread, which runs steps as well
                    self._cancel()
                    raise
                if self._context.cancelled:
                    self._cancel()
                    raise Interrupted("interrupted")
                if failure.code == "DEADLINE_EXCEEDED" and self._operation:
                    answered = time.monotonic()  # we have listened long enough: ask how it stands
                    continue
                if operation and failure.code in ("NOT_FOUND", "UNIMPLEMENTED", "INVALID_ARGUMENT"):
                    self._operation, self._stage = "", forms.QUEUED  # it knows nothing of it any more
                    continue
                if self._operation != operation:
                    answered, pause = time.monotonic(), 0.25
                if not failure.retry or time.monotonic() - answered > PATIENCE:
                    raise call_failed(name, self._server, failure)
                if failure.code == "UNAVAILABLE" and pause > 1:  # it has been asked again already
                    self._silent()
                self._ended.wait(pause if failure.wait is None else failure.wait)
                pause = min(2 * pause, 8.0)

    def _followed(self, seconds: float) -> dict[str, Any] | None:
        """The ExecuteResponse of an operation that is begun, or went on meanwhile; None where the stream ends early.

        Raises RemoteError.
        """
        service = f"{API}.Execution"
        if self._operation:
            method, table = f"{service}/WaitExecution", forms.NAMED
            message: dict[str, Any] = {"name": self._operation}
        else:
            Content(self._server).put(self._sent)
            method, table = f"{service}/Execute", forms.EXECUTE
            asked = {"action_digest": digest_message(self._action), "skip_cache_lookup": self._fresh}
            message = {"instance_name": self._server.instance, **asked}
        if self._context.cancelled:
            return None
        tables = table, forms.OPERATION
        for answer in self._server.channel.receive(method, tables, message, seconds=seconds, at_cancel=self._at_cancel):
            self._operation = answer["name"] or self._operation
            if self._context.cancelled:
                return None
            if answer["metadata"]:
                self._stage = decode(forms.STAGE, answer["metadata"]["value"])["stage"]
            if answer["error"] and answer["error"]["code"]:
                return {**decode(forms.RESPONSE, b""), "status": answer["error"]}
            if answer["response"]:
                return decode(forms.RESPONSE, answer["response"]["value"])
        return None

    def _at_cancel(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Ctrl-C ends a stream; but one that has not named its operation yet, without which nobody can cancel it, has a
        moment to do so."""

        def ended() -> None:
            later = threading.Timer(0.0 if self._operation else SHORT, stop)
            later.daemon = True
            later.start()

        return self._context.at_cancel(ended)

    def _cancel(self) -> None:
        if self._operation:
            with suppress(RemoteError):
                method = "/google.longrunning.Operations/CancelOperation"
                self._server.channel.ask(method, (forms.NAMED, {}), {"name": self._operation}, seconds=SHORT)


def open_engine(url: str, session: Session, settings: Mapping[str, Any], told: Callable[[str], None]) -> ReapiEngine:
    """See `executors.opening.open_engine`."""
    server = open_server(url, session, settings.get("connection"))
    return ReapiEngine(redact(url), server, told, settings["queued"])


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": values[name]} for name in sorted(values)]


def _blob(digest: Mapping[str, Any]) -> Blob:
    return Blob(f"sha256:{digest['hash']}", digest["size_bytes"])


def _between(first: Mapping[str, int] | None, last: Mapping[str, int] | None) -> float | None:
    """Seconds between two times, where the server says both."""
    if not first or not last:
        return None
    return max(0.0, last["seconds"] - first["seconds"] + (last["nanos"] - first["nanos"]) / 1e9)
