"""Many packages for another build system: by one worker, and by a process each.

    python -m benchmarks guest [PACKAGES]

Prints seconds and their ratio. The packages differ in code, and share environment, server and model.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.space import BUILD, FILES, Space, make_wheels

COMMAND = [sys.executable, "-m", "buildrules", "guest"]


def workspace(folder: Path, packages: int) -> Space:
    """A locked workspace with so many packages, each in a folder of its own."""
    space = Space(folder, make_wheels(folder / "wheels")).populate(FILES)
    shared, _, _ = BUILD.partition("  code:")
    space.write("BUILD.yaml", f"{shared}  server: {{rule: //rules:tiny}}\n")
    for number in range(packages):
        space.write(f"p{number}/score.py", f"def run(data):\n    return {number}\n")
        space.write(
            f"p{number}/BUILD.yaml",
            "targets:\n"
            "  code: {rule: scoring_code, srcs: [score.py], entry_script: score.py}\n"
            '  app: {rule: model_package, model: "//:m", base_env: "//:env", server: "//:server", code: ":code"}\n',
        )
    space.run("lock", "//...")
    return space


def arguments(space: Space, packages: int) -> list[list[str]]:
    """The arguments of each package's build."""
    labels = [f"//p{number}:app" for number in range(packages)]
    found = []
    for number, target in enumerate(json.loads(space.run("guest", "inputs", *labels, "--root", ".").out)["targets"]):
        content = [f"sha256:{row['sha256']}  {space.wheels / row['name']}" for row in target["content"]]
        inputs = space.folder / f"{number}.inputs"
        inputs.write_text("".join(f"{line}\n" for line in [*target["files"], *content]))
        root, out = str(space.root), str(space.folder / f"out{number}")
        found.append([target["label"], "--root", root, "--inputs", str(inputs), "--out", out, "--offline"])
    return found


def by_worker(words: list[list[str]]) -> float:
    """Seconds of one worker for all."""
    requests = "".join(json.dumps({"arguments": one, "requestId": 0}) + "\n" for one in words)
    began = time.perf_counter()
    done = subprocess.run([*COMMAND, "worker"], input=requests, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - began
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(words), answers
    assert all(one["exitCode"] == 0 for one in answers), answers
    return seconds


def by_processes(words: list[list[str]]) -> float:
    """Seconds of a process for each, one after the other."""
    began = time.perf_counter()
    for one in words:
        subprocess.run([*COMMAND, "build", *one], check=True)
    return time.perf_counter() - began


def main(words: Sequence[str] = ()) -> None:
    """Measure and print, of as many packages as the first word says."""
    packages = int(words[0]) if words else 100
    with tempfile.TemporaryDirectory() as folder:
        asked = arguments(workspace(Path(folder), packages), packages)
        worker, processes = by_worker(asked), by_processes(asked)
    print(f"{packages} packages: worker {worker:.2f} s, processes {processes:.2f} s, ratio {processes / worker:.1f}")
