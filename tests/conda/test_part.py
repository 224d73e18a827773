"""The files of a conda package as a layer has them: both formats, prefixes, noarch packages, hostile ones."""

import bz2
import io
import json
import py_compile
import random
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

import pytest
import zstandard

from buildrules.errors import IntegrityError
from buildrules.oci import recipe
from buildrules.oci.assemble import assemble, stream
from buildrules.oci.local import Local
from buildrules.oci.parts import conda
from buildrules.oci.parts import conda_package as conda_package_
from buildrules.oci.parts.conda import in_binary
from buildrules.store.blobs import Blobs
from tests.support.conda import MINOR, PLACEHOLDER, conda_package

LONG = PLACEHOLDER.encode()
FILES: dict[str, Any] = {
    "bin/tool": b"\x7fELF\0" + LONG + b"/share/a:" + LONG + b"/b\0rest\0" + LONG + b" without end",
    "bin/script": b"#!" + LONG + b"/bin/sh\necho " + LONG + b"\n",
    "lib/libt.so.1": b"\0" * 100,
    "lib/libt.so": "libt.so.1",
    "share/doc.txt": b"plain\n",
}


def laid(blobs: Blobs, package: tuple[str, bytes, Any], python: str = "", drop: tuple[str, ...] = ()) -> dict[str, Any]:
    """path -> content of the layer of one package, a link's target as text."""
    filename, data, _ = package
    part = recipe.conda(blobs.put(data), filename, "opt/conda", python, list(drop))
    local = Local(blobs)
    layer = assemble(recipe.gzip([part], 1), local)
    assert layer == assemble(recipe.gzip([part], 1), local)
    found: dict[str, Any] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream(recipe.gzip([part], 1), local))), mode="r:gz") as archive:
        for member in archive:
            assert (member.uid, member.mtime) == (0, 0)
            if member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
                assert member.mode == (0o755 if "bin/" in member.name or ".so" in member.name else 0o644)
            elif not member.isdir():
                found[member.name] = member.linkname
    return found


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path / "store"))


@pytest.mark.parametrize("more", [{}, {"ending": ".tar.bz2"}, {"ending": ".tar.bz2", "old": True}, {"old": True}])
def test_prefixes_are_replaced_in_texts_and_in_binaries_of_the_same_length(blobs: Blobs, more: dict[str, Any]) -> None:
    found = laid(blobs, conda_package("tool", "1.0", FILES, **more))
    meta = json.loads(found.pop("opt/conda/conda-meta/tool-1.0-0.json"))
    lost = 2 * (len(LONG) - len("/opt/conda"))
    assert found == {
        "opt/conda/bin/tool": b"\x7fELF\0/opt/conda/share/a:/opt/conda/b"
        + bytes(lost + 1)
        + b"rest\0"
        + LONG
        + b" without end",
        "opt/conda/bin/script": b"#!/opt/conda/bin/sh\necho /opt/conda\n",
        "opt/conda/lib/libt.so.1": b"\0" * 100,
        "opt/conda/lib/libt.so": "libt.so.1",
        "opt/conda/share/doc.txt": b"plain\n",
    }
    assert meta["license"] == "MIT" and meta["files"] == sorted(FILES)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_a_prefix_is_found_wherever_a_chunk_ends(size: int) -> None:
    data = (b"x" * 50 + LONG + b"/lib\0") * 5 + LONG + b"\0tail"
    chunks = iter([*(data[start : start + size] for start in range(0, len(data), size)), b""])
    got = b"".join(in_binary(lambda: next(chunks, b""), LONG, b"/opt/conda"))
    assert got == data.replace(LONG + b"/lib", b"/opt/conda/lib".ljust(len(LONG) + 4, b"\0")).replace(
        LONG, b"/opt/conda".ljust(len(LONG), b"\0")
    )


def test_a_large_binary_is_streamed(blobs: Blobs) -> None:
    big = bytes(9 << 20) + LONG + b"/x\0" + b"y" * (9 << 20)
    found = laid(blobs, conda_package("big", "1", {"lib/big.so": big, "lib/plain.so": bytes(9 << 20)}))
    assert found["opt/conda/lib/big.so"] == big.replace(LONG + b"/x", b"/opt/conda/x".ljust(len(LONG) + 2, b"\0"))
    assert found["opt/conda/lib/plain.so"] == bytes(9 << 20)


def test_noarch_packages_are_laid_out_for_the_python(blobs: Blobs) -> None:
    files = {
        "site-packages/pure/__init__.py": b"def main(): ...\n",
        "site-packages/pure-1.0.dist-info/METADATA": b"Name: pure\n",
        "python-scripts/old": b"#!" + LONG + b"/bin/python\n",
    }
    package = conda_package("pure", "1.0", files, python=True, entry_points=["pure = pure:main"])
    found = laid(blobs, package, "3.12")
    assert set(found) == {
        "opt/conda/lib/python3.12/site-packages/pure/__init__.py",
        "opt/conda/lib/python3.12/site-packages/pure-1.0.dist-info/METADATA",
        "opt/conda/bin/old",
        "opt/conda/bin/pure",
        "opt/conda/conda-meta/pure-1.0-0.json",
    }
    assert found["opt/conda/bin/old"] == b"#!/opt/conda/bin/python\n"
    assert found["opt/conda/bin/pure"].startswith(b"#!/opt/conda/bin/python3.12\n")
    left = laid(blobs, package, "3.12", drop=("bin/pure", "bin/old"))
    assert not {"opt/conda/bin/pure", "opt/conda/bin/old"} & set(left)
    with pytest.raises(IntegrityError, match="is Python's, and there is none"):
        laid(blobs, package)


def entry(name: str, kind: bytes = tarfile.SYMTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, size
    return found


LISTED = [{"_path": "a", "path_type": "softlink"}]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tar": [entry("../a", tarfile.REGTYPE)]}, "climbs with '..'"),
        ({"tar": [entry("/a", tarfile.REGTYPE)]}, "is absolute"),
        ({"tar": [entry("x/.wh.a", tarfile.REGTYPE)]}, "whiteout"),
        ({"tar": [entry("b", tarfile.REGTYPE)]}, "'b' in conda package 'p-1-0.conda' is not listed"),
        ({"tar": [entry("a", link="/etc/passwd")], "paths": LISTED}, "'a -> /etc/passwd' .* is absolute"),
        ({"tar": [entry("a", link="../x")], "paths": LISTED}, "leaves the prefix"),
        ({"tar": [entry("a", link="/opt/conda/../../etc")], "paths": LISTED}, "leaves the prefix"),
        (
            {"tar": [entry("a", tarfile.LNKTYPE, "../../etc/passwd")], "paths": LISTED},
            "'../../etc/passwd' in conda package .* climbs",
        ),
        ({"tar": [entry("a", tarfile.LNKTYPE, "b")], "paths": LISTED}, "is a link to 'b', outside of it"),
        ({"tar": [entry("a", tarfile.CHRTYPE)], "paths": LISTED}, "is a character device"),
        ({"tar": [entry("a", link="b"), entry("a", link="b")], "paths": LISTED}, "would be installed as 'a'"),
        ({"paths": [{"_path": 5}]}, "is not a list of paths"),
        ({"paths": [{"_path": "a", "file_mode": "odd"}]}, "unknown mode 'odd'"),
        ({"paths": "x"}, "is not a list of paths"),
        ({"paths": [{"_path": "a", "prefix_placeholder": "\ud800"}]}, "a path or prefix .* is not valid Unicode"),
        ({"paths": [{"_path": "\ud800"}]}, "a path or prefix .* is not valid Unicode"),
        ({"link_json": [1]}, "info/link.json of conda package 'p-1-0.conda' is not an object"),
        ({"python": True, "entry_points": ["../x = a:b"]}, "is not a script"),
        ({"python": True, "entry_points": ["x = os; import"]}, "is not a script"),
    ],
)
def test_hostile_packages_are_refused(blobs: Blobs, more: dict[str, Any], said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        laid(blobs, conda_package("p", "1", {}, **more), "3.11" if "python" in more else "")


@pytest.mark.parametrize("name", ["'a", "b'c d"])
def test_a_quote_that_is_not_closed_is_refused(blobs: Blobs, name: str) -> None:
    with pytest.raises(IntegrityError, match=r"info/has_prefix of conda package 'p-1-0\.conda' has the line"):
        laid(blobs, conda_package("p", "1", {name: LONG}, old=True))


@pytest.mark.parametrize("ending", [".conda", ".tar.bz2"])
def test_damaged_packages_are_refused(blobs: Blobs, ending: str) -> None:
    filename, data, row = conda_package("p", "1", {"a": bytes(range(256)) * 9}, ending=ending)
    for broken in (data[: len(data) // 2], b"", data[: len(data) // 2] + b"\xff" * 20 + data[len(data) // 2 + 20 :]):
        with pytest.raises(IntegrityError):
            laid(blobs, (filename, broken, row))
    with pytest.raises(IntegrityError, match="is another one"):
        laid(
            blobs,
            ("q-1-0" + ending, data, row)
            if ending == ".tar.bz2"
            else ("p-1-0.tar.bz2", *conda_package("q", "1", {}, ending=".tar.bz2")[1:]),
        )


@pytest.mark.parametrize("ending", [".conda", ".tar.bz2"])
@pytest.mark.parametrize("name", ["a", "a.pyc", "lib/text", "lib/binary", "lib/large"])
def test_what_is_damaged_inside_of_a_package_is_refused(blobs: Blobs, ending: str, name: str) -> None:
    """The archive around it is whole: a member is cut, or says nonsense."""
    start = {"lib/text": LONG, "lib/binary": b"\0" + LONG + b"\0"}.get(name, b"")
    files = {name: start + random.Random(7).randbytes(9 << 20 if name == "lib/large" else 300 << 10)}
    filename, data, row = conda_package("p", "1", files, ending=ending)
    for broken in damaged_inside(data, ending):
        with pytest.raises(IntegrityError, match=f"conda package 'p-1-0{ending}' cannot be unpacked"):
            laid(blobs, (filename, broken, row))


@pytest.mark.parametrize("ending", [".conda", ".tar.bz2"])
def test_what_a_package_says_of_itself_may_be_damaged(blobs: Blobs, ending: str) -> None:
    rows = [{"_path": f"{number}", "sha256": random.Random(number).randbytes(32).hex()} for number in range(9000)]
    filename, data, row = conda_package("p", "1", {}, ending=ending, paths=rows)
    for broken in damaged_inside(data, ending, "info"):
        with pytest.raises(IntegrityError, match=f"conda package 'p-1-0{ending}' cannot be unpacked"):
            laid(blobs, (filename, broken, row))


def damaged_inside(data: bytes, ending: str, part: str = "pkg") -> list[bytes]:
    """A package whose part is cut in a tar of the right form, cut as a stream, and changed."""
    if ending == ".tar.bz2":
        tar = bz2.decompress(data)
        return [bz2.compress(tar[: len(tar) // 2]), data[: len(data) // 2]]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(one for one in members if one.startswith(part))
    right, found = members[name], []
    tar = zstandard.ZstdDecompressor().decompressobj().decompress(right)
    middle = len(right) // 2
    changed = right[:middle] + bytes(byte ^ 0xFF for byte in right[middle : middle + 4096])
    for wrong in (zstandard.ZstdCompressor().compress(tar[: len(tar) // 2]), right[:middle], changed):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for one, content in {**members, name: wrong}.items():
                archive.writestr(one, content)
        found.append(buffer.getvalue())
    return found


@pytest.mark.parametrize("more", [{}, {"ending": ".tar.bz2"}, {"ending": ".tar.bz2", "old": True}])
def test_a_package_without_what_it_lists_is_refused(blobs: Blobs, more: dict[str, Any]) -> None:
    files: dict[str, Any] = {"a": b"x", "lib/b": b"y", "lib/c": "b"}
    package = conda_package("p", "1", files, **more)
    assert {f"opt/conda/{name}" for name in files} <= set(laid(blobs, package))
    for name in files:
        with pytest.raises(IntegrityError, match=f"conda package '{package[0]}' lists '{name}', and does not hold it"):
            laid(blobs, conda_package("p", "1", files, without=name, **more))


def test_a_folder_that_is_listed_and_a_script_that_is_made_need_not_be_held(blobs: Blobs) -> None:
    rows = [{"_path": "share/empty", "path_type": "directory"}, {"_path": "python-scripts/run"}]
    package = conda_package("p", "1", {}, paths=rows, python=True, entry_points=["run = p:main"])
    assert "opt/conda/bin/run" in laid(blobs, package, "3.12")


def test_a_placeholder_that_is_too_short_is_refused(blobs: Blobs) -> None:
    rows = [{"_path": "a", "prefix_placeholder": "/b", "file_mode": "binary"}]
    with pytest.raises(IntegrityError, match="the prefix /opt/conda is too long for"):
        laid(blobs, conda_package("p", "1", {"a": b"/b\0"}, paths=rows))


def test_bytecode_of_a_package_is_believed_whatever_the_time_of_its_source(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "mod.py").write_text("answer = 42\n")
    made = Path(py_compile.compile(str(tmp_path / "mod.py"), invalidation_mode=PycInvalidationMode.TIMESTAMP) or "")
    name = f"lib/python{MINOR}/site-packages/__pycache__/{made.name}"
    found = laid(blobs, conda_package("mod", "1", {name: made.read_bytes(), "a.pyc": b"short"}))
    assert found["opt/conda/a.pyc"] == b"short"
    made.write_bytes(found[f"opt/conda/{name}"])
    (tmp_path / "mod.py").write_text("answer = 43\n")  # not looked at
    said = subprocess.run(
        [sys.executable, "-c", "import mod; print(mod.answer)"], cwd=tmp_path, stdout=subprocess.PIPE, check=True
    )
    assert said.stdout == b"42\n"


def test_what_is_too_large_to_be_what_it_says_is_refused(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    package = conda_package("p", "1", {"a": LONG, "b": b"0" + LONG + b"/" + b"x" * 99 + b"\0"})
    monkeypatch.setattr(conda, "_LARGEST_TEXT", 50)
    with pytest.raises(IntegrityError, match=r"text 'opt/conda/a' of conda package 'p-1-0.conda' has \d+ bytes"):
        laid(blobs, package)
    monkeypatch.undo()
    monkeypatch.setattr(conda_package_, "_LARGEST", 50)
    with pytest.raises(IntegrityError, match=r"'info/.*' in conda package 'p-1-0.conda' has \d+ bytes"):
        laid(blobs, package)


def test_a_string_that_does_not_end_is_refused() -> None:
    chunks = iter([LONG, *[b"x" * (1 << 19)] * 4])
    with pytest.raises(IntegrityError, match="does not end"):
        list(in_binary(lambda: next(chunks, b""), LONG, b"/opt/conda"))
