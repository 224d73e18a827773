"""What a kind of action is, and what it may use."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from buildrules.engine.action import Outputs
from buildrules.engine.changes import Told
from buildrules.engine.step import Step
from buildrules.net.session import Fetching
from buildrules.typed import Any, NamedTuple, Protocol

Row = Mapping[str, Any]
"""Content that a step needs: its `digest`, its `kind` and what that kind of content is found by."""


def _nothing(_: Step) -> Sequence[Row]:
    return ()


class Traits(NamedTuple):
    """What a kind needs besides its step, and what follows from that."""

    network: bool = False  # it asks servers
    containers: bool = False  # it starts containers
    shareable: bool = True  # False where programs of this host have a part in what it makes: records stay here
    opens: bool = False  # it looks into the layers of its dependencies, and has to know where their bytes are
    content: Callable[[Step], Sequence[Row]] = _nothing  # what has to be in the store before a step is run
    places: tuple[str, ...] = ()  # which of a step's places are more than where to fetch from


class Context(Fetching, Protocol):
    """What a kind may use besides its step."""

    def count(self, *, read: int = 0, fetched: int = 0, sent: int = 0, source: str = "elsewhere") -> None:
        """Add to the bytes read from the workspace, sent, and fetched; `source` says in a word where from."""

    def warn(self, message: str) -> None:
        """Tell the user something that is not an error."""


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


class Kinds(Protocol):
    """The kinds by name."""

    def named(self, name: str) -> Kind:
        """The kind of that name. Raises UsageError where there is none."""

    def version(self, name: str) -> int | str:
        """Its version, as keys have it."""

    def fits(self, name: str, outputs: Outputs) -> bool:
        """Whether outputs that somebody kept have the form of those that it makes."""

    def told(self, name: str) -> Mapping[str, Told]:
        """How its parameters are told to people, by name; those that are not in it by their own."""
