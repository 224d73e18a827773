"""How many sample environments lock with the Python they ask for: `python -m benchmarks.samples CLONE [TEXT ...]`.

CLONE is one of github.com/Azure/azureml-examples, with or without a work tree. Of its conda files that ask for a Python
each content counts once; with TEXT only those whose path holds one of them. Each gets a python_env without a base and
is locked by the command line; nothing is built. Prints a table by cause, and what stands in the way of each.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import yaml

CAUSES = {
    r"and there is no such Python": "asks for a Python that nobody builds",
    r"No wheel found matching": "asks for a package without a wheel for this Python and platform",
    r"is not a Python package": "conda packages that are no Python packages",
    r"does not belong to the requirements": "names a package index of its own",
    r"cannot be satisfied together": "pins that exclude each other, or do not exist",
}
"""What errors say, and what that means."""
LOCKS, FROM_SOURCE = "locks", "locks; some packages exist as source only"
_WORKERS = 2


class Sample(NamedTuple):
    """A conda file: the first path it has, its text, and the minor version of Python it asks for."""

    path: str
    text: str
    python: str


class Outcome(NamedTuple):
    """What became of a sample, and what to say of it."""

    sample: Sample
    cause: str
    said: str


def samples(clone: str) -> Iterator[Sample]:
    """The conda files of a clone that ask for a Python, by path."""
    seen = set()
    for path in _git(clone, "ls-tree", "-r", "--name-only", "HEAD").splitlines():
        if not path.endswith((".yml", ".yaml")):
            continue
        text = _git(clone, "show", f"HEAD:{path}")
        digest = hashlib.sha256(text.encode()).digest()
        if "dependencies:" not in text or digest in seen:
            continue
        seen.add(digest)
        data = yaml.safe_load(text)
        listed = data.get("dependencies") if isinstance(data, dict) else None
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, str) and (found := re.match(r"python\s*[=<>~]+\s*(\d+\.\d+)", item)):
                yield Sample(path, text, found[1])
                break


def lock(sample: Sample, root: Path) -> Outcome:
    """Lock a sample in the workspace `root`, which keeps the locks of bases for the samples after it."""
    folder = root / hashlib.sha256(sample.text.encode()).hexdigest()[:8]
    folder.mkdir()
    (folder / "conda.yaml").write_text(sample.text)
    (folder / "BUILD.yaml").write_text("targets: {env: {rule: python_env, conda_file: conda.yaml}}\n")
    command = [sys.executable, "-m", "buildrules", "lock", f"//{folder.name}:env"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        cause = next((cause for said, cause in CAUSES.items() if re.search(said, done.stderr)), "something else")
        errors = re.search(r"^error: (.*)", done.stderr, re.M)
        return Outcome(sample, cause, errors[1] if errors else done.stderr.strip())
    (written,) = folder.glob("pylock.*.toml")
    packages = tomllib.loads(written.read_text())["packages"]
    source = [f"{one['name']} {one['version']}" for one in packages if "sdist" in one]
    return Outcome(sample, FROM_SOURCE if source else LOCKS, ", ".join(source))


def main() -> None:
    """Lock them all, and print what became of them."""
    clone, *wanted = sys.argv[1:]
    chosen = [one for one in samples(clone) if not wanted or any(text in one.path for text in wanted)]
    with tempfile.TemporaryDirectory(prefix="buildrules-samples-") as scratch, ThreadPoolExecutor(_WORKERS) as pool:
        os.environ |= {"BUILDRULES_CACHE_DIR": f"{scratch}/store"}
        roots: SimpleQueue[Path] = SimpleQueue()
        for number in range(_WORKERS):
            root = Path(scratch, f"workspace{number}")
            root.mkdir()
            (root / "BUILD.yaml").write_text("workspace: {name: samples, platforms: [linux/amd64]}\n")
            roots.put(root)

        def work(sample: Sample) -> Outcome:
            root = roots.get()
            try:
                found = lock(sample, root)
            finally:
                roots.put(root)
            print(f"{sample.python:5} {found.cause}  {sample.path}" + (f"\n      {found.said}" if found.said else ""))
            sys.stdout.flush()
            return found

        outcomes = list(pool.map(work, chosen))
    print(f"\n{len(outcomes)} distinct conda files\n\n| | " + " | ".join(_PYTHONS) + " | all |")
    print("|---|" + "---|" * (len(_PYTHONS) + 1))
    counts = Counter((one.cause, one.sample.python) for one in outcomes)
    for cause in (LOCKS, FROM_SOURCE, *CAUSES.values(), "something else"):
        row = [counts[cause, python] for python in _PYTHONS]
        if sum(row):
            print(f"| {cause} | {' | '.join(str(number or '') for number in row)} | {sum(row)} |")


_PYTHONS = ("3.7", "3.8", "3.9", "3.10", "3.12")


def _git(clone: str, *words: str) -> str:
    return subprocess.run(["git", "-C", clone, *words], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
