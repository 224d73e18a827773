"""What commands cost in a generated workspace of any size, beside a bare interpreter and other build tools.

    python -m benchmarks scale [--packages 1000] [--environments 1] [--runs 5] [--rows unchanged edit] [--peers ninja]

Without a size: 1,000 packages with all rows and peers, then 10,000 packages, and 1,000 with 50 environments, with the
rows that have a goal for 10,000. Goals are those agreed for 1,000 and 10,000 packages; other sizes have none.
"""

import argparse
import compileall
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.common import PYTHON, RACY, ROOT, run, table, verdict
from benchmarks.process import BARE, Cost, Sample, sample, spend
from benchmarks.workspace import generate, name_of

ONE = f"//{name_of(1)}"
LAUNCHER = f"""\
#!{PYTHON}
import sys
from buildrules.__main__ import command
if __name__ == "__main__":
    sys.exit(command())
"""
"""The script that uv and the pip of today write for a command. Older ones import `re` first, for 0.3 x."""


class Scene:
    """One generated workspace and its store."""

    def __init__(self, folder: Path, packages: int, environments: int, runs: int) -> None:
        self.folder, self.packages, self.runs = folder, packages, runs
        self.root, self.store = folder / "workspace", folder / "store"
        self.script = folder / "buildrules"
        self.script.write_text(LAUNCHER)
        self.script.chmod(0o755)
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BUILDRULES"))}
        self.env["BUILDRULES_CACHE_DIR"] = str(self.store)
        self._edits = 0
        self._texts: dict[Path, str] = {}
        generate(self.root, packages, environments)
        time.sleep(RACY)

    def build(self, *arguments: str, root: Path | None = None) -> Cost:
        """One command."""
        return spend([str(self.script), *arguments], root or self.root, self.env)

    def settle(self, pattern: str) -> None:
        """Build, and build again when every file is old enough to be trusted."""
        self.build("build", pattern)
        time.sleep(RACY)
        self.build("build", pattern)

    def forget(self) -> None:
        """Begin with an empty store: no download, record, blob or state.

        The old one is moved away: ext4 passes by inodes that were freed in the last minutes, one by one, for every new
        file, which would be measured instead.
        """
        if self.store.exists():
            self.store.rename(self.folder / f"store-{time.time_ns()}")

    def edit(self, number: int) -> None:
        """Another line in a script of a package, in place."""
        self._edits += 1
        with open(self.root / name_of(number) / "src" / "score.py", "a") as file:
            file.write(f"# edit {self._edits}\n")

    def save(self, number: int) -> None:
        """The same as editors do it: a new file, renamed over the old one."""
        self._edits += 1
        script = self.root / name_of(number) / "src" / "score.py"
        new = script.with_suffix(".new")
        new.write_text(script.read_text() + f"# edit {self._edits}\n")
        new.replace(script)

    def edit_package(self, number: int) -> None:
        """Another label of the image in a BUILD.yaml."""
        self._edits += 1
        file = self.root / name_of(number) / "BUILD.yaml"
        file.write_text(self._texts.setdefault(file, file.read_text()) + f"    labels: {{edit: '{self._edits}'}}\n")


def _unchanged(scene: Scene, pattern: str = "//...") -> Sample:
    scene.settle(pattern)
    return sample(lambda: scene.build("build", pattern), runs=scene.runs)


def _changed(scene: Scene, pattern: str, change: Callable[[int], object], number: int) -> Sample:
    scene.settle(pattern)
    return sample(lambda: scene.build("build", pattern), runs=scene.runs, before=lambda _run: change(number))


def _cold(scene: Scene) -> Sample:
    return sample(lambda: scene.build("build", "//..."), runs=scene.runs, before=lambda _run: scene.forget())


def _second(scene: Scene) -> Sample:
    def before(_run: int) -> None:
        scene.forget()
        scene.build("build", "//...")

    return sample(lambda: scene.build("build", "//..."), runs=scene.runs, before=before)


def _records(scene: Scene) -> Sample:
    """A copy of the workspace, which nothing knows yet, beside the store that has all records."""
    scene.settle("//...")
    clone = scene.folder / "clone"
    number = 0

    def before(_run: int) -> None:
        nonlocal clone, number
        shutil.rmtree(clone, ignore_errors=True)
        number += 1
        clone = scene.folder / f"clone{number}"
        shutil.copytree(scene.root, clone)
        time.sleep(RACY)

    try:
        return sample(lambda: scene.build("build", "//...", root=clone), runs=scene.runs, before=before)
    finally:
        shutil.rmtree(clone, ignore_errors=True)


def _analysis(scene: Scene) -> Sample:
    return sample(lambda: scene.build("query", "//..."), runs=scene.runs, before=lambda _run: scene.forget())


def _report(scene: Scene) -> Sample:
    scene.settle("//...")
    page = scene.folder / "report.html"
    return sample(lambda: scene.build("report", "-o", str(page)), runs=scene.runs)


def _query(scene: Scene) -> Sample:
    words = ("query", "rdeps(//..., //:env)")
    scene.build(*words)
    time.sleep(RACY)
    scene.build(*words)
    return sample(lambda: scene.build(*words), runs=scene.runs)


def _committed(scene: Scene) -> list[str]:
    """Commit the workspace, then an edit of one file; returns the words of git in it."""
    git = ["git", "-C", str(scene.root), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    if not (scene.root / ".git").exists():
        run([*git, "init", "-q"])
        run([*git, "add", "-A"])
        run([*git, "commit", "-qm", "all"])
        scene.edit(5)
        run([*git, "commit", "-qam", "one file"])
    run([*git, "status"])  # which refreshes what git knows of the files
    return git


def _affected(scene: Scene) -> Sample:
    _committed(scene)
    words = ("affected", "--since", "HEAD~1")
    scene.build(*words)
    time.sleep(RACY)
    scene.build(*words)
    return sample(lambda: scene.build(*words), runs=scene.runs)


def _planned(scene: Scene) -> Sample:
    """As a machine has it that knows nothing: both sides are planned."""
    _committed(scene)
    return sample(
        lambda: scene.build("affected", "--since", "HEAD~1"), runs=scene.runs, before=lambda _run: scene.forget()
    )


def _git(scene: Scene) -> Sample:
    command = [*_committed(scene), "diff", "--name-only", "HEAD~1"]
    return sample(lambda: spend(command, scene.root, scene.env), runs=scene.runs)


@dataclass(frozen=True)
class Row:
    """One row: what it is for people, how it is measured, and the goals by number of packages."""

    title: str
    measure: Callable[[Scene], Sample]
    ratios: dict[int, float]
    memory: dict[int, int]
    seconds: dict[int, float]

    def goal(self, packages: int, found: Sample) -> str:
        """The goals for this size, and whether they are reached."""
        texts = []
        for name, goals, value in (
            ("{:g} x", self.ratios, found.ratio),
            ("{:g} s", self.seconds, found.cost.wall),
            ("{:g} MB", self.memory, found.cost.memory / 1e6),
        ):
            if packages in goals:
                texts.append(f"{name.format(goals[packages])}: {verdict(value <= goals[packages])}")
        return ", ".join(texts)


def _row(
    title: str,
    measure: Callable[[Scene], Sample],
    *,
    ratios: dict[int, float] | None = None,
    memory: dict[int, int] | None = None,
    seconds: dict[int, float] | None = None,
) -> Row:
    return Row(title, measure, ratios or {}, memory or {}, seconds or {})


ROWS = {
    "cold": _row("cold build", _cold, seconds={1000: 5.5}),
    "second": _row("the second run after it", _second, ratios={1000: 4.2}),
    "unchanged": _row("unchanged `//...`", _unchanged, ratios={1000: 4.2, 10_000: 30}, memory={10_000: 40}),
    "one": _row("unchanged `//one`", lambda scene: _unchanged(scene, ONE), ratios={1000: 1.6, 10_000: 1.6}),
    "edit": _row(
        "one file edited, `//...`",
        lambda scene: _changed(scene, "//...", scene.edit, 3),
        ratios={1000: 6.5, 10_000: 32.3},  # at 10,000: what the stats cost more
    ),
    "edit_one": _row(
        "one file edited, `//one`", lambda scene: _changed(scene, ONE, scene.edit, 1), ratios={1000: 3.5, 10_000: 3.5}
    ),
    "package": _row(
        "one BUILD.yaml edited, `//...`",
        lambda scene: _changed(scene, "//...", scene.edit_package, 4),
        ratios={1000: 15},
    ),
    "save": _row(
        "an editor's save in `//two`, `//one` asked",
        lambda scene: _changed(scene, ONE, scene.save, 2),
        ratios={1000: 1.8, 10_000: 1.8},
    ),
    "records": _row("every record at hand, no state (fresh clone)", _records, seconds={1000: 2.2}),
    "analysis": _row(
        "load and analysis, nothing kept (`query //...`)",
        _analysis,
        ratios={1000: 45},
        seconds={1000: 1.2, 10_000: 12},
        memory={10_000: 250},
    ),
    "report": _row("`report`", _report, seconds={1000: 2}),
    "query": _row("`query 'rdeps(//..., //:env)'`", _query, ratios={1000: 10}),
    "git": _row("`git diff --name-only HEAD~1`, for comparison", _git),
    "affected": _row("`affected --since HEAD~1`, one file", _affected, ratios={1000: 12}),
    "affected_planned": _row("the same, nothing kept", _planned),
}


def _line(title: str, found: Sample, goal: str) -> tuple[str, str, str]:
    cost = found.cost
    text = f"{cost.wall * 1000:,.0f} ms, {found.ratio:.2f} x; processor {cost.processor * 1000:,.0f} ms"
    text += f", {cost.processor / found.bare.processor:.2f} x"
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    text += f"; {cost.memory / 1e6:.0f} MB" if cost.memory > 1.02 * own else f"; below {own / 1e6:.0f} MB"
    print(" | ".join((title, text, goal, found.said)), flush=True)
    return title, text, goal


def _measure(packages: int, environments: int, runs: int, rows: Sequence[str], tools: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as folder:
        scene = Scene(Path(folder), packages, environments, runs)
        lines = [_line("bare `python -c pass`", sample(lambda: spend(BARE, scene.root, scene.env), runs=runs), "")]
        for name in rows:
            found = ROWS[name].measure(scene)
            lines.append(_line(ROWS[name].title, found, ROWS[name].goal(packages, found)))
        for name in tools:
            lines += [_line(title, found, "") for title, found in peers.measure(name, scene.root, scene.env, runs)]
    title = f"{packages:,} packages, {packages * 11:,} files"
    table(f"{title}, {environments} environments" if environments > 1 else title, lines)


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print. Arguments are those of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale")
    parser.add_argument("--packages", type=int)
    parser.add_argument("--environments", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--peers", nargs="*", choices=peers.PEERS, default=list(peers.PEERS))
    options = parser.parse_args(arguments)
    compileall.compile_dir(str(ROOT / "buildrules"), quiet=2)
    _measure(options.packages or 1000, options.environments, options.runs, options.rows, options.peers)
    if options.packages is None:
        large = [name for name in options.rows if 10_000 in {*ROWS[name].ratios, *ROWS[name].seconds}]
        _measure(10_000, 1, options.runs, large, ())
        _measure(1000, 50, options.runs, large, ())


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
