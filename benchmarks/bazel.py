"""Packages as targets of Bazel: a hundred of them beside a hundred genrules, `python -m benchmarks bazel`.

Bazel is that of npm, 2.1, or the one that BUILDRULES_TEST_BAZEL names.
"""

import os
import tempfile
from pathlib import Path

from benchmarks.common import medians, milliseconds, table, verdict
from tests.support.bazel import Bazel, bazel_program
from tests.support.space import FILES, Space, make_wheels, wheel

PACKAGES = 100
GOAL, MOST = 1.2, 1 << 20
_PACKAGE = """\
  model{n}: {{rule: model, path: models/{n}}}
  app{n}: {{rule: model_package, model: ":model{n}", base_env: ":env", server: ":server", code: ":code"}}
"""
_GENRULES = (
    '[genrule(name = "rule%d" % n, srcs = ["in"], outs = ["out%d" % n], cmd = "cp $< $@") for n in range(100)]\n'
)


def main(_words: list[str] | None = None) -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as place:
        folder = Path(place)
        wheels = make_wheels(folder / "wheels")
        name, data = wheel("numlib", "1.0", extra=os.urandom(8 << 20))
        (wheels / name).write_bytes(data)
        space = Space(folder, wheels).populate()
        text = "".join(_PACKAGE.format(n=n) for n in range(PACKAGES))
        space.write("BUILD.yaml", FILES["BUILD.yaml"] + text)
        for n in range(PACKAGES):
            space.write(f"models/{n}/model.bin", os.urandom(100_000))
        space.write("gen/BUILD.bazel", _GENRULES)
        space.write("gen/in", "in")
        space.run("lock", "//...")
        space.run("export-to", "bazel")
        program = bazel_program(folder)
        bazel = Bazel(program, space, traced=False)
        bazel.declare()
        try:
            _measured(bazel)
        finally:
            bazel.run("shutdown")


def _measured(bazel: Bazel) -> None:
    bazel.build("//:app0", "--output_groups=layout")
    before = bazel.cached()
    bazel.build("//:app1", "--output_groups=layout")
    more = bazel.cached() - before
    bazel.build("//:all", "//gen:all")
    contenders = {"ours": lambda: bazel.build("//:all"), "genrules": lambda: bazel.build("//gen:all")}
    for work in contenders.values():
        work()
    times = medians(contenders, runs=15)
    ratio = times["ours"] / times["genrules"]
    bazel.space.append("src/score.py", "# edited\n")
    edited = bazel.build("//:app0")
    actions = next(line for line in edited.splitlines() if "process" in line)
    rows = [
        (
            f"no-op of {PACKAGES} packages, in those of {PACKAGES} genrules ({milliseconds(times['genrules'])})",
            f"{ratio:.2f} x",
            f"{GOAL} x: {verdict(ratio <= GOAL)}",
        ),
        (
            "a second model with the same environment, in the disk cache",
            f"{more:,} B",
            f"1 MB: {verdict(more <= MOST)}",
        ),
        ("an edit of score.py", actions.strip(), f"1 action: {verdict(' 1 process:' in actions)}"),
    ]
    table("bazel", rows)
