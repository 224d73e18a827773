"""An action as the step that its kind runs, and an executor that hands steps to another process."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildrules.engine.action import Action, Outputs, SourceFile
from buildrules.engine.step import Step, step_of


def step(
    action: Action, sources: Sequence[Sequence[SourceFile]] = (), deps: Sequence[Outputs] = (), version: int = 1
) -> Step:
    """The step, as it comes out of a file: every test of a kind shows that it needs nothing else."""
    made = step_of(action, version, sources, deps)
    return Step.from_dict(json.loads(json.dumps(made.to_dict())))


class OtherProcess:
    """Runs each step by `buildrules step`. `ran` are the kinds, in order."""

    def __init__(self, root: Path, env: dict[str, str], connections: Sequence[dict[str, Any]] = ()) -> None:
        self._root, self._env, self._connections = root, env, list(connections)
        self.ran: list[str] = []

    def run(self, step: Step) -> Outputs:
        file = self._root.parent / f"step-{len(self.ran)}-{os.urandom(4).hex()}.json"
        self.ran.append(step.kind)
        file.write_text(json.dumps({"step": step.to_dict(), "connections": self._connections, "plugins": []}))
        done = subprocess.run(
            [sys.executable, "-m", "buildrules", "step", str(file)],
            cwd=self._root,
            env={**self._env, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return Outputs.from_dict(json.loads(done.stdout))
