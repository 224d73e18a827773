"""An action as the step that its kind runs, and an executor that hands steps to another process."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildrules import errors
from buildrules.actions.registry import Kinds
from buildrules.engine.action import Action, Outputs, SourceFile
from buildrules.engine.executor import FetchFirst
from buildrules.engine.kind import Context, Kind
from buildrules.engine.step import Step, step_of
from buildrules.engine.step_file import StepFile
from buildrules.errors import BuildrulesError, DamagedError
from buildrules.net.session import Session


def step(
    action: Action, sources: Sequence[Sequence[SourceFile]] = (), deps: Sequence[Outputs] = (), version: int = 1
) -> Step:
    """The step, as it comes out of a file: every test of a kind shows that it needs nothing else."""
    made = step_of(action, version, sources, deps)
    return Step.from_dict(json.loads(json.dumps(made.to_dict())))


def made(kind: Kind, step: Step, context: Context) -> Outputs:
    """What a step makes here, after the content it needs was fetched, as a build does it."""
    kinds = Kinds(Session())

    class Direct:
        def run(self, step: Step) -> Outputs:
            return (kind if step.kind == kind.name else kinds.named(step.kind)).run(step, context)

    return FetchFirst(Direct(), kinds).run(step)


class OtherProcess:
    """Runs each step by `buildrules step`. `ran` are the kinds, in order, `failed` the classes of errors."""

    def __init__(self, root: Path, env: dict[str, str], connections: Sequence[dict[str, Any]] = ()) -> None:
        self._root, self._env, self._connections = root, env, list(connections)
        self.ran: list[str] = []
        self.failed: list[str] = []
        self.bytes_read = 0

    slots = 1

    def executor(self, *_: object) -> "OtherProcess":
        """See `engine.build.Elsewhere`."""
        return self

    def placed(self) -> None:
        """See `engine.build.Elsewhere`."""

    def run(self, step: Step) -> Outputs:
        file = self._root.parent / f"step-{len(self.ran)}-{os.urandom(4).hex()}.json"
        self.ran.append(step.kind)
        file.write_text(StepFile(step, self._connections, []).text())
        done = subprocess.run(
            [sys.executable, "-m", "buildrules", "step", str(file)],
            cwd=self._root,
            env={**self._env, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        answer = json.loads(done.stdout)
        self.bytes_read += answer["bytes"]["read"]
        if done.returncode == 0:
            return Outputs.from_dict(answer["outputs"])
        told = answer["error"]
        self.failed.append(told["class"])
        if told["class"] == "DamagedError":
            raise DamagedError(told["message"], told["digest"], hint=told.get("hint"))
        found: type[BuildrulesError] = getattr(errors, told["class"])  # of those that need nothing else
        raise found(told["message"], hint=told.get("hint"), log=told.get("log"))
