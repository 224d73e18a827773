"""The action "build_wheel": real back ends, careless about order and time, must still give one wheel."""

import io
import platform
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.actions.python.building import check_fits
from buildrules.actions.python.normalise import normalise
from buildrules.actions.python.sdist import BuildWheel
from buildrules.actions.python.target import Target
from buildrules.actions.python.uvtool import interpreter_for
from buildrules.actions.python.wheel_layer import WheelLayer
from buildrules.engine.action import Action, Outputs, SourceFile
from buildrules.errors import ActionError, GoneError, IntegrityError
from buildrules.locking.python.lock import read_lock, write_lock
from buildrules.locking.python.resolve import make_lock
from buildrules.net.session import Session
from tests.support.steps import made, step

from .conftest import AMD64, ARM64, BACKEND, Asking, Context, Index, make_sdist, make_wheel, project_files, sha256


def put(context: Context, built: tuple[str, bytes], target: Target = AMD64, **more: Any) -> Action:
    """The action for a source archive that is in the store."""
    filename, data = built
    context.blobs.put(data)
    name, version = filename.removesuffix(".tar.gz").split("-")
    sdist = {"name": name, "version": version, "filename": filename, "sha256": sha256(data)}
    params = {"name": name, "version": version, "target": target.to_dict(), "builder": "", "sdist": sdist, **more}
    return Action("b", "//:b", "build_wheel", f"build {name}", params)


def run(action: Action, context: Context, sources: list[list[SourceFile]] | None = None) -> Outputs:
    return made(BuildWheel(), step(action, sources or []), context)


def test_two_builds_give_the_same_bytes(isolated: None, context: Context, tmp_path: Path) -> None:
    built = make_sdist("aa", "1.0", extra={"zz.py": b"", "b.py": b"1"})
    first = run(put(context, built), context)
    other = Context(tmp_path, tmp_path / "other")
    second = run(put(other, built), other)
    assert first.to_dict() == second.to_dict()
    assert first.values["filename"] == "aa-1.0-py3-none-any.whl"
    with zipfile.ZipFile(io.BytesIO(context.blobs.read(first.blobs["wheel"]))) as archive:
        assert archive.read("aa.py") == b"answer = 42\n"
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_folder_of_the_workspace(isolated: None, root: Path, context: Context) -> None:
    files = []
    for name, text in project_files("lib", "3.0").items():
        (root / "libs" / "lib").mkdir(parents=True, exist_ok=True)
        (root / "libs" / "lib" / name).write_text(text)
        files.append(SourceFile(f"libs/lib/{name}", name, len(text), 0o644, "sha256:" + sha256(text.encode())))
    params = {"name": "lib", "version": "", "target": ARM64.to_dict(), "builder": ""}
    outputs = run(Action("b", "//:b", "build_wheel", "build lib", params), context, [files])
    assert outputs.values == {"filename": "lib-3.0-py3-none-any.whl", "name": "lib", "version": "3.0",
                              "size": outputs.values["size"]}  # fmt: skip
    assert sorted(path.name for path in (root / "libs" / "lib").iterdir()) == sorted(project_files("lib", "3.0"))


def test_from_an_index_to_a_layer(feed: Index, asking: Asking, root: Path, context: Context) -> None:
    feed.add_sdist("aa", "1.0")
    lock = read_lock(str(root), write_lock(make_lock(asking("aa"), Session(), portable=True), str(root)))
    params = {
        "name": "aa",
        "version": "1.0",
        "target": AMD64.to_dict(),
        "builder": "",
        "sdist": lock.packages[0].params(),
    }
    hints = lock.places(str(root))
    outputs = run(Action("b", "//:b", "build_wheel", "build aa", params, places=hints), context)
    layer_params = {"wheels": [], "prefix": "opt/venv", "python": "3.11"}
    layer = Action("l", "//:b", "wheel_layer", "layer", layer_params, deps=("b",), places=hints)
    assert made(WheelLayer(), step(layer, [], [outputs]), context).layers[0].size > 0


def test_that_no_python_here_can_build_it_is_said_when_it_is_locked(
    feed: Index, asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.add_sdist("aa", "1.0")
    told: list[str] = []
    make_lock(asking("aa"), Session(), warn=told.append)
    assert told == []
    make_lock(asking("aa", target=Target("linux/amd64", "3.98.0")), Session(), warn=told.append)
    (text,) = told
    assert text.startswith("no wheel fits of aa 1.0, and this machine has no Python 3.98 to build one")
    assert "uv python install 3.98" in text
    for name in ("3.97.2", "3.97.10", "3.97.9t", "3.9.70"):  # pyenv has one, and offers none
        program = tmp_path / "pyenv/versions" / name / "bin/python3.97"
        program.parent.mkdir(parents=True)
        program.touch()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert interpreter_for("3.97") == str(tmp_path / "pyenv/versions/3.97.10/bin/python3.97")


HERE, THERE = (AMD64, ARM64) if platform.machine() == "x86_64" else (ARM64, AMD64)
NATIVE = f"cp311-cp311-linux_{HERE.machine}"


def test_native_code_for_the_host_only(isolated: None, context: Context) -> None:
    built = make_sdist("aa", "1.0", tag=NATIVE)
    assert run(put(context, built, HERE), context).values["filename"] == f"aa-1.0-{NATIVE}.whl"
    with pytest.raises(ActionError, match="has native code, and this host builds it as") as caught:
        run(put(context, built, THERE), context)
    assert THERE.platform in str(caught.value.hint)
    with pytest.raises(ActionError, match=r"Python 3\.12"):
        run(put(context, built, replace(HERE, python="3.12.4")), context)


def test_native_code_that_needs_a_newer_libc(isolated: None, context: Context) -> None:
    extra = {"aa_native.so": b"\x7fELF..GLIBC_2.17\0GLIBC_2.38\0"}
    built = make_sdist("aa", "1.0", tag=NATIVE, extra=extra)
    with pytest.raises(ActionError, match=r"'aa_native.so' of 'aa'.*needs glibc 2.38.*has 2.36"):
        run(put(context, built, HERE), context)
    assert run(put(context, built, replace(HERE, glibc="2.41")), context).blobs


def test_a_back_end_that_fails_shows_its_log(isolated: None, context: Context) -> None:
    backend = "def build_wheel(*a, **k):\n    raise RuntimeError('no fortran')\n# {name}{version}{tag}{extra}\n"
    with pytest.raises(ActionError, match="'aa' could not be built from source") as caught:
        run(put(context, make_sdist("aa", "1.0", backend=backend)), context)
    assert "no fortran" in str(caught.value.log)
    assert "/tmp" not in str(caught.value.log)
    assert str(caught.value.hint).startswith("choose a version that has a wheel")


def test_it_says_that_another_python_built(isolated: None, context: Context) -> None:
    backend = "def build_wheel(*a, **k):\n    raise RuntimeError('no')\n# {name}{version}{tag}{extra}\n"
    action = put(context, make_sdist("aa", "1.0", backend=backend), Target("linux/amd64", "3.99.0"))
    with pytest.raises(ActionError, match="could not be built") as caught:
        run(action, context)
    assert str(caught.value.hint).startswith(
        "no Python 3.99 is on this machine, and another was taken: install one, or"
    )


def test_a_source_that_makes_another_wheel(isolated: None, context: Context) -> None:
    filename, data = make_sdist("aa", "1.0")
    action = put(context, (filename, data))
    action.params["name"] = "bb"
    with pytest.raises(ActionError, match="makes a wheel of 'aa'"):
        run(action, context)


def test_a_source_that_is_not_there(isolated: None, context: Context) -> None:
    action = put(context, make_sdist("aa", "1.0"))
    context.blobs.discard(action.params["sdist"]["sha256"])
    with pytest.raises(GoneError, match=r"aa-1\.0\.tar\.gz"):
        run(action, context)


def test_normalise_refuses_what_is_no_wheel(tmp_path: Path) -> None:
    (tmp_path / "a-1-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(ActionError, match="cannot be read"):
        normalise(str(tmp_path / "a-1-py3-none-any.whl"))
    with zipfile.ZipFile(tmp_path / "b-1-py3-none-any.whl", "w") as archive:
        archive.writestr("b.py", "")
    with pytest.raises(ActionError, match="0 RECORD files"):
        normalise(str(tmp_path / "b-1-py3-none-any.whl"))
    with pytest.raises(ActionError, match="not a wheel"):
        check_fits(str(tmp_path / "b.whl"), "b", AMD64)


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5}\.py)", fullmatch=True), st.binary(max_size=50), min_size=1)
)
def test_normalise_is_idempotent_and_keeps_the_content(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    filename, data = make_wheel("aa", "1.0", files=files)
    (folder / filename).write_bytes(data)
    once = normalise(str(folder / filename))
    (folder / filename).write_bytes(once)
    assert normalise(str(folder / filename)) == once
    with zipfile.ZipFile(io.BytesIO(once)) as archive:
        assert {name: archive.read(name) for name in files} == files


def test_a_normalised_wheel_is_installable(isolated: None, context: Context) -> None:
    outputs = run(put(context, make_sdist("aa", "1.0")), context)
    action = Action("l", "//:b", "wheel_layer", "layer", {"wheels": [], "prefix": "opt/venv", "python": "3.11"})
    assert made(WheelLayer(), step(action, [], [outputs]), context).layers
    bad = Outputs(values=outputs.values, blobs={"wheel": context.blobs.put(b"not a wheel")})
    with pytest.raises(IntegrityError, match=r"aa-1\.0"):
        made(WheelLayer(), step(action, [], [bad]), context)


NOSY = BACKEND.replace("    files[f", "    files[f'{{NAME}}_env.txt'] = '\\n'.join(sorted(os.environ))\n    files[f", 1)


def test_the_hosts_environment_does_not_reach_the_wheel(
    isolated: None, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = make_sdist("aa", "1.0", backend=NOSY)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    first = run(put(context, built), context)
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "x")
    monkeypatch.setenv("CFLAGS", "-O0")
    other = Context(tmp_path, tmp_path / "other")
    assert run(put(other, built), other).to_dict() == first.to_dict()
    with zipfile.ZipFile(io.BytesIO(context.blobs.read(first.blobs["wheel"]))) as archive:
        seen = archive.read("aa_env.txt").decode().split("\n")
    assert {"PATH", "LANG", "https_proxy", "UV_CACHE_DIR"} <= set(seen)
