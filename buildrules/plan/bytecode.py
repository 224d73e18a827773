"""Plans layers of bytecode: one beside each layer of wheels, one for the standard library of the base's Python."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from buildrules.actions.image import BYTECODE, LAYER_LIMIT
from buildrules.actions.models.layers import OWN, SHARED
from buildrules.actions.params import BytecodeParams
from buildrules.actions.python.compiler import DIGEST
from buildrules.engine.action import Action
from buildrules.engine.plan import Plan
from buildrules.locking.locks import Bytecode, LockedBase
from buildrules.oci.recipe import LARGE_FILE
from buildrules.sha256 import hex_digest

MOST = 24
"""So many layers of bytecode an environment, or what a server adds to one, has at most: an image may have a hundred."""

_LIBRARY = f"standard library{BYTECODE}"
_LAYERS = {"debian_layers": 3, "oci_base": 20, "start_layers": 2, "model_layers": 8}
"""How many layers a kind makes, or as many as it makes but seldom: where there are more, see `actions.image`."""
_PLACES = ("prefix", "directory", "path")  # parameters that say where in the image something is laid
_GLOB = {*"*?[{"}
_SECONDS = 5.0  # for weights: what compiling the standard library takes


class BytecodePlanner:
    """Plans the bytecode of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._done: dict[tuple[str, ...], dict[str, str]] = {}  # what packages share is planned once

    def library(self, base: LockedBase) -> dict[str, str]:
        """The layer of bytecode of a base's standard library, with what it holds; nothing where none is made."""
        made = base.bytecode
        if made is None or not made.library:
            return {}
        params = BytecodeParams(made.library, made.interpreter, DIGEST, made.sources)
        target = str(base.target.label)
        action = Action(
            id=f"{target} {base.platform} bytecode",
            target=target,
            kind="bytecode_layer",
            title=f"base {base.target.label.name}{BYTECODE}",
            params=params._asdict(),
            places=made.places,
            weight=_SECONDS,
        )
        return {self._plan.add(action): _LIBRARY}

    def beside(
        self, base: LockedBase, sections: Sequence[Mapping[str, str]], others: Iterable[str] = ()
    ) -> list[dict[str, str]] | None:
        """The `sections` of an image's layers (actions, and what they hold), with bytecode behind those of wheels; None
        where there is no room for it. `others` are the actions of all other layers of the image.
        """
        made = base.bytecode
        if made is None:
            return [dict(layers) for layers in sections]
        wheels = [[name for name in layers if self._plan.actions[name].kind == "wheel_layer"] for layers in sections]
        taken = sum(map(len, sections)) + sum(self._layers(name) for name in others) + 1  # that of the library
        counts = shares([len(names) for names in wheels], LAYER_LIMIT - 1 - taken)
        if counts is None:
            return None
        return [self._shared(base, made, layers, most) for layers, most in zip(sections, counts, strict=True)]

    def _layers(self, name: str) -> int:
        """How many layers an action makes, as far as a plan can know."""
        action = self._plan.actions[name]
        if action.kind == "fetched_model":
            large = [row for row in action.params["files"] if row["size"] >= LARGE_FILE]
            return 1 + min(OWN + SHARED, len(large))
        return _LAYERS.get(action.kind, 1)

    def _shared(self, base: LockedBase, made: Bytecode, layers: Mapping[str, str], most: int) -> dict[str, str]:
        on = f"{base.target.label} {base.platform}"
        key = (on, str(most), *layers)
        if key not in self._done:
            self._done[key] = self._beside(on, made, layers, most)
        return self._done[key]

    def _beside(self, on: str, made: Bytecode, layers: Mapping[str, str], most: int) -> dict[str, str]:
        wheels = {name: holds for name, holds in layers.items() if self._plan.actions[name].kind == "wheel_layer"}
        ends = {group[-1]: group for group in groups(wheels, most)}
        found: dict[str, str] = {}
        for name, holds in layers.items():
            found[name] = holds
            if name in ends:
                group = ends[name]
                words = f"{holds}{BYTECODE}" if len(group) == 1 else f"{len(group)} layers{BYTECODE}"
                found[self._plan.add(self._of(group, on, made))] = words
        return found

    def _of(self, group: Sequence[str], on: str, made: Bytecode) -> Action:
        """The bytecode of the layers that the actions `group` make, on a base."""
        actions = [self._plan.actions[name] for name in group]
        last = actions[-1]
        title = last.title if len(group) == 1 else f"{actions[0].title} to {last.title}"
        places: dict[str, Any] = dict(made.places)
        for key in ("urls", "sizes"):
            places[key] = dict(made.places.get(key, {}))
            places[key] |= {name: value for one in actions for name, value in one.places[key].items()}
        places["index"] = last.places["index"]
        return Action(
            id=f"{' '.join(group)} bytecode on {on}",
            target=last.target,
            kind="bytecode_layer",
            title=f"{title}{BYTECODE}",
            params=BytecodeParams(made.wheels, made.interpreter, DIGEST)._asdict(),
            deps=tuple(group),
            places=places,
            weight=0.1 + sum(_seconds(*row) for one in actions for row in one.places["sizes"].items()),
        )


def shares(counts: Sequence[int], room: int) -> list[int] | None:
    """How many layers of bytecode each section gets that has so many layers of wheels, if there may be `room` in all.

    Where one has bytecode all need it: what a lower one compiled would hide the sources that lie over it. So it is None
    where there is no room for that.
    """
    found = [min(count, MOST) for count in counts]
    if room < sum(map(bool, counts)):
        return None
    while sum(found) > room:
        found[found.index(max(found))] -= 1
    return found


def groups(layers: Mapping[str, str], most: int) -> Iterator[list[str]]:
    """Runs of neighbours whose bytecode shares a layer: of each alone, where they are no more than `most`.

    `layers` are actions, with what they hold, such as "numpy 2.3.1". Of more, those end a run whose names have the
    lowest digests, and the last. So one layer that comes or goes, or one run less, changes the runs beside it and
    beside one other. Neighbours stay in their order, since of a file that two bring the last one's counts.
    """
    names = list(layers)
    ranked = sorted(names[:-1], key=lambda name: hex_digest(_name(layers[name]).encode()))
    ends = {*ranked[: most - 1], *names[-1:]}
    run: list[str] = []
    for name in names:
        run.append(name)
        if name in ends:
            yield run
            run = []


def _name(holds: str) -> str:
    """What a layer of wheels holds, without its version."""
    return holds if holds.startswith("small wheels ") else holds.partition(" ")[0]


def compiled(base: LockedBase) -> list[str]:
    """The folders of an image on a base whose sources are compiled."""
    made = base.bytecode
    return [made.wheels.removesuffix("/lib"), *filter(None, [made.library])] if made is not None else []


def hiding(actions: Iterable[Action], folders: Sequence[str]) -> Action | None:
    """Which of the actions whose layers lie over bytecode may replace sources, in `folders`, that it was made of.

    Nothing looks at the source where there is bytecode, so then there must be none.
    """
    for action in actions:
        for place in _places(action):
            if not place or any(f"{place}/".startswith(f"{it}/") or f"{it}/".startswith(f"{place}/") for it in folders):
                return action
    return None


def _places(action: Action) -> Iterator[str]:
    """Where in the image an action lays something: files, or folders with all in them; "" where nobody can tell."""
    found = list(_named(action.params))
    beginnings = [""]
    if action.sources and len(found) == 1:
        globs = [glob for source in action.sources for glob in source.include]
        beginnings = ["/".join(takewhile(lambda step: not _GLOB & {*step}, glob.split("/"))) for glob in globs]
    for place in found or [""]:
        yield from (f"{place}/{beginning}".strip("/") for beginning in beginnings)


def _named(value: Any) -> Iterator[str]:
    """The places that parameters name. A folder names none, it only holds what lies there already."""
    if isinstance(value, Mapping):
        named = next((value[name] for name in _PLACES if isinstance(value.get(name), str)), None)
        if named is None:
            for one in value.values():
                yield from _named(one)
        elif value.get("kind") != "directory":
            yield named.strip("/")
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _named(one)


def _seconds(wheel: str, size: int | None) -> float:
    """What compiling a wheel takes, for weights: one that has libraries has less to compile, and large ones no more."""
    return (size or 0) * 1.5e-6 if wheel.endswith("-none-any.whl") else min(size or 0, 12e6) * 0.2e-6
