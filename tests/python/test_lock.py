import os
import resource
import signal
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.pylock import Pylock, is_valid_pylock_path

from buildrules.errors import LockError
from buildrules.locking.python.lock import (
    Lock,
    lock_filename,
    lock_text,
    read_lock,
    write_lock,
)
from buildrules.locking.python.locked import LockedFile, LockedPackage

from .conftest import AMD64, ARM64, TOKEN

HEX = "0123456789abcdef" * 4


def wheel(name: str = "numpy", version: str = "2.3.1", tag: str = "py3-none-any", **more: object) -> LockedPackage:
    more = {"url": f"https://files.example/{name}-{version}-{tag}.whl", **more}
    file = LockedFile(f"{name}-{version}-{tag}.whl", HEX, 10, **more)  # type: ignore[arg-type]
    return LockedPackage(name, version, "wheel", file)


def lock_of(*packages: LockedPackage, **more: object) -> Lock:
    settings = {"name": "env", "folder": "m", "target": AMD64, "inputs": "sha256:" + HEX, **more}
    return Lock(packages=packages, **settings)  # type: ignore[arg-type]


ALL_KINDS = (
    wheel("numpy", tag="cp311-cp311-manylinux_2_28_x86_64"),
    LockedPackage(
        "other", "1.0", "sdist", LockedFile("other-1.0.tar.gz", HEX, 5, "https://files.example/other-1.0.tar.gz")
    ),
    LockedPackage("pkg", "", "directory", directory="libs/pkg", direct=True),
    LockedPackage(
        "ready",
        "1.0",
        "wheel",
        LockedFile("ready-1.0-py3-none-any.whl", HEX, 5, None, "m/ready-1.0-py3-none-any.whl"),
        None,
        True,
    ),
    LockedPackage(
        "zed",
        "1.0",
        "wheel",
        LockedFile("zed-1.0-py3-none-any.whl", HEX, 5, "https://x.example/zed-1.0-py3-none-any.whl"),
        None,
        True,
    ),
)


def test_round_trip_of_every_kind(root: Path) -> None:
    lock = lock_of(*ALL_KINDS)
    path = write_lock(lock, str(root))
    assert path == "m/pylock.env-linux-amd64.toml"
    assert is_valid_pylock_path(root / path)
    assert read_lock(str(root), path) == lock
    Pylock.from_dict(tomllib.loads((root / path).read_text())).validate()
    assert os.listdir(root / "m") == [os.path.basename(path)]


names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.dictionaries(names, st.tuples(st.booleans(), st.integers(0, 1 << 40)), max_size=6), st.booleans())
def test_what_is_written_is_read(root: Path, found: dict[str, tuple[bool, int]], portable: bool) -> None:
    packages = []
    for name in sorted(found):
        has_url, size = found[name]
        filename = f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        url = f"https://files.example/{filename}" if has_url and not portable else None
        packages.append(LockedPackage(name, "1.0", "wheel", LockedFile(filename, HEX, size, url)))
    lock = lock_of(*packages, portable=portable)
    assert read_lock(str(root), write_lock(lock, str(root))) == lock


def test_portable_locks_hold_no_urls_but_those_asked_for(root: Path) -> None:
    lock = lock_of(*ALL_KINDS, portable=True)
    text = lock_text(lock)
    assert "files.example" not in text and "x.example" in text
    Pylock.from_dict(tomllib.loads(text)).validate()
    (read, *_) = read_lock(str(root), write_lock(lock, str(root))).packages
    assert read.file is not None and (read.file.url, read.file.path) == (None, None)


def test_hints_name_a_file_beside_the_lock_first(root: Path) -> None:
    """Whether it is there is looked at when it is fetched."""
    lock = lock_of(wheel(url=None), portable=True)
    filename = "numpy-2.3.1-py3-none-any.whl"
    assert lock.places(str(root))["urls"] == {filename: [(root / "m" / filename).as_uri()]}
    assert lock.places(str(root))["index"] == {"target": AMD64.to_dict(), "pins": [["numpy", "2.3.1"]]}


def test_the_text_depends_on_nothing_else(root: Path) -> None:
    lock = lock_of(*ALL_KINDS)
    assert lock_text(lock) == lock_text(replace(lock))
    assert str(root) not in lock_text(lock)


def test_the_best_wheel_is_chosen_by_tags_and_markers(root: Path) -> None:
    tags = ["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_34_x86_64",
            "cp311-cp311-manylinux_2_39_x86_64", "cp311-cp311-manylinux_2_34_aarch64"]  # fmt: skip
    wheels = "".join(
        f'[[packages.wheels]]\nurl = "https://x.example/a-1-{tag}.whl"\nsize = 1\nhashes = {{sha256 = "{HEX}"}}\n'
        for tag in tags
    )
    for target, best in ((AMD64, tags[2]), (ARM64, tags[4]), (replace(AMD64, glibc="2.41"), tags[3])):
        text = lock_text(lock_of(target=target)).replace("packages = []\n", "")
        text += f'\n[[packages]]\nname = "a"\nversion = "1"\n{wheels}'
        text += '\n[[packages]]\nname = "win"\nversion = "1"\nmarker = "sys_platform == \'win32\'"\n'
        text += (
            f'[[packages.wheels]]\nurl = "https://x.example/win-1-py3-none-any.whl"\nhashes = {{sha256 = "{HEX}"}}\n'
        )
        (root / "pylock.x.toml").write_text(text)
        (package,) = read_lock(str(root), "pylock.x.toml").packages
        assert package.file is not None and package.file.filename == f"a-1-{best}.whl"


def test_without_a_wheel_that_fits_the_source_is_taken(root: Path) -> None:
    text = lock_text(lock_of()).replace("packages = []\n", "") + (
        '\n[[packages]]\nname = "a"\nversion = "1"\n'
        f'sdist = {{url = "https://x.example/a-1.tar.gz", hashes = {{sha256 = "{HEX}"}}}}\n'
        f'wheels = [{{url = "https://x.example/a-1-cp312-cp312-win_amd64.whl", hashes = {{sha256 = "{HEX}"}}}}]\n'
    )
    (root / "pylock.x.toml").write_text(text)
    (package,) = read_lock(str(root), "pylock.x.toml").packages
    assert (package.kind, package.file and package.file.filename) == ("sdist", "a-1.tar.gz")
    (root / "pylock.x.toml").write_text("\n".join(line for line in text.splitlines() if not line.startswith("sdist")))
    with pytest.raises(LockError, match=r"cannot be used"):
        read_lock(str(root), "pylock.x.toml")


GOOD = f'hashes = {{sha256 = "{HEX}"}}'
AT = "https://x.example"
NAME = "a-1-py3-none-any.whl"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (f'wheels = [{{url = "https://u:{TOKEN}@x.example/{NAME}", {GOOD}}}]', "credentials"),
        (f'wheels = [{{url = "{AT}/{NAME}?sig={TOKEN}", {GOOD}}}]', "a query"),
        (f'wheels = [{{url = "ssh://x.example/{NAME}", {GOOD}}}]', "neither http nor"),
        (f'wheels = [{{path = "../../{NAME}", {GOOD}}}]', "outside the workspace"),
        (f'wheels = [{{path = "/etc/{NAME}", {GOOD}}}]', "outside the workspace"),
        (f'wheels = [{{url = "{AT}/b-1-py3-none-any.whl", {GOOD}}}]', "not consistent with package name 'a'"),
        (f'archive = {{url = "{AT}/b-1-py3-none-any.whl", {GOOD}}}', "not a wheel of 'a'"),
        (f'wheels = [{{url = "{AT}/{NAME}", hashes = {{sha256 = "aa"}}}}]', "has no sha256"),
        (f'wheels = [{{url = "{AT}/{NAME}", hashes = {{md5 = "aa"}}}}]', "has no sha256"),
        (f'wheels = [{{url = "{AT}/{NAME}", hashes = {{}}}}]', "cannot be used"),
        (f'wheels = [{{name = "../{NAME}", url = "{AT}/a", {GOOD}}}]', "cannot be used"),
        (f'sdist = {{name = "../a-1.tar.gz", url = "{AT}/a", {GOOD}}}', "file name|cannot be used"),
        (f'archive = {{url = "{AT}/a-1-cp312-cp312-win32.whl", {GOOD}}}', "does not fit"),
        (f'archive = {{url = "{AT}/a.tar.gz", subdirectory = "x", {GOOD}}}', "subdirectory"),
        ('vcs = {type = "git", url = "https://x.example/a", commit-id = "aa"}', "version control"),
        ('directory = {path = "../.."}', "outside the workspace"),
        ("wheels = 3", "cannot be used"),
        (f'wheels = [{{url = "{AT}/{NAME}", size = -1, {GOOD}}}]', "size"),
        (f'wheels = [{{url = "{AT}/{NAME}", size = 9999999999999999, {GOOD}}}]', "which no file has"),
    ],
)
def test_hostile_and_broken_locks(root: Path, entry: str, message: str) -> None:
    text = lock_text(lock_of()).replace("packages = []\n", "")
    (root / "pylock.x.toml").write_text(f'{text}\n[[packages]]\nname = "a"\nversion = "1"\n{entry}\n')
    with pytest.raises(LockError, match=message) as caught:
        read_lock(str(root), "pylock.x.toml")
    assert TOKEN not in str(caught.value) + str(caught.value.hint)


def test_what_is_no_lock_of_ours(root: Path) -> None:
    with pytest.raises(LockError, match=r"there is no lock 'pylock.x.toml'") as caught:
        read_lock(str(root), "pylock.x.toml")
    assert caught.value.hint == "run 'buildrules lock'"
    good = lock_text(lock_of())
    for text, message in [
        ("[", "cannot be read"),
        ('lock-version = "1.0"\npackages = []\n', "another program"),
        (good.replace("version = 1", "version = 99"), "has version 99"),
        (good.replace("glibc", "libc"), "no 'glibc'"),
        (good.replace('lock-version = "1.0"', 'lock-version = "2.0"'), "cannot be used"),
    ]:
        (root / "pylock.x.toml").write_text(text)
        with pytest.raises(LockError, match=message):
            read_lock(str(root), "pylock.x.toml")


def test_names() -> None:
    assert lock_filename("env", "linux/amd64") == "pylock.env-linux-amd64.toml"
    assert is_valid_pylock_path(Path(lock_filename("my.env", "linux/arm64")))


def test_d10_a_directory_in_the_place_of_a_lock(root: Path) -> None:
    write_lock(lock_of(), str(root))
    place = next(root.rglob("pylock*"))
    place.unlink()
    place.mkdir()
    with pytest.raises(LockError, match="cannot write the lock") as caught:
        write_lock(lock_of(), str(root))
    assert caught.value.hint == "move the directory away"
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_nothing_is_left_where_a_lock_cannot_be_written(root: Path) -> None:
    lock = lock_of()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))  # as on a full disk, a write fails in the middle
    try:
        with pytest.raises(LockError, match="cannot write the lock 'm/pylock"):
            write_lock(lock, str(root))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in root.rglob("*pylock*")] == []
