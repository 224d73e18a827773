"""What a kind of action is, and what it may use."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from buildrules.engine.action import Outputs
from buildrules.engine.step import Step
from buildrules.net.session import Session
from buildrules.store.blobs import Blobs


class Traits(NamedTuple):
    """What a kind needs besides its step, and what follows from that."""

    network: bool = False  # it may fetch
    engine: bool = False  # it starts containers
    host: bool = False  # programs of this host have a part in what it makes: that is not shared with other hosts
    opens: bool = False  # it looks into the layers of its dependencies, and has to know where their bytes are


class Context(Protocol):
    """What a kind may use besides its step."""

    workspace: str  # absolute path of the workspace root
    session: Session

    @property
    def blobs(self) -> Blobs:
        """The store's blobs."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Report long work: what, bytes done so far, bytes in all or None. Cheap; may be called from any thread."""

    def count(self, *, read: int = 0, fetched: int = 0) -> None:
        """Add to the bytes read from the workspace and fetched from elsewhere."""

    def warn(self, message: str) -> None:
        """Tell the user something that is not an error."""

    @property
    def cancelled(self) -> bool:
        """True after Ctrl-C; long loops look at it now and then."""


class BuildContext(Context, Protocol):
    """What a kind that starts programs may use as well."""

    def at_cancel(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """While inside, Ctrl-C calls `stop`, from another thread: it ends what the action has started and waits for."""


class Kind(Protocol):
    """What a kind of action does. Stateless. `version` enters the key: raise it when outputs change."""

    name: str
    version: int
    traits: Traits

    def run(self, step: Step, context: BuildContext) -> Outputs:
        """Do the step. Raises BuildrulesError."""
