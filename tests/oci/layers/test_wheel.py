"""Wheels become the files an installer makes of them; hostile ones become nothing."""

import base64
import contextlib
import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.errors import IntegrityError
from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import assemble, stream
from buildrules.oci.local import Local

SITE = "lib/python3.11/site-packages"
ONLY_UV = {"REQUESTED", "direct_url.json", "uv_cache.json"}
Tree = dict[str, tuple[int, bytes]]


def record(files: dict[str, bytes], info: str) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow((name, f"sha256={digest}", len(content)))
    rows.writerow((f"{info}/RECORD", "", ""))
    return text.getvalue().encode()


def wheel(
    path: Path,
    files: dict[str, bytes] | None = None,
    *,
    drop: tuple[str, ...] = (),
    modes: dict[str, int] | None = None,
    method: int = zipfile.ZIP_DEFLATED,
    edit: Callable[[zipfile.ZipFile], None] | None = None,
) -> Path:
    info = "demo-1.0.dist-info"
    contents = {
        "demo/__init__.py": b"VALUE = 1\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **(files or {}),
    }
    contents.setdefault(f"{info}/RECORD", record(contents, info))
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in contents.items():
            if name not in drop:
                item = zipfile.ZipInfo(name)
                item.compress_type = method
                item.external_attr = (modes or {}).get(name, 0o100644) << 16
                archive.writestr(item, content)
        if edit:
            edit(archive)
    return path


def installed(path: Path, local: Local, prefix: str = "opt/venv", name: str = "demo-1.0-py3-none-any.whl") -> Tree:
    """What a layer of the wheel holds below the prefix; both codecs must agree."""
    recipe = recipes.gzip([recipes.wheel(local.blobs.put(path.read_bytes()), name, prefix, "3.11")])
    layer = assemble(recipe, local)
    assert "sha256:" + hashlib.sha256(b"".join(stream(recipe, local))).hexdigest() == layer.digest
    raw = b"".join(stream(recipes.tar(recipe["parts"]), local))
    assert "sha256:" + hashlib.sha256(raw).hexdigest() == layer.diff_id
    assert assemble(recipes.tar(recipe["parts"]), local).digest == layer.diff_id
    found = {}
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                found[member.name.removeprefix(prefix + "/")] = (member.mode, file.read())
    assert list(found) == sorted(found)
    return found


def rows(content: bytes) -> dict[str, tuple[str, ...]]:
    return {row[0]: tuple(row[1:]) for row in csv.reader(io.StringIO(content.decode()))}


@pytest.mark.network
@pytest.mark.slow
def test_real_wheels_are_installed_as_uv_does(real_wheels: list[Path], local: Local, tmp_path: Path) -> None:
    assert len(real_wheels) == 6
    for path in real_wheels:
        venv = tmp_path / "venv"
        shutil.rmtree(venv, ignore_errors=True)
        uv = [sys.executable, "-m", "uv", "--no-config"]
        subprocess.run([*uv, "venv", "-q", "--no-project", "--python", "3.11", str(venv)], check=True)
        before = {str(item) for item in venv.rglob("*")}
        command = [*uv, "pip", "install", "-q", "--no-deps", "--link-mode=copy", "--python", str(venv / "bin/python")]
        subprocess.run([*command, str(path)], check=True)
        expected: Tree = {}
        for item in venv.rglob("*"):
            if str(item) not in before and item.is_file() and item.name not in {*ONLY_UV, ".lock"}:
                executable = item.stat().st_mode & 0o100
                expected[str(item.relative_to(venv))] = (0o755 if executable else 0o644, item.read_bytes())
        found = installed(path, local, str(venv).lstrip("/"), path.name)
        assert sorted(found) == sorted(expected)
        for name, value in found.items():
            if name.endswith(".dist-info/INSTALLER"):
                assert value == (0o644, b"buildrules\n")
            elif name.endswith(".dist-info/RECORD"):
                ours, theirs = rows(value[1]), rows(expected[name][1])
                differing = {row for row in ours.keys() | theirs.keys() if ours.get(row) != theirs.get(row)}
                assert {os.path.basename(row) for row in differing} <= {*ONLY_UV, "INSTALLER"}
            else:
                assert value == expected[name], name


def test_record_lists_what_is_installed(tmp_path: Path, local: Local) -> None:
    data = "demo-1.0.data"
    files = {
        "demo/native.so": bytes(range(256)) * 400,
        f"{data}/scripts/tool": b"#!python -O\nimport demo\n",
        f"{data}/scripts/binary": b"\x7fELF" + bytes(5000),
        f"{data}/headers/demo.h": b"int demo;\n",
        f"{data}/data/share/demo/table.csv": b"1,2\n",
        f"{data}/purelib/demo_extra.py": b"",
        f"{data}/platlib/demo_native.so": b"so",
        "demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\ndemo = demo:main\nDemo.2=demo.cli : App.run [x]\n"
        b"[gui_scripts]\ndemo-gui = demo:gui\n[other]\nx = y\n",
        "demo-1.0.dist-info/INSTALLER": b"somebody else\n",
        "demo-1.0.dist-info/RECORD.jws": b"{}",
    }
    path = wheel(tmp_path / "w.whl", files, modes={"demo/native.so": 0o100755})
    found = installed(path, local)
    assert found["bin/tool"] == (0o755, b"#!/opt/venv/bin/python\nimport demo\n")
    assert found["bin/binary"] == (0o755, files[f"{data}/scripts/binary"])
    assert found[f"{SITE}/demo/native.so"][0] == 0o755
    assert found["include/site/python3.11/demo/demo.h"] == (0o644, b"int demo;\n")
    assert found["share/demo/table.csv"] == (0o644, b"1,2\n")
    assert found[f"{SITE}/demo_extra.py"] == (0o644, b"")
    mode, text = found["bin/Demo.2"]
    assert mode == 0o755
    assert text.startswith(b"#!/opt/venv/bin/python\n")
    assert b"from demo.cli import App\n" in text
    assert b"sys.exit(App.run())" in text
    assert found[f"{SITE}/demo-1.0.dist-info/INSTALLER"] == (0o644, b"buildrules\n")
    assert f"{SITE}/demo-1.0.dist-info/RECORD.jws" not in found
    listed = rows(found[f"{SITE}/demo-1.0.dist-info/RECORD"][1])
    assert listed.pop("demo-1.0.dist-info/RECORD") == ("", "")
    assert "../../../bin/tool" in listed
    there = {os.path.normpath(f"{SITE}/{name}"): row for name, row in listed.items()}
    assert there.keys() | {f"{SITE}/demo-1.0.dist-info/RECORD"} == found.keys()
    for name, (digest, size) in there.items():
        content = found[name][1]
        expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        assert (digest, size) == (f"sha256={expected}", str(len(content))), name


def test_an_entry_point_replaces_a_wrapper_of_the_same_name(tmp_path: Path, local: Local) -> None:
    files = {
        "demo-1.0.data/scripts/demo": b"#!python\nold\n",
        "demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\ndemo = demo:main\n",
    }
    assert b"import main" in installed(wheel(tmp_path / "w.whl", files), local)["bin/demo"][1]


def test_stored_members_and_zip64_are_read(tmp_path: Path, local: Local) -> None:
    def big(archive: zipfile.ZipFile) -> None:
        with archive.open(zipfile.ZipInfo("demo/"), "w"):
            pass

    stored = wheel(tmp_path / "s.whl", {"demo/a": bytes(100_000)}, method=zipfile.ZIP_STORED, edit=big)
    deflated = wheel(tmp_path / "d.whl", {"demo/a": bytes(100_000)})
    assert installed(stored, local) == installed(deflated, local)
    with zipfile.ZipFile(tmp_path / "z.whl", "w") as target, zipfile.ZipFile(deflated) as source:
        for item in source.infolist():
            with target.open(zipfile.ZipInfo(item.filename), "w", force_zip64=True) as file:
                file.write(source.read(item))
    assert installed(tmp_path / "z.whl", local) == installed(deflated, local)


INFO = "demo-1.0.dist-info"


@pytest.mark.parametrize(
    ("files", "drop"),
    [
        ({"../evil.py": b""}, ()),
        ({"/etc/passwd": b""}, ()),
        ({"demo/../../evil.py": b""}, ()),
        ({"demo\\..\\evil.py": b""}, ()),
        ({"demo//x.py": b""}, ()),
        ({"demo-1.0.data/data/../../evil": b""}, ()),
        ({"demo-1.0.data/elsewhere/x": b""}, ()),
        ({"demo-1.0.data/purelib/demo/__init__.py": b""}, ()),
        ({"demo/__init__.py/below.py": b""}, ()),
        ({"other-1.0.dist-info/METADATA": b""}, ()),
        ({f"{INFO}/WHEEL": b"Wheel-Version: 2.0\nRoot-Is-Purelib: true\n"}, ()),
        ({f"{INFO}/WHEEL": b"Wheel-Version: 1.0\n"}, ()),
        ({f"{INFO}/WHEEL": b"\xff\xfe"}, ()),
        ({f"{INFO}/RECORD": b"demo/__init__.py,,\n"}, ()),
        ({f"{INFO}/RECORD": b"demo/__init__.py,md5=abc,10\n"}, ()),
        ({f"{INFO}/RECORD": b"demo/__init__.py\n"}, ()),
        ({f"{INFO}/RECORD": b'"demo'}, ()),
        ({f"{INFO}/entry_points.txt": b"[console_scripts]\n../evil = demo:main\n"}, ()),
        ({f"{INFO}/entry_points.txt": b"[console_scripts]\n.. = demo:main\n"}, ()),
        ({f"{INFO}/entry_points.txt": b"[console_scripts]\nx = demo:main() or evil\n"}, ()),
        ({f"{INFO}/entry_points.txt": b"[console_scripts]\nx = demo\n"}, ()),
        ({f"{INFO}/entry_points.txt": b"no section = x\n"}, ()),
        ({}, (f"{INFO}/METADATA",)),
        ({}, (f"{INFO}/WHEEL",)),
        ({}, (f"{INFO}/RECORD",)),
        ({}, (f"{INFO}/METADATA", f"{INFO}/WHEEL", f"{INFO}/RECORD")),
    ],
)
def test_a_wheel_that_breaks_the_standard_is_refused(
    tmp_path: Path, local: Local, files: dict[str, bytes], drop: tuple[str, ...]
) -> None:
    path = wheel(tmp_path / "w.whl", files, drop=drop)
    with pytest.raises(IntegrityError):
        installed(path, local)


def test_directory_entries_are_not_trusted(tmp_path: Path, local: Local) -> None:
    plain = installed(wheel(tmp_path / "a.whl"), local)
    files = {"../up/": b"", "demo/": b"", "demo-1.0.data/nothing/": b""}
    with zipfile.ZipFile(tmp_path / "a.whl", "a") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert installed(tmp_path / "a.whl", local) == plain


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(tmp_path: Path, local: Local) -> None:
    path = wheel(tmp_path / "w.whl", edit=lambda archive: archive.writestr("demo/__init__.py", "other"))
    with pytest.raises(IntegrityError, match="twice"):
        installed(path, local)


def patched(path: Path, old: bytes, new: bytes, count: int = -1) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, count))
    return path


def test_a_directory_that_contradicts_the_headers_is_refused(tmp_path: Path, local: Local) -> None:
    path = patched(wheel(tmp_path / "w.whl"), b"demo/__init__.py", b"demo/__evil__.py", 1)
    with pytest.raises(IntegrityError, match="contradicts"):
        installed(path, local)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unknown_compression_is_refused(tmp_path: Path, local: Local, method: int) -> None:
    with pytest.raises(IntegrityError, match="unknown method"):
        installed(wheel(tmp_path / "w.whl", method=method), local)


def test_an_encrypted_member_is_refused(tmp_path: Path, local: Local) -> None:
    path = wheel(tmp_path / "w.whl")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="encrypted"):
        installed(path, local)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\5\6" + bytes(18), b"PK\5\6" + b"\xff" * 18])
def test_what_is_no_wheel_is_refused(tmp_path: Path, local: Local, content: bytes) -> None:
    (tmp_path / "w.whl").write_bytes(content)
    with pytest.raises(IntegrityError):
        installed(tmp_path / "w.whl", local)


def test_a_cut_or_changed_wheel_is_refused_or_the_same(tmp_path: Path, local: Local) -> None:
    """No byte of the archive, changed, leads to another error than IntegrityError."""
    path = wheel(tmp_path / "w.whl", {"demo/a.py": b"value = 1\n" * 500})
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        changed = bytearray(data)
        changed[position] ^= 0x55
        path.write_bytes(changed)
        with contextlib.suppress(IntegrityError):
            installed(path, local)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(IntegrityError):
        installed(path, local)


def test_another_project_or_a_missing_wheel_is_refused(tmp_path: Path, local: Local) -> None:
    with pytest.raises(IntegrityError, match="another project"):
        installed(wheel(tmp_path / "w.whl"), local, name="Other-1.0-py3-none-any.whl")
    part = recipes.wheel("sha256:" + "0" * 64, "demo-1.0-py3-none-any.whl", "opt", "3.11")
    with pytest.raises(FileNotFoundError):
        assemble(recipes.gzip([part]), local)


def test_a_member_before_the_archive_is_refused(tmp_path: Path, local: Local) -> None:
    path = wheel(tmp_path / "w.whl")
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\5\6")  # offset of the directory, at byte 16 (APPNOTE 4.3.16): everything moves by it
    data[end + 16 : end + 20] = (int.from_bytes(data[end + 16 : end + 20], "little") + 1).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"demo-1\.0.* places '.*' before the archive"):
        installed(path, local)


def test_a_whiteout_is_refused(tmp_path: Path, local: Local) -> None:
    with pytest.raises(IntegrityError, match="is a whiteout, which would delete what lies below"):
        installed(wheel(tmp_path / "w.whl", {"demo-1.0.data/data/.wh..wh..opq": b""}), local)


@pytest.mark.parametrize("place", ["pyvenv.cfg", "bin", "lib", "lib64", "include", "bin/python", "bin/python3.11"])
def test_the_environment_itself_is_not_replaced(tmp_path: Path, local: Local, place: str) -> None:
    with pytest.raises(IntegrityError, match=rf"'demo-1\.0.*' would replace '{place}'"):
        installed(wheel(tmp_path / "w.whl", {f"demo-1.0.data/data/{place}": b"evil"}), local)


@pytest.mark.parametrize("name", ["a b", "a\x1b[2J", "a\tb", "python", "python3", "a\u202eb"])
def test_a_script_has_a_plain_name(tmp_path: Path, local: Local, name: str) -> None:
    points = f"[console_scripts]\n{name} = demo:main\n".encode()
    with pytest.raises(IntegrityError):
        installed(wheel(tmp_path / "w.whl", {"demo-1.0.dist-info/entry_points.txt": points}), local)


@pytest.mark.parametrize("name", ["python-argcomplete", "ipython3", "f2py", "pythonic"])
def test_other_names_are_good(tmp_path: Path, local: Local, name: str) -> None:
    points = f"[console_scripts]\n{name} = demo:main\n".encode()
    path = wheel(tmp_path / "w.whl", {"demo-1.0.dist-info/entry_points.txt": points})
    assert f"bin/{name}" in installed(path, local)


def test_a_file_of_two_wheels_stands_once_in_a_layer_from_the_last(tmp_path: Path, local: Local) -> None:
    own = ("demo/__init__.py", *(f"demo-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")))
    other = {
        "space/__init__.py": b"second\n",
        "space/other.py": b"",
        "other-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n",
        "other-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    other["other-1.0.dist-info/RECORD"] = record(other, "other-1.0.dist-info")
    paths = [wheel(tmp_path / "a.whl", {"space/__init__.py": b"first\n"}), wheel(tmp_path / "b.whl", other, drop=own)]
    names = ["demo-1.0-py3-none-any.whl", "other-1.0-py3-none-any.whl"]
    parts = [
        recipes.wheel(local.blobs.put(path.read_bytes()), name, "v", "3.11")
        for path, name in zip(paths, names, strict=True)
    ]
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream(recipes.tar(parts), local)))) as archive:
        found = archive.getnames()
        shared = archive.extractfile(f"v/{SITE}/space/__init__.py")
        assert shared is not None
        assert shared.read() == b"second\n"
    assert len(found) == len(set(found))
    assert {f"v/{SITE}/space/other.py", f"v/{SITE}/demo/__init__.py"} <= set(found)
