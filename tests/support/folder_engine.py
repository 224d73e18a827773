"""An engine on this machine: lays each task out in a folder of its own, and runs what an engine starts there."""

import os
import subprocess
import sys
from pathlib import Path

from buildrules.engine.kind import BuildContext
from buildrules.executors.depot import Depot
from buildrules.executors.engine import EngineError, Ran
from buildrules.executors.folder import ANSWER, OUT, TASK, laid
from buildrules.executors.task import Task
from buildrules.net.session import Session
from buildrules.remote.backend import Blob
from buildrules.remote.guarded import Guarded
from buildrules.remote.opening import open_backend


class FolderEngine:
    """Content comes from a folder, and goes to it. `ran` are the kinds of the tasks, in order, `asked` what
    their workers must have."""

    slots, overhead = 4, 0.0
    unfit: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.name = f"file://{folder}"
        self.folder = folder
        (folder / "content").mkdir(parents=True)
        self.ran: list[str] = []
        self.asked: list[dict[str, str]] = []
        self.namespaces: set[str] = set()
        self.open()

    def open(self) -> "FolderEngine":
        """For one command more."""
        self.depot = Depot(lambda: Guarded(open_backend(f"{self.name}/content", Session())))
        return self

    def greet(self) -> None:
        pass

    def run(self, task: Task, context: BuildContext, *, again: bool = False) -> Ran:
        at = self.folder / "work" / os.urandom(4).hex()
        for path, blob in laid(task).items():
            target = at / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"".join(self.depot.place.read(blob)))
        at.mkdir(parents=True, exist_ok=True)
        (at / TASK).write_bytes(task.data())
        self.ran.append(task.step.kind)
        self.asked.append(dict(task.properties))
        self.namespaces.add(task.namespace)
        command = [sys.executable, "-m", "buildrules.executors"]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": "/nonexistent"}
        done = subprocess.run(command, cwd=at, env=env, capture_output=True, text=True, check=False)
        if not (at / ANSWER).exists():
            raise EngineError("the worker gave no answer", log=done.stderr)
        for file in (at / OUT).iterdir():
            data = file.read_bytes()
            assert self.depot.place.write(Blob(f"sha256:{file.name}", len(data)), lambda data=data: [data])  # type: ignore[misc]
        return Ran((at / ANSWER).read_bytes(), "a folder")

    def close(self) -> None:
        self.depot.close()
