"""What an archive of a Python becomes, and what is refused in one."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.errors import IntegrityError
from buildrules.oci.parts.entry import HARDLINK, SYMLINK, Entry
from buildrules.oci.parts.python import DROP, PREFIX, read
from tests.support.standalone import archive

PYTHON = "3.12.1"
CONFIG = b"""build_time_vars = {'prefix': '/install', 'LDFLAGS': '-L/install/lib -Wl,-rpath,/install/lib',
'INSTALL': '/usr/bin/install -c', 'SCRIPT': '/build/install-sh', 'CFLAGS': "-I/install/include"}
"""


def entries(tmp_path: Path, data: bytes, python: str = PYTHON) -> dict[str, Entry]:
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(data)
    return {entry.path: entry for entry in read(str(path), python, PREFIX, DROP)}


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = kind, link, mode
    return found


def test_files_go_below_the_prefix_but_for_what_is_dropped(tmp_path: Path) -> None:
    lib = "lib/python3.12"
    dropped = (
        *(f"{lib}/{name}" for name in ("test/support.py", "idlelib/run.py", "tkinter/__init__.py", "turtle.py")),
        *(f"{lib}/{name}" for name in ("ensurepip/__init__.py", "turtledemo/clock.py", "__pycache__/os.pyc")),
        *(f"{lib}/{name}" for name in ("json/__pycache__/x.pyc", "unittest/test/x.py", "ctypes/tests/x.py")),
        *(f"{lib}/{name}" for name in ("site-packages/pip/main.py", "config-3.12-x86_64-linux-gnu/Makefile")),
        *(f"{lib}/lib-dynload/_{name}.cpython-312.so" for name in ("tkinter", "testcapi", "ctypes_test")),
        *("bin/pip3.12", "bin/idle3", "bin/2to3", "bin/python3.12-config", "lib/libpython3.12.a", "lib/tcl9.0/x.tcl"),
        *("lib/libtcl9.0.so", "lib/pkgconfig/python3.pc", "share/man/man1/python3.1"),
    )
    kept = (
        *(f"{lib}/{name}" for name in ("EXTERNALLY-MANAGED", "unittest/case.py", "lib2to3/pgen.py", "_testament.py")),
        *(f"{lib}/lib-dynload/_ssl.so", "lib/libpython3.12.so.1.0", "share/terminfo/x/xterm"),
    )
    found = entries(tmp_path, archive(PYTHON, dict.fromkeys((*dropped, *kept), b"x")))
    usual = {"bin/python3.12", "bin/python3", "include/python3.12/patchlevel.h", f"{lib}/os.py"}
    assert set(found) == {f"opt/python/{name}" for name in usual | set(kept)}
    assert found["opt/python/bin/python3.12"].mode == 0o755 and found[f"opt/python/{lib}/os.py"].mode == 0o644
    link = found["opt/python/bin/python3"]
    assert (link.kind, link.link) == (SYMLINK, "python3.12")


def test_the_place_it_was_built_for_becomes_the_real_one(tmp_path: Path) -> None:
    name = "lib/python3.12/_sysconfigdata__linux_x86_64-linux-gnu.py"
    data = CONFIG.decode()
    found = entries(tmp_path, archive(PYTHON, {name: CONFIG, "lib/python3.12/site.py": b"'/install'"}))
    entry = found[f"opt/python/{name}"]
    wanted = data.replace("'/install'", "'/opt/python'").replace("/install/", "/opt/python/")
    assert entry.content == wanted.encode() and entry.size == len(wanted)
    assert b"/usr/bin/install -c" in entry.content and b"/build/install-sh" in entry.content
    assert found["opt/python/lib/python3.12/site.py"].content == b"'/install'"


def test_a_second_name_of_a_file_is_one(tmp_path: Path) -> None:
    found = entries(
        tmp_path, archive(PYTHON, extra=[info("python/bin/python", tarfile.LNKTYPE, "python/bin/python3.12")])
    )
    assert (found["opt/python/bin/python"].kind, found["opt/python/bin/python"].link) == (
        HARDLINK,
        "opt/python/bin/python3.12",
    )


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (info("python/../../etc/passwd"), "climbs"),
        (info("/etc/passwd"), "is absolute"),
        (info("etc/passwd"), "is not below 'python/'"),
        (info("python/lib/.wh.x"), "whiteout"),
        (info("python/bin/python3.12"), "twice"),
        (info("python/bin/x", tarfile.SYMTYPE, "/bin/sh"), "is absolute"),
        (info("python/bin/x", tarfile.SYMTYPE, "../../x"), "leaves the root"),
        (info("python/bin/x", tarfile.LNKTYPE, "python/../../x"), "climbs"),
        (info("python/bin/x", tarfile.LNKTYPE, "python/bin/absent"), "not there"),
        (info("python/lib/null", tarfile.CHRTYPE), "is a character device"),
        (info("python/lib/pipe", tarfile.FIFOTYPE), "is a named pipe"),
        (info("python", tarfile.SYMTYPE, "x"), "'python' in .* is not a folder"),
    ],
)
def test_what_leads_out_is_refused(member: tarfile.TarInfo, said: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=said):
        entries(tmp_path, archive(PYTHON, extra=[member]))


def members(data: bytes) -> bytes:
    """The tar in an archive: three files of two blocks each and a link, without the zeros at the end."""
    return gzip.decompress(data)[: 7 * 512]


def bomb(_: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", 1, buffer, mtime=0) as packed:
        large = info("python/lib/large")
        large.size = 5 << 30
        packed.write(large.tobuf(tarfile.PAX_FORMAT))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"no archive at all", "cannot be unpacked"),
        (lambda data: data[: len(data) // 2], "cannot be unpacked"),
        (lambda data: gzip.compress(b"no tar"), "cannot be unpacked"),
        (lambda data: archive("3.12.2"), "holds Python 3.12.2"),
        (lambda data: archive("3.11.1"), "has no 'python/bin/python3.12'"),
        (bomb, "unpacks to more than"),
        (lambda data: gzip.compress(members(data)), "cut off: it has no end"),
        (lambda data: gzip.compress(members(data)[:2048]), "cut off: it has no end"),
        (lambda data: gzip.compress(members(data)[:2048] + bytes(1024)), "has no 'python/lib/python3.12/os.py'"),
    ],
)
def test_what_is_no_such_python_is_refused(change: Callable[[bytes], bytes], said: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=said):
        entries(tmp_path, change(archive(PYTHON)))


def test_the_free_threaded_build_has_names_of_its_own(tmp_path: Path) -> None:
    assert "opt/python/bin/python3.13t" in entries(tmp_path, archive("3.13.0t"), "3.13.0t")
    with pytest.raises(IntegrityError, match="has no 'python/bin"):
        entries(tmp_path, archive("3.13.0"), "3.13.0t")


def test_what_is_left_out_is_listed_for_people() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "choose-a-python.md").read_text()
    listed = page.partition("```text\n")[2].partition("```")[0].split()
    assert listed == DROP
