"""A build loop with kinds made of functions, for tests of the engine."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from buildrules.engine.action import Action, Outputs, SourceSet
from buildrules.engine.build import Before, Build, Outcome
from buildrules.engine.changes import Told
from buildrules.engine.events import Event, Stream
from buildrules.engine.key import walk
from buildrules.engine.kind import Context, Traits
from buildrules.engine.plan import Goal, Plan
from buildrules.engine.step import Step, step_of
from buildrules.net.session import Session
from buildrules.store.store import Store
from buildrules.workspace.globs import expand

Work = Callable[[Step, Context], Outputs]


class Kinds:
    """Kinds by name, made of functions; `ran` lists the actions in the order they began."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.works: dict[str, Work] = {"text": text_of}
        self.traits: dict[str, Traits] = {}
        self.now = 1  # the version of all kinds

    def version(self, name: str) -> int:
        return self.now

    def fits(self, name: str, outputs: Outputs) -> bool:
        return outputs.values.get("whole", True) is True

    def told(self, name: str) -> dict[str, Told]:
        return {}

    def named(self, name: str) -> Any:
        kinds = self

        class Kind:
            version = 1
            traits = kinds.traits.get(name, Traits())

            def run(self, step: Step, context: Context) -> Outputs:
                kinds.ran.append(step.title)
                return kinds.works[name](step, context)

        Kind.name = name  # type: ignore[attr-defined]
        return Kind()


def text_of(step: Step, context: Context) -> Outputs:
    """A blob of the sizes of all files and of what the dependencies made."""
    text = step.params.get("text", "") + "".join(f"{file.name} {file.size}\n" for file in step.files)
    text += "".join(outputs.blobs["text"] for outputs in step.outputs)
    return Outputs(blobs={"text": context.blobs.put(text.encode())})


class Bench:
    """A workspace, a store and a plan."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "ws"
        self.root.mkdir()
        self.store_root = folder / "store"
        self.kinds = Kinds()
        self.plan = Plan()
        self.events: list[Event] = []
        self.previous: dict[str, Outcome] = {}
        self._before: dict[str, Before] = {}  # as the state of a workspace keeps it

    def add(self, name: str, *deps: str, kind: str = "text", glob: str = "", goal: bool = False, **params: Any) -> None:
        sources = (SourceSet("", (glob,)),) if glob else ()
        self.plan.add(Action(name, "//:t", kind, name, params=params, sources=sources, deps=deps))
        if goal:
            self.plan.goals.append(Goal(name, "linux/amd64", name, "layers"))

    def build(self, store: Store | None = None, **more: Any) -> Build:
        """With a `store`, which stays open, or one of its own."""
        self.kinds.ran.clear()
        self.events.clear()
        given, store = store, store or Store(str(self.store_root))
        build = Build(
            self.plan,
            store,
            str(self.root),
            session=Session(),
            kinds=self.kinds,
            expand=expand,
            stream=Stream(self.events.append),
            previous=self.previous,
            **more,
        )
        build.recall = self._before.get
        try:
            build.run()
        finally:
            if given is None:
                store.close()
        for name, outcome in build.outcomes.items():
            if outcome.outputs is not None:
                action = self.plan.actions[name]
                files = [build.sources.read(source) for source in action.sources]
                made = [found for dep in action.deps if (found := build.outcomes[dep].outputs) is not None]
                sees = walk(step_of(action, self.kinds.now, files, made)).sees
                self._before[name] = Before(outcome.key, partial(dict, sees), outcome.reasons)
        return build
