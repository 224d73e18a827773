"""Plans layers of bytecode: one beside each layer of wheels, one for the standard library of the base's Python."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from buildrules.actions.params import BytecodeParams
from buildrules.actions.python.compiler import DIGEST
from buildrules.engine.action import Action
from buildrules.engine.plan import Plan
from buildrules.locking.locks import Bytecode, LockedBase
from buildrules.rules.contribution import VENV
from buildrules.sha256 import hex_digest

MOST = 24
"""Up to so many layers of wheels of an environment have one of bytecode each."""
FEW = 16
"""Of more, so many layers of bytecode are made, more or less: an image may have a hundred layers at most."""

_LIBRARY = "standard library: bytecode"
_SECONDS = 5.0  # for weights: what compiling the standard library takes


class BytecodePlanner:
    """Plans the bytecode of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._done: dict[tuple[str, ...], dict[str, str]] = {}  # what packages share is planned once

    def library(self, base: LockedBase) -> dict[str, str]:
        """The layer of bytecode of a base's standard library, with what it holds; nothing where none is made."""
        made = base.bytecode
        if made is None:
            return {}
        params = BytecodeParams(made.library, made.interpreter, DIGEST, made.sources)
        target = str(base.target.label)
        action = Action(
            id=f"{target} {base.platform} bytecode",
            target=target,
            kind="bytecode_layer",
            title=f"base {base.target.label.name}: bytecode",
            params=params._asdict(),
            places=made.places,
            weight=_SECONDS,
        )
        return {self._plan.add(action): _LIBRARY}

    def beside(self, base: LockedBase, layers: Mapping[str, str]) -> dict[str, str]:
        """`layers` (actions, and what they hold) in their order, and behind those of wheels their bytecode."""
        made = base.bytecode
        if made is None:
            return dict(layers)
        key = (made.interpreter, *layers)
        if key not in self._done:
            self._done[key] = self._beside(made, layers)
        return self._done[key]

    def _beside(self, made: Bytecode, layers: Mapping[str, str]) -> dict[str, str]:
        wheels = [name for name in layers if self._plan.actions[name].kind == "wheel_layer"]
        groups = {group[-1]: group for group in _groups({name: layers[name] for name in wheels})}
        found: dict[str, str] = {}
        for name, holds in layers.items():
            found[name] = holds
            if name in groups:
                group = groups[name]
                words = f"{holds}: bytecode" if len(group) == 1 else f"{len(group)} layers: bytecode"
                found[self._plan.add(self._of(group, made))] = words
        return found

    def _of(self, group: Sequence[str], made: Bytecode) -> Action:
        """The bytecode of the layers that the actions `group` make."""
        actions = [self._plan.actions[name] for name in group]
        last = actions[-1]
        title = f"{last.title}: bytecode" if len(group) == 1 else f"{actions[0].title} to {last.title}: bytecode"
        places: dict[str, Any] = dict(made.places)
        for key in ("urls", "sizes"):
            places[key] = {name: value for one in actions for name, value in one.places[key].items()}
        places["index"] = last.places["index"]
        return Action(
            id=f"{' '.join(group)} bytecode {made.interpreter}",
            target=last.target,
            kind="bytecode_layer",
            title=title,
            params=BytecodeParams(f"{VENV.strip('/')}/lib", made.interpreter, DIGEST)._asdict(),
            deps=tuple(group),
            places=places,
            weight=0.1 + sum(one.weight for one in actions),
        )


def _groups(layers: Mapping[str, str]) -> Iterable[list[str]]:
    """Runs of neighbours whose bytecode shares a layer: of each alone, as long as they are few.

    `layers` are actions, with what they hold, such as "numpy 2.3.1". Where a run ends depends on the name of its last
    alone, so one that comes or goes changes one run. Neighbours stay in their order, since of a file that two bring the
    last one's counts.
    """
    share = 1 if len(layers) <= MOST else -(-len(layers) // FEW)
    run: list[str] = []
    for name, holds in layers.items():
        run.append(name)
        if int(hex_digest(holds.partition(" ")[0].encode())[:8], 16) % share == 0:
            yield run
            run = []
    if run:
        yield run


def hidden(files: Iterable[str], base: LockedBase) -> bool:
    """Whether files that are laid over an image, by place, may replace sources that bytecode was made of.

    Nothing looks at the source where there is bytecode, so then there must be none.
    """
    folders = [VENV.strip("/"), *([base.bytecode.library] if base.bytecode is not None else [])]
    places = [place.strip("/") for place in files]
    return any(
        f"{place}/".startswith(f"{folder}/") or f"{folder}/".startswith(f"{place}/") or not place
        for place in places
        for folder in folders
    )
