"""Tables of keys: one class for each kind of map in a file of Azure ML, one row for each key.

Azure ML writes one key in two ways: snake_case in YAML (`target_environment`), camelCase in the JSON of its REST
interface (`targetEnvironmentId`). A row takes both. What no row names is an error with its place. A row says how its
value is read, and what of it: it becomes an attribute of a target, or it is left out for a reason.
"""

import os
from collections.abc import Callable
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar, overload

from buildrules.document.nodes import Node
from buildrules.document.problems import Problems
from buildrules.errors import LoadError
from buildrules.workspace.suggest import did_you_mean, nearest

T = TypeVar("T")
M = TypeVar("M", bound="Map")


def camel(name: str) -> str:
    """`scoring_route` as REST spells it: `scoringRoute`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


class Value(NamedTuple):
    """What stands behind the key `name`; a reader notes several errors in `problems`, or raises one."""

    node: Node
    name: str
    problems: Problems

    @property
    def directory(self) -> str:
        """The absolute directory of the file, where its relative paths start."""
        return os.path.dirname(os.path.abspath(self.node.source.path))


def anything(value: Value) -> Node:
    """A value that is not looked at."""
    return value.node


class Key(Generic[T]):
    """A row, named as the key in snake_case: an attribute of its table. A map has its value there, None without one.

    `read` raises LoadError for what it does not take. `also` are further spellings. A key with `needs` must be there;
    the text is the hint where it is not. `becomes` names the attribute of the server's target that holds the value.
    `left_out` says why nothing is made of the key; "" where nobody needs to be told. `below` is the table of a map.
    """

    name = ""
    suggested = True

    def __init__(
        self,
        read: Callable[[Value], T],
        *also: str,
        needs: str | None = None,
        becomes: str = "",
        left_out: str | None = None,
    ) -> None:
        self.read, self.also, self.needs, self.becomes, self.left_out = read, also, needs, becomes, left_out
        self.below: type[Map] | None = getattr(read, "rows", None)

    def __set_name__(self, owner: type["Map"], name: str) -> None:
        self.name = name

    @property
    def spellings(self) -> set[str]:
        """The key as files write it."""
        return {spelled for name in (self.name, *self.also) for spelled in (name, camel(name))}

    @overload
    def __get__(self, given: None, owner: type["Map"]) -> Self: ...
    @overload
    def __get__(self, given: "Map", owner: type["Map"]) -> T | None: ...
    def __get__(self, given: "Map | None", owner: type["Map"]) -> Self | T | None:
        return self if given is None else given.values.get(self.name)


class LeftOut(Key[Node]):
    """Rows of keys that nothing is made of, whatever stands behind them: `notes = LeftOut("", "stage", "job_name")`.

    Without `suggested` nobody is told of them where a key is unknown.
    """

    def __init__(self, why: str, *names: str, suggested: bool = True) -> None:
        super().__init__(anything, left_out=why)
        self.names = names
        self.suggested = suggested


class Map:
    """One map, read by the rows of its class. Problems are noted; a value that has one is None, as is a null.

    `what` is the map in messages.
    """

    what: ClassVar[str] = ""
    rows: ClassVar[dict[str, Key[Any]]] = {}

    def __init_subclass__(cls) -> None:
        rows = {name: row for base in reversed(cls.__mro__[1:]) for name, row in getattr(base, "rows", {}).items()}
        for name, row in vars(cls).items():
            if isinstance(row, LeftOut):
                for one in row.names or (name,):
                    rows[one] = LeftOut(row.left_out or "", suggested=row.suggested)
                    rows[one].name = one
            elif isinstance(row, Key):
                rows[name] = row
        cls.rows = rows
        cls._spelled = {spelled: name for name, row in rows.items() for spelled in row.spellings}

    _spelled: ClassVar[dict[str, str]] = {}

    def __init__(self, node: Node, problems: Problems, what: str | None = None) -> None:
        self.node = node
        self.problems = problems
        self.called = what or self.what
        self.values: dict[str, Any] = {}
        self._places: dict[str, tuple[Node, Node]] = {}  # keys and values, in file order
        if node.kind != "map":
            problems.add_error(node.error(f"{self.called} must be a map, not {node.describe()}"))
            return
        meant = self._sort()
        for name, row in self.rows.items():
            if name in self._places:
                try:
                    self.values[name] = row.read(Value(self._places[name][1], name, problems))
                except LoadError as error:
                    problems.add_error(error)
            elif row.needs is not None and name not in meant:
                self.missing(name, row.needs)

    def _sort(self) -> set[str]:
        """Give each key to its row; returns the rows that unknown keys were probably meant to be."""
        meant, told = set(), [name for name, row in self.rows.items() if row.suggested]
        for key, value in self.node.entries.items():
            at, name = self.node.keys[key], self._spelled.get(key)
            if name is None:
                near = nearest(key.replace("_", ""), [one.replace("_", "") for one in told])
                meant |= {one for one in told if one.replace("_", "") == near}
                known = [one if "_" in key or key.islower() else camel(one) for one in told]
                hint = did_you_mean(key, known, what=f"attributes of {self.called}", limit=16)
                self.problems.add_error(at.error(f"{self.called} has no attribute '{key}'", hint))
            elif name in self._places:
                first = self._places[name][0].text
                message = f"'{key}' and '{first}' are two spellings of one attribute"
                self.problems.add_error(at.error(message, "leave one of them out"))
            elif not value.is_null:
                self._places[name] = (at, value)
        return meant

    @property
    def directory(self) -> str:
        """The absolute directory of the file, where its relative paths start."""
        return os.path.dirname(os.path.abspath(self.node.source.path))

    def missing(self, name: str, hint: str = "") -> None:
        """Note that a key is needed."""
        self.problems.add_error(self.node.error(f"{self.called} needs '{name}'", hint or None))

    def __contains__(self, name: str) -> bool:
        return name in self._places

    @property
    def sound(self) -> bool:
        """Whether every key that is given could be read."""
        return self.values.keys() == self._places.keys()

    def at(self, name: str) -> Node:
        """Where the value of a key stands; the map itself where it has none."""
        return self._places[name][1] if name in self._places else self.node

    def key_at(self, name: str) -> Node:
        """Where a key stands; the map itself where it is not given."""
        return self._places[name][0] if name in self._places else self.node

    def left_out(self) -> list[tuple[str, str]]:
        """The keys that nothing is made of, in file order, and why; not those of which nobody needs to be told."""
        found = [(name, self.rows[name].left_out) for name in self._places]
        return [(name, why) for name, why in found if why]

    def attributes(self) -> dict[str, Any]:
        """What the rows say that their values become, those of maps below as well; later rows win."""
        found: dict[str, Any] = {}
        for name, row in self.rows.items():
            value = self.values.get(name)
            if isinstance(value, Map):
                found |= value.attributes()
            elif row.becomes and value is not None:
                found[row.becomes] = value
        return found


class Nested(Generic[M]):
    """Reads a map of its own by the rows of a class."""

    def __init__(self, rows: type[M]) -> None:
        self.rows = rows

    def __call__(self, value: Value) -> M:
        return self.rows(value.node, value.problems, self.rows.what or f"'{value.name}'")


class Each(Generic[T]):
    """Reads a list, each item by `read`; those with an error are left out."""

    def __init__(self, read: Callable[[Value], T]) -> None:
        self.read = read
        self.rows: type[Map] | None = getattr(read, "rows", None)

    def __call__(self, value: Value) -> list[T]:
        if value.node.kind != "list":
            raise value.node.error(f"'{value.name}' must be a list, not {value.node.describe()}")
        found = []
        for node in value.node.items:
            try:
                found.append(self.read(value._replace(node=node)))
            except LoadError as error:
                value.problems.add_error(error)
        return found


READ_ONLY = LeftOut(
    "", "id", "resource_group", "location", "kind", "sku", "identity", "etag", "provisioning_state",
    "creation_context", "system_data", "system_metadata", "utc_time_created", "latest_version", "is_archived",
    "is_anonymous", "intellectual_property", "base_path", "origin", suggested=False,
)  # fmt: skip
"""What the service and its tools add to what they print, of any kind of asset or deployment."""
