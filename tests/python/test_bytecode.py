"""Bytecode in images: what is compiled and by whom, and that it is the same everywhere."""

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.actions.python import compiler as compilers
from buildrules.actions.python.compiler import compiler
from buildrules.actions.python.interpreter import Interpreter
from buildrules.errors import ActionError, Interrupted
from buildrules.plan import bytecode as plans
from buildrules.store.collect import collect
from buildrules.store.store import Store
from tests.support.borrowing import borrow
from tests.support.debian_python import LOADER, on_debian
from tests.support.space import APP, Report, Space, make_base
from tests.support.standalone import archive, filename, mirror
from tests.support.web import Web

from .conftest import Context, make_wheel

TAG = sys.implementation.cache_tag
SITE = "opt/venv/lib/python3.11/site-packages"
NAMES = {f"name{number}" for number in range(30)}
SOURCES = {
    "numlib/__init__.py": f"chosen = 'name3' in {NAMES}\nversion = '1.0'\n".encode(),
    "numlib/é.py": "é = 'ü'\n".encode(),
    "numlib/template.py": b"class {{name}}:\n    pass\n",
    "numlib/tests/test_all.py": b"assert True\n",
    "numlib/testing/test.py": b"assert True\n",
    "numlib/sly.py": b"open('/tmp/buildrules-was-here', 'w')\n",
}


def pythons() -> list[str]:
    """The Python that runs the tests, and those of other versions that are on this machine."""
    there = [sys.executable]
    for minor in range(8, 16):
        path = shutil.which(f"python3.{minor}") or ""
        found = sorted(Path(os.path.expanduser("~/.pyenv/versions")).glob(f"3.{minor}.*/bin/python3"))
        there += [str(one) for one in ([Path(path)] if path and "shims" not in path else found[:1])]
    return there


@contextmanager
def running(python: str, context: Any) -> Iterator[compilers.Compiler]:
    code = "import sys; print(sys.base_prefix)"
    home = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    with compiler(Interpreter("/", [python], home), context) as process:
        yield process


class Watch(Context):
    """A context of an action that can be interrupted."""

    @contextmanager
    def at_cancel(self, stop: Callable[[], None]) -> Iterator[None]:
        self.stop = stop
        yield


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path, tmp_path / "store")


@pytest.mark.parametrize("python", pythons())
def test_every_python_loads_what_it_compiled_and_looks_at_no_source(python: str, tmp_path: Path, watch: Watch) -> None:
    for source in (b"value = 1\n", b"# coding: latin-1\nvalue = '\xe9'\n", b"value = 'x' in {None, 'x', 'y'}\n"):
        with running(python, watch) as process:
            data = process.compile("/opt/m.py", source)
            assert process.compile("/opt/n.py", b"no {{ python") == b""
        with running(python, watch) as process:
            assert process.compile("/opt/m.py", source) == data
        if data:
            assert data[4:8] == b"\1\0\0\0"  # PEP 552
            cache = tmp_path / "__pycache__" / f"m.{process.tag}.pyc"
            cache.parent.mkdir(exist_ok=True)
            cache.write_bytes(data)
            (tmp_path / "m.py").write_bytes(b"raise SystemExit(5)\n")
            code = "import m; print(m.value, m.run.__code__.co_filename if hasattr(m, 'run') else '')"
            subprocess.run([python, "-B", "-c", code], cwd=tmp_path, check=True, capture_output=True)


def test_an_empty_file_of_bytecode_lets_the_source_be_read(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / f"m.{TAG}.pyc").touch()
    (tmp_path / "m.py").write_text("print('from the source')\n")
    code = [sys.executable, "-B", "-c", "import m"]
    assert subprocess.check_output(code, cwd=tmp_path) == b"from the source\n"


def test_an_interpreter_that_ends_is_an_error_with_its_words(watch: Watch) -> None:
    said = "import sys; print('no memory', file=sys.stderr); sys.exit(3)"
    with (
        pytest.raises(ActionError, match=r"ended with 3 while it compiled itself") as error,
        compiler(Interpreter("/", [sys.executable, "-c", said], sys.base_prefix), watch),
    ):
        pass
    assert "no memory" in str(error.value.log) and "bytecode: false" in str(error.value.hint)
    with pytest.raises(ActionError, match="cannot be run here"), compiler(Interpreter("/", ["/none"], "/"), watch):
        pass
    with running(sys.executable, watch) as process:
        watch.stop()  # Ctrl-C
        with pytest.raises(ActionError, match=r"'/a\.py'"):
            process.compile("/a.py", b"")


FRAIL = """\
import builtins, os, signal, sys
real = compile
def compile(source, *args, **kwargs):
    if source[:3] == b"SIG":
        os.kill(os.getpid(), getattr(signal, source.decode().strip()))
    return real(source, *args, **kwargs)
builtins.compile = compile
exec(sys.argv[-1], {"__name__": "__main__"})
"""
"""An interpreter that a source can end, by the signal it names."""


@pytest.fixture
def frail() -> Interpreter:
    return Interpreter("/", [sys.executable, "-c", FRAIL], sys.base_prefix)


def test_a_source_that_crashes_the_interpreter_is_skipped_and_those_after_it_are_compiled(
    frail: Interpreter, watch: Watch
) -> None:
    with compiler(frail, watch) as process:
        alone = process.compile("/m.py", b"value = 1\n")
    with compiler(frail, watch) as process:
        for name in ("SIGSEGV", "SIGABRT", "SIGBUS"):
            assert process.compile("/bad.py", name.encode()) == b""
            assert process.compile("/m.py", b"value = 1\n") == alone != b""
    with compiler(frail, watch) as process:
        watch.cancelled = True
        with pytest.raises(Interrupted):
            process.compile("/bad.py", b"SIGSEGV")


def test_an_interpreter_that_is_ended_from_outside_is_an_error_that_says_so(frail: Interpreter, watch: Watch) -> None:
    with compiler(frail, watch) as process, pytest.raises(ActionError, match=r"was killed .* '/a\.py'") as error:
        process.compile("/a.py", b"SIGKILL")
    assert str(error.value.hint).startswith("build again, with more memory")
    with compiler(frail, watch) as process, pytest.raises(ActionError, match="more than 900 seconds"):
        process.compile("/a.py", b"SIGXCPU")


@pytest.mark.parametrize("python", pythons())
def test_no_nesting_ends_what_compiles(python: str, watch: Watch) -> None:
    with running(python, watch) as process:  # 3.8 and 3.9 run out of stack
        for source in (b"x" + b".a" * 200_000, b"-" * 200_000 + b"1", b"x = " + b"(" * 5_000):
            process.compile("/deep.py", source)
        assert process.compile("/m.py", b"value = 1\n")


@pytest.fixture
def wheels(tmp_path: Path, wheelhouse: Path) -> Path:
    """The usual wheels, and one with sources of all kinds."""
    folder = tmp_path / "wheels"
    shutil.copytree(wheelhouse, folder)
    filename, data = make_wheel("numlib", "1.0", files=SOURCES)
    (folder / filename).write_bytes(data)
    return folder


@pytest.fixture
def debian(tmp_path: Path, wheels: Path) -> Callable[..., Space]:
    """Make workspaces on a base of Debian."""

    def make(name: str = "one", **more: Any) -> Space:
        space = on_debian(Space(tmp_path / name, wheels).populate(base=False), **more)
        space.run("lock", "//:app")
        return space

    return make


def bytecode(report: Report, space: Space, label: str = APP) -> dict[str, bytes]:
    """The files of bytecode in an image, those of the upper layers over those below."""
    found: dict[str, bytes] = {}
    for layer in report.targets[label]["layers"]:
        if layer["origin"].endswith("bytecode"):
            with tarfile.open(fileobj=io.BytesIO(space.blobs()[layer["digest"]].read_bytes())) as archive:
                for member in archive:
                    assert (member.mtime, member.uid, member.mode) == (0, 0, 0o644 if member.isfile() else 0o755)
                    file = archive.extractfile(member)
                    if file is not None:
                        found[member.name] = file.read()
    return found


def test_all_that_can_be_imported_is_compiled_beside_its_source(debian: Callable[..., Space]) -> None:
    space = debian()
    report = space.build(options=("--steps", str(space.folder / "steps")))
    found = bytecode(report, space)
    assert set(found) == {
        f"usr/lib/python3.11/__pycache__/abc.{TAG}.pyc",
        f"usr/lib/python3.11/json/__pycache__/__init__.{TAG}.pyc",
        *(f"{SITE}/numlib/__pycache__/{name}.{TAG}.pyc" for name in ("__init__", "é", "template", "sly")),
        f"{SITE}/numlib/testing/__pycache__/test.{TAG}.pyc",
        f"{SITE}/extra/__pycache__/__init__.{TAG}.pyc",
        f"{SITE}/tinyserver/__pycache__/__init__.{TAG}.pyc",
    }
    assert found.pop(f"{SITE}/numlib/__pycache__/template.{TAG}.pyc") == b""
    for name, data in found.items():
        assert data[:8] == importlib.util.MAGIC_NUMBER + b"\1\0\0\0", name
    assert f"/{SITE}/numlib/__init__.py".encode() in found[f"{SITE}/numlib/__pycache__/__init__.{TAG}.pyc"]
    assert not os.path.exists("/tmp/buildrules-was-here")
    order = [layer["origin"] for layer in report.targets[APP]["layers"]]
    for number, origin in enumerate(order):
        if origin.endswith(": bytecode") and "base" not in origin:
            assert order[number - 1] == origin.removesuffix(": bytecode")
    again = space.build()
    assert (again.digest, again.executed) == (report.digest, 0)
    shutil.rmtree(space.store / "workspaces")
    assert space.build().executed == 0  # all of it is in records
    layers = {layer["digest"] for layer in report.targets[APP]["layers"]}
    steps = sorted((space.folder / "steps").glob("*-bytecode_layer.json"))
    for step in steps:  # plain data, that another process runs
        (layer,) = json.loads(space.run("step", str(step)).out)["outputs"]["layers"]
        assert layer["digest"] in layers
    assert len(steps) == 3


def test_two_machines_make_the_same(debian: Callable[..., Space]) -> None:
    digest = debian().build().digest
    env = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONOPTIMIZE": "2", "LD_PRELOAD": ""}
    for seed in ("1", "77", "4294967295"):
        two = debian(f"another:place/with spaces/{seed}")
        said = two.process("build", APP, env={**env, "PYTHONHASHSEED": seed}, umask=0o077)
        assert f"image {digest}" in said.out


def test_what_others_made_is_borrowed_and_nothing_compiled(debian: Callable[..., Space]) -> None:
    one, two = debian(), debian("two")
    first = one.build()
    borrow(one.store, two.store)
    second = two.build()
    assert (second.digest, second.executed) == (first.digest, 0)
    assert not (two.store / "interpreters").exists()


def test_what_is_made_for_another_processor_is_the_same(debian: Callable[..., Space]) -> None:
    space = debian(architectures=("amd64", "arm64"))
    space.edit("BUILD.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")
    space.run("lock", APP)
    report = space.run("build", APP, "--json")
    targets = json.loads(report.out)["targets"]
    found = [
        {layer["origin"]: layer["digest"] for layer in target["layers"] if layer["origin"].endswith("bytecode")}
        for target in targets[:2]
    ]
    assert found[0] == found[1] and len(found[0]) == 3
    assert len({layer["digest"] for layer in targets[0]["layers"][:2]} & {targets[1]["layers"][1]["digest"]}) == 0


def test_an_interpreter_of_another_version_compiles_nothing_and_that_is_said(debian: Callable[..., Space]) -> None:
    space = debian(architectures=("amd64", "arm64"), versions={"arm64": "3.11.2-7"})
    space.edit("BUILD.yaml", "[linux/amd64]", "[linux/arm64]")
    space.run("lock", APP)
    result = space.run("build", APP)
    assert result.err.count("no bytecode is put into its images") == 1
    result.said("python3.11-minimal 3.11.2-7", "3.11.2-6", "buildrules lock //:base")
    assert "bytecode  " not in result.out


def test_a_standalone_python_compiles_also_on_an_image_of_others(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  python: {mirror: pythons}\n")
    workspace.edit("BUILD.yaml", "    base: :base\n", "    base: :py\n")
    workspace.append("BUILD.yaml", '  py: {rule: python_standalone, version: "3.12", base: ":base"}\n')
    script = f'#!/bin/sh\nunset PYTHONHOME\nexec {sys.executable} "$@"\n'.encode()
    files = {"bin/python3.12": script, "lib/python3.12/os.py": b"a = 1\n", "lib/python3.12/test/b.py": b""}
    workspace.write(f"pythons/{filename('3.12.1')}", archive("3.12.1", files))
    workspace.run("lock", APP)
    report = workspace.build()
    found = bytecode(report, workspace)
    assert [name for name in found if name.startswith("opt/python")] == [
        f"opt/python/lib/python3.12/__pycache__/os.{TAG}.pyc"
    ]
    assert f"opt/venv/lib/python3.12/site-packages/numlib/__pycache__/__init__.{TAG}.pyc" in found
    said = workspace.run("show", APP).said("left out of Python  ", "bin/pip*").out
    assert "no bytecode" not in said

    workspace.write(f"pythons/{filename('3.12.2')}", archive("3.12.2", files))
    workspace.run("lock", "//...")
    again = workspace.build()
    assert not any("numlib" in name for name in again.built if not name.endswith("bytecode"))
    said = workspace.run("why", APP, "--verbose").out
    assert said.count("Python changed: CPython 3.12.1 (") == 3, said
    assert "file opt/venv/pyvenv.cfg changed: " in said, said


def test_an_interpreter_that_cannot_be_had_is_told_once(workspace: Space) -> None:
    web = Web()
    mirror(workspace.folder / "far", "3.12.1")
    web.files["/SHA256SUMS"] = (workspace.folder / "far" / "SHA256SUMS").read_bytes()
    workspace.edit("BUILD.yaml", "  name: acme\n", f'  name: acme\n  python: {{mirror: "{web.url}"}}\n')
    workspace.edit("BUILD.yaml", "    base: :base\n", "    base: :py\n")
    workspace.append("BUILD.yaml", '  py: {rule: python_standalone, version: "3.12", base: ":base"}\n')
    workspace.run("lock", APP).said("1 Python, of a size that is not known, to download")
    said = workspace.run("build", APP, "-k", code=4).err
    assert said.count("error: ") == 1 and said.count("answered 404") == 1, said
    failed = [line.rpartition("  ")[2] for line in said.splitlines() if line.startswith("FAILED")]
    assert len(failed) == len(set(failed)), said
    web.close()


OFF = {
    "environment": ("    requirements: [numlib==1.0]\n", "    requirements: [numlib==1.0]\n    bytecode: false\n"),
    "package": ("    model: :m\n", "    model: :m\n    bytecode: false\n"),
    "workspace": ("  name: acme\n", "  name: acme\n  python: {bytecode: false}\n"),
    "a file among the packages": (
        "    model: :m\n",
        f"    model: :m\n    files: {{/{SITE}/helper.py: src/helper.py}}\n",
    ),
    "a file in the library": (
        "    model: :m\n",
        "    model: :m\n    files: {/usr/lib/python3.11/helper.py: src/helper.py}\n",
    ),
}


def test_where_it_is_not_wanted_or_would_hide_a_source_there_is_none(debian: Callable[..., Space]) -> None:
    space = debian()
    for old, new in OFF.values():
        space.edit("BUILD.yaml", old, new)
        report = space.build()
        assert not bytecode(report, space), new
        assert not (space.store / "interpreters").exists()
        space.edit("BUILD.yaml", new, old)
    space.edit("BUILD.yaml", "    model: :m\n", "    model: :m\n    files: {/srv/helper.py: src/helper.py}\n")
    assert bytecode(space.build(), space)


OVER = {
    "a file": (f"files: {{/{SITE}/helper.py: src/helper.py}}", "files /opt"),
    "a folder": ("files: {/opt: src}", "files /opt"),
    "an input": ('inputs: [":i"]', "input i"),
    "an input at start": ('inputs: [":late"]', "downloads at start"),
    "a model": (f"mount_path: /{SITE}/numlib", "model m"),
    "code": ("server: :custom\n    code: :code", "code code"),
    "files of a rule": ("server: :files", "laid files"),
    "layers of a rule": ("server: :layers", "layers: inline_layer"),
}
SERVERS = f"""\
  i: {{rule: input, path: src/helper.py, mount_path: /{SITE}, mode: copy}}
  late: {{rule: input, path: src/helper.py, mount_path: /{SITE}, mode: download, download_uri: "https://files.example/helper.py"}}
  custom: {{rule: custom_server, cmd: [tinyserver], code_dir: /{SITE}, ports: [80], routes: {{readiness: 80/}}}}
  files: {{rule: //rules:laid}}
  layers: {{rule: //rules:layers}}
"""


def test_what_lies_over_sources_leaves_out_bytecode_and_that_is_said(debian: Callable[..., Space]) -> None:
    space = debian()
    rule = (space.root / "rules/tiny.yaml").read_text()
    text = f"files:\n  /{SITE}/numlib/__init__.py: 'a = 1'\n"
    space.write("rules/laid.yaml", rule.replace("rule: tiny", "rule: laid") + text)
    part = {"kind": "inline", "path": f"{SITE}/a.py", "mode": 420, "text": "a = 1"}
    layers = f"layers: [{{action: inline_layer, with: {{parts: [{json.dumps(part)}]}}}}]\n"
    space.write("rules/layers.yaml", rule.replace("rule: tiny", "rule: layers") + layers)
    space.append("BUILD.yaml", SERVERS)
    before = (space.root / "BUILD.yaml").read_text()
    for line, what in OVER.values():
        new = before
        for key in ("server: :server", "code: :code") if "server:" in line else ():
            if key.partition(" ")[0] in line:
                new = new.replace(f"    {key}\n", "")
        space.write("BUILD.yaml", new.replace("    model: :m\n", f"    model: :m\n    {line}\n"))
        space.run("lock", APP)
        result = space.run("build", APP)
        assert "//:app has no bytecode" in result.err and what in result.err, (line, result.err)
        assert not bytecode(space.build(), space), line
    files = "    model: :m\n    files: {/opt/helper.py: src/helper.py, /helper.py: src/helper.py}\n"
    space.write("BUILD.yaml", before.replace("    model: :m\n", files))
    assert bytecode(space.build(), space)


def test_where_two_wheels_bring_a_file_the_upper_one_counts(debian: Callable[..., Space], wheels: Path) -> None:
    for name, text in (("numlib", b"which = 'numlib'\n"), ("extra", b"which = 'extra'\n")):
        filename, data = make_wheel(name, "1.0", files={"both/__init__.py": text, f"{name}.py": b"", "b.py": text})
        (wheels / filename).write_bytes(data)
    space = debian()
    space.edit(
        "BUILD.yaml", "    requirements: [numlib==1.0]\n", "    requirements: [numlib, extra]\n    prefer: [numlib]\n"
    )
    space.edit("BUILD.yaml", "[numlib, extra]", "[numlib==1.0, extra]")
    space.run("lock", APP)
    found = bytecode(space.build(), space)
    assert b"numlib" in found[f"{SITE}/__pycache__/b.{TAG}.pyc"]
    assert b"extra" not in found[f"{SITE}/both/__pycache__/__init__.{TAG}.pyc"].replace(b"both", b"")


def test_an_interpreter_that_is_not_there_any_more_is_unpacked_again(debian: Callable[..., Space]) -> None:
    space = debian()
    digest = space.build().digest
    shutil.copytree(space.store / "blobs", space.folder / "kept")
    store = Store(str(space.store))
    collect(store, keep_seconds=-10)
    store.close()
    assert not list((space.store / "interpreters").iterdir())
    shutil.copytree(space.folder / "kept", space.store / "blobs", dirs_exist_ok=True)
    shutil.rmtree(space.store / "table")
    shutil.rmtree(space.store / "workspaces")
    assert space.build().digest == digest
    space.run("cache", "verify")


@pytest.mark.parametrize(
    "damage",
    [
        *("emptied", "gone", "changed", "more", "not run", "no list", "an empty folder"),
        *("a pipe", "a loop", "a list that is a pipe", "a root elsewhere"),
    ],
)
def test_an_interpreter_that_is_damaged_is_unpacked_again(debian: Callable[..., Space], damage: str) -> None:
    space = debian()
    digest = space.build().digest
    (folder,) = (space.store / "interpreters").iterdir()
    (program,) = folder.glob("**/ld-linux-*")
    space.run("cache", "verify").said("0 corrupt")
    kept = program.read_bytes()
    if damage == "emptied":
        program.write_bytes(b"")
    elif damage == "gone":
        program.unlink()
    elif damage == "changed":
        program.write_bytes(kept.replace(b"exit 9", b"exit 1"))
    elif damage == "more":
        (program.parent / "abc.py").write_text("")
    elif damage == "not run":
        program.chmod(0o644)
    elif damage == "no list":
        (folder / "files.json").write_bytes(b"")
    elif damage == "a pipe":
        program.unlink()
        os.mkfifo(program)
    elif damage == "a loop":
        program.unlink()
        program.symlink_to(program.name)
    elif damage == "a list that is a pipe":
        (folder / "files.json").unlink()
        os.mkfifo(folder / "files.json")
    elif damage == "a root elsewhere":
        (folder / "root").rename(space.folder / "elsewhere")
        (folder / "root").symlink_to(space.folder / "elsewhere")
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    if damage == "changed":
        space.run("cache", "verify", code=1).said(f"corrupt, removed: interpreter {folder.name}")
        assert not folder.exists()
    shutil.rmtree(space.store / "table")
    shutil.rmtree(space.store / "workspaces")
    assert space.build().digest == digest
    (again,) = (space.store / "interpreters").iterdir()
    (program,) = again.glob("**/ld-linux-*")
    assert (program.read_bytes(), program.stat().st_mode & 0o777) == (kept, 0o755)
    assert not (program.parent / "abc.py").exists()
    assert not (again / "root").is_symlink()


def test_an_interpreter_that_does_not_run_stops_the_build_with_a_way_out(debian: Callable[..., Space]) -> None:
    space = debian(loader=LOADER.replace("shift 4", "echo 'cannot be started' >&2; exit 1"))
    result = space.run("build", APP, code=1)
    result.said("the image's Python ended with 1", "cannot be started", "`bytecode: false`")
    space.edit("BUILD.yaml", *OFF["workspace"])
    space.build()


def test_one_layer_of_wheels_more_changes_few_of_bytecode() -> None:
    names = [f"pkg{number}" for number in range(70)] + [f"small wheels {number}" for number in range(1, 5)]
    runs: list[list[list[str]]] = []
    for count in range(len(names) + 1):
        layers = {f"//:e {name}": name if "small" in name else f"{name} 1.0" for name in names[-count or len(names) :]}
        layers = layers if count else {}
        made = list(plans.groups(layers, plans.MOST))
        assert [name for run in made for name in run] == list(layers)
        assert len(made) == min(count, plans.MOST)
        for gone in layers:
            fewer = list(plans.groups({name: holds for name, holds in layers.items() if name != gone}, plans.MOST))
            assert len([run for run in made if run not in fewer]) <= 3
            assert len([run for run in fewer if run not in made]) <= 3
        runs.append(made)
        layers = {name: holds.replace("1.0", "2.0") for name, holds in layers.items()}
        assert list(plans.groups(layers, plans.MOST)) == made
        closer = list(plans.groups(layers, plans.MOST - 1))
        assert len([run for run in made if run not in closer]) <= 2


@given(st.lists(st.integers(0, 64), max_size=3), st.integers(-20, 99))
def test_bytecode_takes_no_more_layers_than_there_is_room_for(counts: list[int], room: int) -> None:
    found = plans.shares(counts, room)
    if found is None:
        assert room < sum(map(bool, counts))
        return
    assert sum(found) <= max(room, 0)
    for count, most in zip(counts, found, strict=True):
        assert bool(count) <= most <= min(count, plans.MOST)
        assert len(list(plans.groups({str(name): f"p{name} 1" for name in range(count)}, most))) == most


@pytest.mark.parametrize("known", [True, False])
def test_where_an_image_has_many_layers_bytecode_gets_the_rest(
    debian: Callable[..., Space], known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = debian()
    whole = space.build().targets[APP]["layers"]
    without = len([layer for layer in whole if not layer["origin"].endswith("bytecode")])
    places = [f"/srv/more/{number}.txt: more/{number}.txt" for number in range(99 - without)]
    for number in range(len(places)):
        space.write(f"more/{number}.txt", str(number))
    if not known:  # as where a model has more layers than a plan can know
        monkeypatch.setattr(plans, "LAYER_LIMIT", 200)
    before = (space.root / "BUILD.yaml").read_text()
    files = f"    model: :m\n    files: {{{', '.join(places)}}}\n"
    space.write("BUILD.yaml", before.replace("    model: :m\n", files))
    result = space.run("build", APP)
    result.said("no bytecode", "too many layers")
    report = space.build()
    assert not bytecode(report, space) and len(report.targets[APP]["layers"]) == 99
    if known:
        files = f"    model: :m\n    files: {{{', '.join(places[12:])}}}\n"
        space.write("BUILD.yaml", before.replace("    model: :m\n", files))
        report = space.build()
        assert bytecode(report, space) and len(report.targets[APP]["layers"]) == 90
        space.edit("BUILD.yaml", "    model: :m\n", "    model: :m\n    bytecode: false\n")
        assert "has no bytecode" not in space.run("build", APP).err
    else:
        space.write("more/more.txt", "")
        space.edit("BUILD.yaml", places[0], f"{places[0]}, /srv/more/more.txt: more/more.txt")
        space.run("build", APP, code=1).said("would have 100 layers", "`files`")


IMAGE = {
    "usr/local/bin/python3.11": b"an interpreter\n",
    "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": LOADER.encode(),
    "usr/local/lib/libpython3.11.so.1.0": b"a library\n",
    "usr/local/lib/python3.11/abc.py": b"answer = 42\n",
    "usr/local/lib/python3.11/test/abc.py": b"answer = 41\n",
    "usr/local/lib/python3.11/site-packages/pip.py": b"answer = 40\n",
    "srv/large": b"not laid\n",
}
"""An image of others with a Python that runs as `tests.support.debian_python` says."""


def test_the_python_of_an_image_of_others_compiles_for_it(workspace: Space) -> None:
    shutil.rmtree(workspace.root / "base")
    make_base(workspace.root / "base", files=IMAGE, mode=0o755)
    workspace.run("lock")
    report = workspace.build()
    found = bytecode(report, workspace)
    assert f"usr/local/lib/python3.11/__pycache__/abc.{TAG}.pyc" in found
    assert f"{SITE}/numlib/__pycache__/__init__.{TAG}.pyc" in found
    assert not [name for name in found if "pip" in name or "/test/" in name]
    (root,) = (workspace.store / "interpreters").glob("*/root")
    assert not (root / "srv/large").exists()
    shutil.rmtree(workspace.store / "workspaces")
    shutil.rmtree(workspace.store / "interpreters")
    assert workspace.build().executed == 0


MISSING = {
    "usr/local/bin/python3.11": "there is no interpreter /usr/local/bin/python3.11",
    "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": "there is no glibc to run /usr/local/bin/python3.11",
}


@pytest.mark.parametrize("gone", MISSING)
def test_an_image_of_others_whose_python_cannot_be_run_gets_none_and_that_is_said(workspace: Space, gone: str) -> None:
    shutil.rmtree(workspace.root / "base")
    make_base(workspace.root / "base", files={name: data for name, data in IMAGE.items() if name != gone}, mode=0o755)
    workspace.run("lock")
    result = workspace.run("build", APP)
    result.said(f"  no bytecode: {MISSING[gone]}")
    workspace.run("show", APP).said(f"  no bytecode  {MISSING[gone]}")
    assert not bytecode(workspace.build(), workspace)
