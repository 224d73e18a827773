"""An edited BUILD.yaml: its own targets are planned again and nothing else, and everybody sees what they must see."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.space import Report, Space, make_base

ROOT = """\
workspace: {name: acme, platforms: [linux/amd64]}
targets:
  base: {rule: oci_base, layout: base}
  server: {rule: //rules:plain}
"""
RULE = """\
rule: plain
provides: server
summary: Runs a script.
attributes:
  port: {type: integer, default: 8080, doc: Port.}
requires: {code: always, model: optional}
layout: {model: "/m/{model.name}", code: /c}
image: {entrypoint: [python3, "/c/{code.entry_script}"], ports: ["{port}"]}
routes: {scoring: "{port}/x"}
"""
PACKAGE = """\
targets:
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  m: {rule: model, path: weights}
  app: {rule: model_package, model: ":m", base_env: //:base, server: //:server, code: ":code"}
"""
USER = """\
targets:
  code: {rule: scoring_code, srcs: ["src/**"], entry_script: score.py}
  app: {rule: model_package, base_env: //:base, server: //:server, code: ":code", model: "//lib:m"}
"""


def _other(old: str, new: str) -> str:
    assert old in PACKAGE
    return PACKAGE.replace(old, new)


TEXTS = [
    PACKAGE,
    PACKAGE + "# a note\n",
    _other('code: ":code"}', 'code: ":code", labels: {a: b}}'),
    _other('code: ":code"}', "code: \":code\", environment: {A: b}, user: '7'}"),
    _other('code: ":code"}', 'code: ":code", ports: [9000]}'),
    _other('code: ":code"}', 'code: ":code", files: {/etc/note: src/score.py}}'),
    _other("entry_script: score.py", "entry_script: x.py"),
    _other('["src/**"]', '["src/*.py"]'),
    _other('["src/**"]', '["src/**", "more/*"]'),
    _other("path: weights", "path: heavy"),
    _other("path: weights", "path: weights, name: other"),
    _other("  m: {", "  unused: {rule: model, path: heavy}\n  m: {"),
    PACKAGE.replace("m: {", "n: {").replace(":m", ":n"),
    _other("base_env: //:base", "base_env: //:bas"),
    _other("  app:", "  app2:"),
    _other('model: ":m"', 'model: "//lib:m"'),
    _other("rule: model,", "rule: model, visibility: [],"),
    "targets: {",
    "",
]
PACKAGES = ["one", "two", "lib"]
PATTERNS = [("//...",), ("//one:app",), ("//lib/...", "//user:app"), ("//user/...",)]
SOURCES = ["src/score.py", "src/deep/x.py", "src/x.py", "more/y.py", "weights/w.bin", "heavy/w.bin"]

Change = Callable[[Space], object]


def _text(package: str, text: str) -> Change:
    return lambda space: space.write(f"{package}/BUILD.yaml", text)


def _source(package: str, path: str, content: str) -> Change:
    empty = "0\n" if path.endswith(".bin") else ""  # empty weights are an error, whose log has another name each time
    return lambda space: space.write(f"{package}/{path}", content or empty)


changes = st.one_of(
    st.builds(_text, st.sampled_from(PACKAGES), st.sampled_from(TEXTS)),
    st.builds(_text, st.sampled_from(PACKAGES), st.sampled_from(TEXTS[:12])),
    st.builds(_source, st.sampled_from(PACKAGES), st.sampled_from(SOURCES), st.sampled_from(["", "1\n", "2\n"])),
)


def _populate(space: Space) -> Space:
    files = {"BUILD.yaml": ROOT, "rules/plain.yaml": RULE, "user/BUILD.yaml": USER, "user/src/score.py": "user\n"}
    for package in PACKAGES:
        files |= {f"{package}/BUILD.yaml": PACKAGE, f"{package}/src/score.py": f"{package}\n"}
        files |= {f"{package}/{name}": f"{package} {name}\n" for name in ("src/x.py", "weights/w.bin", "heavy/w.bin")}
    make_base(space.populate(files, base=False).root / "base")
    return space


def _said(space: Space, patterns: tuple[str, ...], *, clean: bool) -> tuple[int, object]:
    run = space.clean_run if clean else space.run
    result = run("build", *patterns, "--json", "--locked", code=None)
    if result.code:
        return result.code, re.sub(r"^failed: .*$", "", result.err, flags=re.MULTILINE)
    return 0, Report(json.loads(result.out)).digests


def _compare(space: Space, patterns: tuple[str, ...]) -> None:
    """What is built is what a clean build builds.

    One exception: a clean build reads all packages and says what is wrong in any of them. One that goes on from what it
    knows looks at those that it needs, and builds what a clean build does once the others are mended.
    """
    kept, clean = _said(space, patterns, clean=False), _said(space, patterns, clean=True)
    if kept == clean:
        return
    needed = {"lib", *(pattern[2:].partition(":")[0].partition("/")[0] for pattern in patterns)}
    broken = set(re.findall(r"^error: (\w+)/BUILD.yaml", str(clean[1]), flags=re.MULTILINE))
    assert kept[0] == 0
    assert clean[0] == 2
    assert broken
    assert not broken & needed
    assert patterns != ("//...",)
    texts = {name: space.path(f"{name}/BUILD.yaml").read_text() for name in broken}
    for name in broken:
        space.write(f"{name}/BUILD.yaml", PACKAGE)
    assert kept == _said(space, patterns, clean=True)
    for name, text in texts.items():
        space.write(f"{name}/BUILD.yaml", text)


@example(steps=[([_text("two", "targets: {")], ("//one:app",))])
@given(steps=st.lists(st.tuples(st.lists(changes, min_size=1, max_size=2), st.sampled_from(PATTERNS)), max_size=5))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_what_is_built_is_what_a_clean_build_builds(
    tmp_path: Path, wheelhouse: Path, steps: list[tuple[list[Change], tuple[str, ...]]]
) -> None:
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    space = _populate(Space(folder, wheelhouse))
    space.run("lock")
    for patterns in PATTERNS:
        space.run("build", *patterns)
    for edits, patterns in steps:
        for edit in edits:
            edit(space)
        _compare(space, patterns)
    assert _said(space, ("//...",), clean=False) == _said(space, ("//...",), clean=True)
    shutil.rmtree(folder)


OPENED = """
import sys
opened = []
sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == "open" else None)
from buildrules.__main__ import main
code = main()
print(*sorted(path for path in opened if path.endswith("BUILD.yaml")), "analysis", "buildrules.analysis" in sys.modules)
sys.exit(code)
"""


def _opened(space: Space, *args: str) -> list[str]:
    """The BUILD.yaml files that a command opens, below the workspace's root, and whether it loaded any."""
    env = {**space.env, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", OPENED, *args], cwd=space.root, env=env, capture_output=True, text=True, check=True
    )
    return [word.removeprefix(f"{space.root}/") for word in done.stdout.splitlines()[-1].split()]


@pytest.fixture
def packages(tmp_path: Path, wheelhouse: Path) -> Space:
    space = _populate(Space(tmp_path, wheelhouse))
    space.run("lock")
    space.settle("build", "//...")
    space.settle("build", "//...", "--json")
    return space


def test_only_the_edited_file_is_loaded(packages: Space) -> None:
    before = packages.build("//...").digests
    packages.write("one/BUILD.yaml", TEXTS[2])
    opened = _opened(packages, "build", "//...")
    assert set(opened) == {"BUILD.yaml", "one/BUILD.yaml", "analysis", "True"}
    after = packages.build("//...")
    assert after.executed == 0
    changed = {label for label, digest in after.digests.items() if before[label] != digest}
    assert changed == {"//one:app"}


def test_what_moves_in_the_file_is_found_where_it_is(packages: Space) -> None:
    text = _other('code: ":code"}', 'code: ":code", environment: {DB_PASSWORD: hunter22}}')
    for lines in ("", "# one line more\n"):
        packages.write("one/BUILD.yaml", lines + text)
        packages.run("build", "//...")
    packages.write("one/weights/w.bin", "others\n")
    packages.run("build", "//...").said("one/BUILD.yaml:5:", "DB_PASSWORD")


def test_a_package_that_another_one_names_is_loaded_with_all(packages: Space) -> None:
    packages.write("lib/BUILD.yaml", TEXTS[10])
    assert {"one/BUILD.yaml", "two/BUILD.yaml", "user/BUILD.yaml"} <= set(_opened(packages, "build", "//..."))
    assert _said(packages, ("//...",), clean=False) == _said(packages, ("//...",), clean=True)
