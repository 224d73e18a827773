"""What all benchmarks share: running the command, taking medians, a workspace to work in, a table."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PYTHON = sys.executable  # the interpreter the command itself runs in
SCRIPT = Path(sys.prefix) / "bin" / "buildrules"
RACY = 2.1  # seconds until a file that was just written is trusted again
DOCKER = "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else "docker"


class Place:
    """A copy of the example workspace with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.store = folder / "store"
        shutil.copytree(EXAMPLES, self.workspace)

    def environment(self) -> dict[str, str]:
        """The environment of commands: this store."""
        return {**os.environ, "BUILDRULES_CACHE_DIR": str(self.store)}

    def buildrules(self, *arguments: str, store: Path | None = None) -> str:
        """Run the command in the workspace; returns what it printed. Raises CalledProcessError, showing the errors."""
        environment = self.environment()
        if store is not None:
            environment["BUILDRULES_CACHE_DIR"] = str(store)
        return run([str(SCRIPT), *arguments], cwd=self.workspace, env=environment)

    def forget_state(self) -> None:
        """Remove what is kept of workspaces; records and blobs stay."""
        shutil.rmtree(self.store / "workspaces", ignore_errors=True)

    def forget_records(self, which: Callable[[dict[str, Any]], bool]) -> None:
        """Remove the records of steps for whose outputs `which` is true."""
        from buildrules.store.store import Store

        store = Store(str(self.store))
        for key in list(store.records.keys()):
            if which((store.records.get(key) or {}).get("outputs", {})):
                store.records.delete(key)
        store.close()

    def settle(self, *arguments: str) -> None:
        """Bring a command line to rest: built, and its snapshot trusted."""
        self.buildrules(*arguments)
        time.sleep(RACY)
        self.buildrules(*arguments)


def of_wheels(outputs: dict[str, Any]) -> bool:
    """Whether a step has made layers of wheels, and nothing else."""
    recipes = [layer["recipe"] for layer in outputs.get("layers", [])]
    return bool(recipes) and all(
        recipe is not None and all(part["kind"] == "wheel" for part in recipe["parts"]) for recipe in recipes
    )


@contextmanager
def place() -> Iterator[Place]:
    """A fresh place, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as folder:
        yield Place(Path(folder))


def run(command: Sequence[str], **options: object) -> str:
    """Run a command to its end; returns its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise subprocess.CalledProcessError(done.returncode, command)
    return str(done.stdout)


def seconds(work: Callable[[], object]) -> float:
    """The wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def medians(
    contenders: dict[str, Callable[[], object]],
    *,
    runs: int = 5,
    before: Callable[[str, int], object] = lambda *_: None,
) -> dict[str, float]:
    """Median seconds of each contender; they take turns, so that a busy moment hits all."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(runs):
        for name, work in contenders.items():
            before(name, number)
            times[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in times.items()}


def table(title: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Print rows of (what, measured, must reach)."""
    print(f"\n## {title}\n")
    print("| what | measured | must reach |")
    print("|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


def verdict(good: bool) -> str:
    """For the last column."""
    return "reached" if good else "MISSED"


def milliseconds(value: float) -> str:
    """Seconds as "12.3 ms"."""
    return f"{value * 1000:.1f} ms"


def disk_usage(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def docker_build(context: Path, tag: str, *options: str) -> str:
    """`docker build` with BuildKit."""
    command = [DOCKER, "build", "--quiet", "--tag", tag, *options, str(context)]
    return run(command, env={**os.environ, "DOCKER_BUILDKIT": "1"})
