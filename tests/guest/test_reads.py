"""What a build opens is what was declared, and what its depfile names; it copies no weights."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guest.hosted import Host
from tests.support.space import APP, Space

_OPENED = re.compile(r'open(?:at|at2)?\((?:AT_FDCWD, )?"(/[^"]*)".*(?: = \d+| <unfinished \.\.\.>)$')
_WEIGHTS = 17 << 20
"""Bytes of a file that has a layer of its own; what is smaller may be packed."""
_MOST = 5 << 20


@pytest.fixture
def host(tmp_path: Path, wheelhouse: Path) -> Host:
    space = Space(tmp_path, wheelhouse).populate()
    space.write("weights/large $x #1: y.bin", os.urandom(_WEIGHTS))
    space.write("other/BUILD.yaml", "targets:\n  m: {rule: model, path: none}\n")
    space.run("lock", APP)
    return Host(space)


def opened(trace: Path, root: Path) -> set[str]:
    """The regular files of the test that a traced process has opened, by the names that they really have.

    Those of the tree that it laid out are those of the `root` it was given.
    """
    lines = trace.read_text(errors="replace").splitlines()
    found = {match[1] for line in lines if (match := _OPENED.search(line))}
    there = {re.sub(r"^.*/\.buildrules-[^/]*/tree/", f"{root}/", path) for path in found}
    tests = str(trace.parents[2])
    return {real for path in there if os.path.isfile(real := os.path.realpath(path)) and real.startswith(tests)}


def dependencies(depfile: Path) -> list[str]:
    """The names in a rule of make."""
    rule, *alone = depfile.read_text().replace("\\\n", " ").splitlines()
    names = re.split(r"(?<!\\)\s+", rule.strip())[1:]
    assert alone == [f"{name}:" for name in names]
    return [re.sub(r"\\([ #:])", r"\1", name).replace("$$", "$") for name in names]


@pytest.mark.parametrize("layout", [False, True])
def test_only_what_is_declared_is_read_and_the_depfile_names_it_all(host: Host, *, layout: bool) -> None:
    lines = host.lines()
    assert "other/BUILD.yaml" not in lines
    root, trace = host.staged(lines), host.folder / "trace"
    arguments = host.arguments(root, lines, "--offline", "--depfile", str(host.folder / "app.d"))
    arguments += ["--layout"] if layout else []
    # no file may become nearly as large as the weights: they are read where they lie
    limit = f"ulimit -f {_MOST >> 10}; " if not layout else ""
    words = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "trace=open,openat,openat2,connect",
        "-o",
        str(trace),
        *host.bare(arguments),
    ]
    done = subprocess.run(["bash", "-c", f'{limit}exec "$@"', "-", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    declared = [line.partition("  ")[2] or os.path.join(root, line) for line in lines]
    read = opened(trace, root)
    read -= {str(host.folder / "out.inputs"), str(host.folder / "app.d"), *map(str, (host.folder / "out").rglob("*"))}
    assert read <= set(map(os.path.realpath, declared))
    assert read == set(map(os.path.realpath, dependencies(host.folder / "app.d")))
    assert "AF_INET" not in trace.read_text(errors="replace")
    assert host.digest() == host.space.build().digest
    assert not [path for path in (host.folder / "out").iterdir() if path.name.startswith(".")]


def test_make_and_ninja_understand_the_depfile(host: Host) -> None:
    lines = host.lines()
    arguments = host.arguments(host.space.root, lines, "--offline", "--depfile", "app.d", out="out")
    words = [f"'{word}'" if " " in word else word for word in ["guest", "build", *arguments]]
    (host.folder / "build.ninja").write_text(
        f"rule guest\n  command = {sys.executable} -m buildrules {' '.join(words)}\n  depfile = app.d\n"
        f"build {host.folder}/out/digest: guest\n"
    )
    environment = {**host.space.env, "PYTHONPATH": str(Path(__file__).parents[2])}

    def ninja() -> str:
        return subprocess.run(
            ["ninja", "-v"], cwd=host.folder, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert "guest build" in ninja()
    assert "no work to do" in ninja()
    host.space.write("weights/large $x #1: y.bin", b"smaller")
    assert "guest build" in ninja()
    assert host.digest() == host.space.build().digest


def test_the_makefile_of_the_documentation(host: Host) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/other-build-systems.md"
    recipe = page.read_text().partition("```make\n")[2].partition("```")[0]
    space = host.space
    for documented, here in (
        ("//models:iris", APP),
        ("models/iris/src", "src"),
        (" models/iris ", " "),
        ("models/", ""),
    ):
        assert documented in recipe
        recipe = recipe.replace(documented, here)
    space.write("Makefile", recipe)
    space.write("bin/buildrules", f'#!/bin/sh\nexec "{sys.executable}" -m buildrules "$@"\n', 0o755)
    environment = {
        **space.env,
        "PATH": f"{space.root}/bin:{space.env['PATH']}",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }

    def make(code: int = 0) -> str:
        done = subprocess.run(["make"], cwd=space.root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def digest() -> str:
        return next(space.root.glob("buildrules-out/**/digest")).read_text().strip()

    (lock,) = space.root.glob("pylock.env-*")
    kept = lock.read_bytes()
    lock.unlink()
    assert "it is missing" in make(code=2)
    assert "it is missing" in make(code=2)  # no empty list stands in the way
    lock.write_bytes(kept)
    make()
    assert digest() == space.build().digest
    assert "up to date" in make()
    space.write("src/late.py", "late = True\n")
    make()
    late = digest()
    assert late == space.build().digest
    space.remove("src/late.py")
    make()
    assert digest() == space.build().digest != late
    assert "up to date" in make()
