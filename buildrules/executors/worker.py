"""Runs a task where it arrived: whoever calls sees to its content, before and after."""

import contextlib
import errno
import os
import shutil
import sys
import time
from collections.abc import Mapping

from buildrules import __version__
from buildrules.engine.events import Event, Notice, Stream
from buildrules.engine.executor import LocalExecutor
from buildrules.engine.kind import Kinds
from buildrules.engine.parcel import naming, packed
from buildrules.engine.unexpected import unexpected
from buildrules.errors import BuildrulesError, StoreError, UsageError
from buildrules.executors.answer import LARGEST
from buildrules.executors.engine import MachineError
from buildrules.executors.folder import ANSWER, OUT, STORE, TASK, WORKSPACE
from buildrules.executors.task import Task, task_key
from buildrules.executors.told import told
from buildrules.net.session import Session
from buildrules.remote.envelope import Envelope, Signer
from buildrules.store.blobs import FULL
from buildrules.store.store import Store
from buildrules.typed import Any

_BUG = "this is a bug of buildrules; the traceback is in the build's log, and shown with --verbose"
_BROKEN = {*FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS}
_PROGRAM = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_ROOM = 1 << 10  # bytes of an envelope besides its body


def work(task: Task, workspace: str, store: Store, session: Session, kinds: Kinds) -> dict[str, Any]:
    """The body of the answer to a task (`executors.answer`). Its files lie below `workspace`, its blobs in the store.

    Raises MachineError, and nothing that a step may raise.
    """
    warnings: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            warnings.append(event.message)

    answer: dict[str, Any] = {}
    began = time.perf_counter()
    try:
        check(task, kinds)
        outputs = LocalExecutor(workspace, store.blobs, session, kinds, Stream(listen)).run(task.step)
        answer["outputs"] = outputs.to_dict()
        blobs = {digest: store.blobs.size(digest) for digest in outputs.blobs.values()}
    except Exception as raised:
        if (broken := of_machine(raised)) is not None:
            raise broken from raised
        error = (
            raised
            if isinstance(raised, BuildrulesError)
            else unexpected(raised, repr(task.step.title), workspace, _BUG)
        )
        texts = told(error).items()
        answer["error"] = {
            name: placeless(text, workspace, store.root) if isinstance(text, str) else text for name, text in texts
        }
        blobs = {}
    seconds = round(time.perf_counter() - began, 4)
    return {**answer, "blobs": blobs, "warnings": warnings, "seconds": seconds}


def of_machine(error: BaseException) -> MachineError | None:
    """The error for what is wrong with this machine, whatever it was told as; None where it is something else."""
    if isinstance(error, MachineError):
        return error
    numbers, cause = set(), error
    while cause is not None:
        numbers.add(getattr(cause, "errno", None))
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    if not isinstance(error, (StoreError, MemoryError)) and numbers.isdisjoint(_BROKEN):
        return None
    said, hint = (error.message, error.hint) if isinstance(error, BuildrulesError) else (str(error), None)
    found = MachineError(f"this machine cannot do it: {said or type(error).__name__}", hint=hint)
    found.full = not numbers.isdisjoint(FULL)
    return found


def placeless(text: str, workspace: str, store: str) -> str:
    """A text without the folders of this machine, which are nobody's business elsewhere."""
    places = {
        workspace: "<workspace>",
        store: "<store>",
        _PROGRAM: "<program>",
        os.path.dirname(os.__file__): "<python>",
    }
    if sys.prefix != sys.base_prefix:  # an environment of its own
        places[sys.prefix] = "<environment>"
    for place, name in places.items():
        text = text.replace(place, name) if place.strip("/") else text
    return text


def check(task: Task, kinds: Kinds) -> None:
    """Raise UsageError where another buildrules sent the task, or one that no client sends."""
    if isinstance(task.step.version, str):
        raise UsageError(f"a worker runs no steps of plugins, such as {task.step.kind!r}")
    traits, version = kinds.named(task.step.kind).traits, kinds.version(task.step.kind)
    if traits.network or not traits.shareable:
        raise UsageError(f"a worker runs no steps of the kind {task.step.kind!r}: they belong to the host of the build")
    if task.program != __version__ or version != task.step.version:
        raise UsageError(
            f"the task is of buildrules {task.program} ({task.step.kind}/{task.step.version}), "
            f"and this worker has {__version__} ({task.step.kind}/{version})",
            hint="install the same version on both",
        )


def sealed(data: bytes, task: Task, body: Mapping[str, Any], signer: Signer | None) -> tuple[bytes, bytes]:
    """The answer as it is sent for the task that came as `data`; and, where it is long, a blob that it names."""
    answer, blob = Envelope(task_key(data), task.namespace, dict(body)).seal(signer), b""
    if len(answer) > LARGEST - _ROOM:
        found, blob = packed(body)
        answer = Envelope(task_key(data), task.namespace, naming(found)).seal(signer)
    return answer, blob


def run_folder(session: Session, kinds: Kinds) -> int:
    """Run the task in the current folder, as `executors.folder` says; returns the exit code. Raises UsageError."""
    with open(TASK, "rb") as file:
        data = file.read()
    task = Task.read(data)
    with contextlib.suppress(FileNotFoundError):
        os.chmod(STORE, 0o700)  # engines lay folders with rights that no store may have
    store = Store(os.path.abspath(STORE))
    try:
        body = work(task, os.path.abspath(WORKSPACE), store, session, kinds)
    except MachineError as error:
        sys.stderr.write(f"{placeless(error.message, os.path.abspath(WORKSPACE), store.root)}\n")
        return 1
    os.makedirs(OUT, exist_ok=True)
    answer, blob = sealed(data, task, body, None)
    made = [digest for digest in body["blobs"] if digest not in task.blobs]
    for digest in [*made, store.blobs.put(blob)] if blob else made:
        target = os.path.join(OUT, digest.removeprefix("sha256:"))
        try:
            os.link(store.blobs.path(digest), target)
        except OSError:
            shutil.copyfile(store.blobs.path(digest), target)
    store.close()
    with open(ANSWER, "wb") as file:
        file.write(answer)
    return 1 if "error" in body else 0
