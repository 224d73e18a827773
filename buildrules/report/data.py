"""A report: what the builds of a workspace made, and what the last of them did. The form: docs/reference/report.md.

It is read from the state of the workspace and from the events of its last builds; what needs what is that of its graph
where it loads. Nothing is planned or built.
"""

import marshal
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from buildrules import __version__
from buildrules.engine.action import Action
from buildrules.engine.kept import Brief, Kept
from buildrules.engine.plan import Goal
from buildrules.engine.result import layer_titles
from buildrules.errors import UsageError
from buildrules.graph.targets import Targets
from buildrules.report.builds import LastBuilds, Told
from buildrules.report.contents import KINDS, OTHER
from buildrules.report.layout import heights, orders
from buildrules.state.reader import State
from buildrules.workspace.labels import Label, Patterns

SCHEMA = 1
_JOINS = ("image", "index", "group")
"""Kinds of steps whose layers others made."""

_ROLES = ("base", "env", "server", "code")
_PROVIDES = {"base": "base", "packages": "env", "models": "model"}
_BY_KIND = {"files_layer": "code", "inline_layer": "env", "entry_script": "code", "package_test": "test"}


class Rows:
    """A table: rows that are added once, by what names them."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.numbers: dict[Any, int] = {}
        self.rows: list[list[Any]] = []

    def add(self, name: Any, row: Iterable[Any]) -> int:
        """The number of the row of that name, which is `row` if it is new."""
        number = self.numbers.get(name)
        if number is None:
            number = self.numbers[name] = len(self.rows)
            self.rows.append(list(row))
        return number

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"columns": self.columns, "rows": self.rows}


class Report:
    """Gathers a report."""

    def __init__(
        self, root: str, patterns: Patterns, words: Sequence[str], configurations: Collection[str] = ()
    ) -> None:
        """Of the workspace at `root` with these configurations, of what `patterns`, written as `words`, select."""
        self._configurations = sorted(set(configurations))
        self._root, self._patterns, self._words = root, patterns, words
        self._targets = Rows("label", "provides", "height", "order", "needs")
        self._needs: list[set[int]] = []  # by target
        self._steps = Rows("target", "title", "kind", "key", "reasons", "needs", "layers")
        self._layers = Rows("digest", "size", "title", "holds", "step")
        self._images = Rows("target", "platform", "digest", "size", "layers")
        self._reasons = Rows("reasons")

    def add_state(self, state: State) -> None:
        """Take what the state has of the selected goals. Raises UsageError where that is nothing; Damaged."""
        kept = Kept(state)
        goals: dict[tuple[str, str, str], tuple[Goal, int]] = {}
        for request in state.requests():
            for number, row in zip(request.goals, state.rest(request)["goals"], strict=True):
                goal = Goal(*marshal.loads(row))  # noqa: S302 - made by ourselves
                package, _, name = goal.label.removeprefix("//").partition(":")
                if self._patterns.matches(Label(package, name)):
                    goals.setdefault((goal.label, goal.platform, goal.kind), (goal, number))
        if not goals and state.action_count and self._words != ["//..."]:
            raise UsageError(
                f"'{' '.join(self._words)}' names nothing that was built here",
                hint=f"buildrules build {' '.join(self._words)}; without a pattern all that was built is shown",
            )
        steps: dict[int, int] = {}
        for number in kept.order(kept.below(number for _, number in goals.values())):
            needs = kept.needs(number)
            steps[number] = self._add_step(kept.brief(number), [steps[need] for need in needs])
        for goal, _ in goals.values():
            self._add_goal(goal)

    def _target(self, label: str, provides: str = "") -> int:
        if label.startswith("//@rules:"):  # a server that was named by its rule
            provides = "server"
        number = self._targets.add(label, (label, provides, 0, 0, []))
        if number == len(self._needs):
            self._needs.append(set())
        row = self._targets.rows[number]
        row[1] = row[1] or provides
        return number

    def _named(self, label: str, provides: str) -> int:
        """A target of which is known what it provides, and not only guessed from its steps."""
        number = self._target(label)
        self._targets.rows[number][1] = provides or self._targets.rows[number][1]
        return number

    def _tie(self, target: int, other: int) -> None:
        """Let a target need another one."""
        if target != other:
            self._needs[target].add(other)

    def _reason(self, reasons: Sequence[str]) -> int:
        return self._reasons.add(tuple(reasons), reasons)

    def _add_step(self, one: Brief, needs: list[int]) -> int:
        action, outputs = one.action, one.outputs
        holds = KINDS.get(action.kind, OTHER)
        joins = action.kind in _JOINS
        target = self._asked_by(action.target, _BY_KIND.get(action.kind) or _PROVIDES.get(holds, ""))
        step = self._steps.add(
            action.id, (target, action.title, action.kind, one.key[:16], self._reason(one.reasons), needs, [])
        )
        for need in needs:
            self._tie(target, self._steps.rows[need][0])
        if not joins:
            titles = layer_titles(action.title, outputs)
            self._steps.rows[step][6] = [
                self._layers.add(layer.digest, (layer.digest, layer.size, title, holds, step))
                for layer, title in zip(outputs.layers, titles, strict=True)
            ]
        if action.kind == "image" and self._targets.rows[target][1] in ("", "package"):  # and not that of a job's test
            self._named(self._targets.rows[target][0], "package")
            values, numbers = outputs.values, self._layers.numbers
            layers = [numbers[layer.digest] for layer in outputs.layers if layer.digest in numbers]
            name = (target, values["platform"])
            self._images.add(name, (*name, values["digest"], values["size"], layers))
        return step

    def _asked_by(self, labels: str, provides: str) -> int:
        """The target that a step is made for; where it is code put together of several, the first, which needs them."""
        first, *others = [self._target(label, provides) for label in labels.split(", ")]
        for other in others:
            self._tie(first, other)
        return first

    def _add_goal(self, goal: Goal) -> None:
        kinds = {"image": "package", "index": "package", "group": "env", "test": "test"}
        target = self._named(goal.label, kinds.get(goal.kind, ""))
        info = goal.info
        for role in _ROLES:
            for label in (info.get(role) or "").split(", "):  # code may come from several
                if label.startswith("//"):
                    self._tie(target, self._target(label, role) if role == "code" else self._named(label, role))
        for role, name in (("models", "model"), ("inputs", "input")):
            for item in info.get(role) or ():
                if str(item.get("label", "")).startswith("//"):
                    self._tie(target, self._named(item["label"], name))
        if goal.kind == "test" and info.get("package"):
            self._tie(target, self._named(info["package"], "package"))

    def to_dict(self, last: LastBuilds, graph: Targets | None = None) -> dict[str, Any]:
        """The report: what was added, and what the last builds did. Plain JSON types.

        What targets need is what `graph` says; without it, and where it lacks a target, what their steps say.
        """
        build = None if last.build is None else self._build(last.build)
        for number, label in enumerate(graph.labels if graph else ()):
            if graph and label in self._targets.numbers:
                self._needs[self._targets.numbers[label]] = self._needed_in(graph, number)
        needs = self._acyclic()
        height = heights(needs)
        for row, at, place, needed in zip(self._targets.rows, height, orders(needs, height), needs, strict=True):
            row[1] = row[1] or "other"
            row[2:] = at, place, sorted(needed)
        return {
            "schema": SCHEMA,
            "buildrules": __version__,
            "workspace": os.path.basename(self._root),
            "configurations": self._configurations,
            "patterns": list(self._words),
            "targets": self._targets.to_dict(),
            "steps": self._steps.to_dict(),
            "layers": self._layers.to_dict(),
            "images": self._images.to_dict(),
            "reasons": self._reasons.rows,
            "build": build,
            "tests": None if last.tests is None else {**_head(last.tests), "rows": last.results},
            "push": None if last.push is None else {**_head(last.push), **last.push.others["pushed"][-1]},
        }

    def _needed_in(self, graph: Targets, number: int) -> set[int]:
        """Those of the report that a target of the graph needs, by way of such as have no steps."""
        found, waiting, seen = set(), list(graph.needs[number]), {number}
        while waiting:
            other = waiting.pop()
            if graph.labels[other] in self._targets.numbers:
                found.add(self._targets.numbers[graph.labels[other]])
            elif other not in seen:
                seen.add(other)
                waiting += graph.needs[other]
        return found

    def _acyclic(self) -> list[set[int]]:
        """What each target needs. Steps have no cycles, but two targets may have steps that need each other's: such
        ties are left out."""
        state = [0] * len(self._needs)
        for start in range(len(self._needs)):
            stack = [] if state[start] else [(start, iter(sorted(self._needs[start])))]
            state[start] = state[start] or 1
            while stack:
                node, rest = stack[-1]
                other = next(rest, None)
                if other is None:
                    state[node] = 2
                    stack.pop()
                elif state[other] == 1:
                    self._needs[node].discard(other)
                elif state[other] == 0:
                    state[other] = 1
                    stack.append((other, iter(sorted(self._needs[other]))))
        return self._needs

    def _build(self, told: Told) -> dict[str, Any]:
        rows = Rows("step", "status", "at", "seconds", "worker", "reasons", "critical", "error", "placed")
        critical = critical_path(told.steps)
        for row in told.steps:
            name = row["step"]
            if name not in self._steps.numbers:  # a lint, or what failed
                action = Action(id=name, target=row["target"], kind=row["kind"], title=row["title"])
                needs = [self._steps.numbers[need] for need in row["needs"] if need in self._steps.numbers]
                target = self._asked_by(action.target, _BY_KIND.get(action.kind, ""))
                self._steps.add(name, (target, action.title, action.kind, "", self._reason(()), needs, []))
            step = self._steps.numbers[name]
            times = (row["at"], row["seconds"], row["worker"])
            rest = (self._reason(row["reasons"]), int(name in critical), row.get("error"), row.get("placed"))
            rows.add(name, (step, row["status"], *times, *rest))
        end = told.end
        more = {"error": end["error"]} if "error" in end else {}
        return {**_head(told), **more, "counts": end.get("steps", {}), "steps": rows.to_dict()}


def _head(told: Told) -> dict[str, Any]:
    begin, end = told.begin, told.end
    names = ("id", "verb", "patterns", "time")
    return {name: begin.get(name) for name in names} | {name: end.get(name) for name in ("exit_code", "seconds")}


def critical_path(steps: Sequence[Mapping[str, Any]]) -> set[str]:
    """The steps that take longest one after another, each of which needs the one before: no build is faster than they
    are, however many workers it has. `steps` are rows of events, each after what it needs.
    """
    longest: dict[str, tuple[float, str | None]] = {}
    for row in steps:
        before = max(
            (need for need in row["needs"] if need in longest), key=lambda need: longest[need][0], default=None
        )
        longest[row["step"]] = row["seconds"] + (longest[before][0] if before else 0.0), before
    found: set[str] = set()
    step = max(longest, key=lambda name: longest[name][0], default=None)
    while step is not None:
        found.add(step)
        step = longest[step][1]
    return found
