"""The interface of an engine: other people's software that runs tasks on other machines."""

from collections.abc import Sequence

from buildrules.engine.kind import BuildContext
from buildrules.errors import BuildrulesError
from buildrules.executors.depot import Depot
from buildrules.executors.task import Task
from buildrules.typed import NamedTuple, Protocol


class Ran(NamedTuple):
    """How a task was run: `answer` is what the worker wrote (`executors.answer`), `worker` its name, "" for unknown;
    `cached` whether the engine had the answer already; `queued` the seconds that the task waited for a worker, None for
    unknown."""

    answer: bytes
    worker: str = ""
    cached: bool = False
    queued: float | None = None


class Engine(Protocol):
    """One engine. Safe for concurrent threads; `run` is called by up to `slots` at a time."""

    name: str  # its address, without credentials
    depot: Depot  # where tasks find content, and leave it
    slots: int  # tasks that may be under way at a time
    unfit: Sequence[str]  # runners of package tests that its workers cannot have
    overhead: float  # seconds that a task costs besides its run, as far as nobody has measured it

    def greet(self) -> None:
        """Raise EngineError, UsageError or CredentialsError where it cannot be used; asked before the first task."""

    def run(self, task: Task, context: BuildContext, *, again: bool = False) -> Ran:
        """Run a task of the build of `context`, whose content is in `depot`; `again` where what the engine remembers is
        of no use.

        Raises LostInputError, EngineError, Interrupted.
        """

    def close(self) -> None:
        """End what is open."""


class EngineError(BuildrulesError):
    """A task could not be run there; `log` has the last lines of its worker."""


class MachineError(EngineError):
    """A worker's machine can run no step now: another worker may. `full` where it lacks space."""

    full = False


class LostInputError(EngineError):
    """Content that was sent is not there any more."""
