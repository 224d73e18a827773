"""`python_standalone` from a target to layers, with archives that only look like a Python."""

import base64
import hashlib
import json
import os
import shutil
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from buildrules.locking.standalone.builds import table
from buildrules.locking.standalone.lock import read_lock
from tests.support.space import Space, make_base
from tests.support.standalone import archive, filename, mirror, program
from tests.support.web import Web

PY = "//:py"


@pytest.fixture
def space(workspace: Space) -> Space:
    """The usual workspace, whose environment stands on a Python that stands on the base."""
    workspace.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  python: {bytecode: false, mirror: pythons}\n")
    workspace.edit("BUILD.yaml", "    base: :base\n", "    base: :py\n")
    workspace.append("BUILD.yaml", '  py: {rule: python_standalone, version: "3.12", base: ":base"}\n')
    mirror(workspace.root / "pythons", "3.12.1", "3.12.0", "3.11.9")
    return workspace


def test_the_newest_patch_is_locked_and_a_newer_one_makes_no_layer_of_wheels(space: Space) -> None:
    space.run("lock")
    lock = (space.root / "python.py-linux-amd64.lock").read_text()
    assert 'python = "3.12.1"' in lock and f'path = "pythons/{filename("3.12.1")}"' in lock
    report = space.build()
    layer = report.layer("python 3.12.1")
    app = [one["digest"] for one in report.targets["//:app"]["layers"]]
    assert app.index(layer["digest"]) == 1, "directly on the base"
    config = space.config(report.digest)
    assert "/opt/venv/bin:/opt/python/bin:" in next(one for one in config["Env"] if one.startswith("PATH="))

    kept = space.blobs()[
        "sha256:" + hashlib.sha256((space.root / "pythons" / filename("3.12.1")).read_bytes()).hexdigest()
    ]
    kept.unlink()
    space.run("export", "//:app", "-o", str(space.folder / "image"))
    assert kept.exists(), "it was fetched again: the layer is a recipe over it"

    mirror(space.root / "pythons", "3.12.2")
    space.run("lock", "//...").said("python 3.12.1 -> 3.12.2")
    report = space.build()
    assert report.built == {"python 3.12.2", "virtual environment"}


def test_another_digest_than_locked_is_an_error(space: Space) -> None:
    space.run("lock", PY)
    (space.root / "pythons" / filename("3.12.1")).write_bytes(b"something else")
    space.run("build", PY, code=1).said("is not the file that 'python.py-linux-amd64.lock' pins", "lock //:py")


def test_a_mirror_that_lost_the_file_is_an_error_with_the_way_out(space: Space) -> None:
    web = Web()
    made = mirror(space.folder / "far", "3.12.1")
    web.files["/SHA256SUMS"] = (space.folder / "far" / "SHA256SUMS").read_bytes()
    space.edit("BUILD.yaml", "mirror: pythons", f'mirror: "{web.url}"')
    space.run("lock", PY)
    lock = (space.root / "python.py-linux-amd64.lock").read_text()
    assert f'url = "{web.url}/cpython-3.12.1%2B20200101-' in lock and 'path = ""' in lock
    said = space.run("build", PY, code=4)
    said.said("answered 404", f"put {filename('3.12.1')!r} into workspace.python.mirror")
    web.files[f"/{quote(filename('3.12.1'))}"] = made[filename("3.12.1")]
    space.build(PY)
    web.close()
    space.run("lock", PY, code=1).said("cannot ask the mirror of Pythons", "check workspace.python.mirror")


def test_a_version_that_never_was_is_an_error_where_it_stands(space: Space) -> None:
    space.edit("BUILD.yaml", 'version: "3.12"', 'version: "3.12.77"')
    said = space.run("lock", PY, code=1)
    said.said("there is no Python 3.12.77 for linux/amd64 in 'pythons'", "the newest there is 3.12.1", "BUILD.yaml:")
    said.said("workspace.python.mirror is 'pythons': put a build of it there")
    assert "pbs-installer" not in said.err
    space.edit("BUILD.yaml", 'version: "3.12.77"', 'version: "3.14"')
    space.run("lock", PY, code=1).said("there is no Python 3.14", "the newest there are 3.11.9, 3.12.1")
    space.edit("BUILD.yaml", 'version: "3.14"', 'version: "py3"')
    space.run("lock", PY, code=2).said("'py3' is not a version of Python")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('version: "3"', "'3' is not a version of Python"),
        ('version: "2.7"', "Python 2.7 is too old"),
        ('version: "3.99"', "there is no Python 3.99"),
        ('version: "3.12", archive: own.tar.gz', "is Python 3.11.1 for x86_64, not 3.12"),
    ],
    ids=["3", "2.7", "3.99", "archive"],
)
def test_a_version_that_never_was_leaves_no_lock_of_what_is_below(space: Space, change: str, said: str) -> None:
    space.write("own.tar.gz", archive("3.11.1"))
    space.edit("BUILD.yaml", 'version: "3.12"', change)
    for lock in space.root.glob("*base*.lock"):
        lock.unlink()
    result = space.run("lock", PY, code=None)
    result.said(said, "BUILD.yaml:")
    assert result.code in (1, 2)
    assert not list(space.root.glob("*base*.lock"))
    space.edit("BUILD.yaml", change, 'version: "3.12"')
    space.run("lock", PY)
    assert list(space.root.glob("*base*.lock"))


def test_a_mirror_may_have_no_list_and_may_not_contradict_the_table(space: Space) -> None:
    (space.root / "pythons" / "SHA256SUMS").unlink()
    space.run("lock", PY)
    known = next(one for one in table() if one.version == (3, 12, 15) and one.machine == "x86_64")
    (space.root / "pythons" / known.filename).write_bytes(b"of somebody else")
    space.run("lock", PY).said("python 3.12.1 -> 3.12.15")
    space.run("build", PY, code=1).said("is not the file that")
    (space.root / "pythons" / "SHA256SUMS").write_text(f"{'0' * 64}  {known.filename}\n")
    space.run("lock", PY, code=1).said("another digest for", "python-build-standalone published")
    (space.root / "pythons" / "SHA256SUMS").write_text("<html>Sign in</html>\n")
    space.run("lock", PY, code=1).said("SHA256SUMS is no list of SHA-256 and names", "check workspace.python.mirror")


@pytest.mark.parametrize("name", [filename("3.12.9"), "SHA256SUMS"])
def test_a_mirror_with_something_else_in_a_file_s_place(space: Space, name: str) -> None:
    (space.root / "pythons" / "SHA256SUMS").unlink()
    (space.root / "pythons" / name).mkdir()
    said = space.run("lock", PY, code=None)
    assert said.code in (1, 2) and "BUILD.yaml:" in said.err and name in said.err and "Traceback" not in said.err


def test_an_archive_of_the_workspace(space: Space) -> None:
    space.write("own/python.tar.gz", archive("3.12.5"))
    space.edit("BUILD.yaml", 'version: "3.12", ', 'version: "3.12", archive: own/python.tar.gz, ')
    space.run("lock", PY)
    assert 'path = "own/python.tar.gz"' in (space.root / "python.py-linux-amd64.lock").read_text()
    assert [layer["origin"] for layer in space.build(PY).targets[PY]["layers"]][-1] == "python 3.12.5"
    space.edit("BUILD.yaml", 'version: "3.12", ', 'version: "3.12.4", ')
    space.run("lock", PY, code=1).said("is Python 3.12.5 for x86_64, not 3.12.4 for x86_64", 'version: "3.12.5"')
    space.write("own/python.tar.gz", archive("3.12.4", machine="aarch64"))
    space.run("lock", PY, code=1).said("is Python 3.12.4 for aarch64, not 3.12.4 for x86_64")
    space.write("own/python.tar.gz", archive(f"3.12.{'4' * 5000}"))
    space.run("lock", PY, code=1).said("it has no proper 'python/include/python3.12/patchlevel.h'")
    space.write("own/python.tar.gz", b"nothing")
    space.run("lock", PY, code=1).said("'own/python.tar.gz' cannot be unpacked")
    for own in ("own/python.tar.gz", f"own/{filename('3.12.4')}"):
        space.edit("BUILD.yaml", "own/python.tar.gz", own)
        space.write(own, archive("3.12.4", {"lib/python3.12/z.bin": os.urandom(20_000)})[:-9_000])
        space.run("lock", PY, code=1).said(f"'{own}' cannot be ", "Compressed file ended", "BUILD.yaml:", "whole .tar")
        space.write(own, b"nothing")
        space.run("lock", PY, code=1).said(own, "BUILD.yaml:", "hint: it must be a whole .tar.gz")
        space.edit("BUILD.yaml", own, "own/python.tar.gz")
    space.remove("own/python.tar.gz")
    space.run("lock", PY, code=2).said("'own/python.tar.gz'", "BUILD.yaml:")


def test_an_archive_that_became_another_makes_the_lock_stale(space: Space) -> None:
    space.write("own/python.tar.gz", archive("3.12.5"))
    space.edit("BUILD.yaml", 'version: "3.12", ', 'version: "3.12", archive: own/python.tar.gz, ')
    space.build(PY)
    space.run("build", PY).said("unchanged")
    space.write("own/python.tar.gz", archive("3.12.6"))
    space.run("lock", "--check", PY, code=1).said("'own/python.tar.gz' is another file")
    space.run("build", "--locked", PY, code=1).said("py-linux-amd64.lock'", "'own/python.tar.gz' is another file")
    space.run("build", PY).said("python 3.12.6  Python changed: 3.12.5 -> 3.12.6")
    space.run("build", "--locked", PY)
    space.write("own/python.tar.gz", b"version https://git-lfs.github.com/spec/v1\n")
    space.run("build", "--locked", PY, code=1).said("'own/python.tar.gz' is another file")
    space.run("build", PY, code=1).said("'own/python.tar.gz' cannot be unpacked", "BUILD.yaml:", "hint: it must be")
    space.remove("own/python.tar.gz")
    space.run("build", PY, code=2).said("'own/python.tar.gz'", "BUILD.yaml:")


def test_a_file_of_a_mirror_that_became_another_makes_the_lock_stale(space: Space) -> None:
    (space.root / "pythons" / "SHA256SUMS").unlink()
    space.build(PY)
    (space.root / "pythons" / filename("3.12.1")).write_bytes(archive("3.12.1", {"lib/python3.12/a.py": b"a = 1\n"}))
    space.run("build", "--locked", PY, code=1).said(f"'pythons/{filename('3.12.1')}' is another file")
    space.run("build", PY).said("python 3.12.1  archive changed")
    mirror(space.root / "pythons", "3.12.1")
    space.run("build", "--locked", PY, code=1).said("is another file")
    space.build(PY)
    (space.root / "pythons" / filename("3.12.1")).unlink()
    space.run("build", "--locked", PY)


def test_two_archives_of_an_official_name_are_two_interpreters(space: Space) -> None:
    """Bytecode goes by the release only where the file is the release's: its key would be one for two Pythons."""
    known = next(one for one in table() if one.version == (3, 12, 15) and one.machine == "x86_64")
    space.edit("BUILD.yaml", 'version: "3.12", ', f'version: "3.12", archive: own/{known.filename}, ')
    interpreters = set()
    for text in (b"a = 1\n", b"a = 2\n"):
        space.write(f"own/{known.filename}", archive("3.12.15", {"lib/python3.12/a.py": text}))
        (space.root / "python.py-linux-amd64.lock").unlink(missing_ok=True)
        space.run("lock", PY)
        lock = read_lock(str(space.root / "python.py-linux-amd64.lock"))
        assert (lock.build, lock.filename) == ("", known.filename)
        interpreters.add(lock.build or lock.sha256)
    assert len(interpreters) == 2


def test_an_archive_of_another_version_or_a_folder_is_said_to_be_that(space: Space) -> None:
    space.write("own/python.tar.gz", archive("3.12.5"))
    space.edit("BUILD.yaml", 'version: "3.12", ', 'version: "3.11", archive: own/python.tar.gz, ')
    space.run("lock", PY, code=1).said(
        "'own/python.tar.gz' is Python 3.12.5 for x86_64, not 3.11 for x86_64", 'version: "3.12.5"'
    )
    space.edit("BUILD.yaml", "archive: own/python.tar.gz", "archive: own")
    space.run("lock", PY, code=2).said("the archive 'own' is a folder", "workspace.python.mirror")
    space.edit("BUILD.yaml", 'version: "3.11", archive: own', 'version: "oops", archive: own/python.tar.gz')
    line = next(text for text in (space.root / "BUILD.yaml").read_text().splitlines() if '"oops"' in text)
    column = line.index('"oops"') + 1
    space.run("lock", PY, code=2).said(f":{column}: 'oops' is not a version of Python", "(the free-threaded build)")


@pytest.mark.parametrize(
    ("needs", "folders", "starts"),
    [
        (("libpython3.12.so.1.0", "libc.so.6"), "$ORIGIN/../lib", True),
        (("libpython3.12.so.1.0",), "/usr/lib:${ORIGIN}/../lib", True),
        (("libpython3.12.so.1.0",), "/opt/python/lib", True),
        (("$ORIGIN/../lib/libpython3.12.so.1.0",), "", True),
        (("libz.so.1", "libc.so.6"), "", True),
        (("libpython3.12.so.1.0",), "", False),
        (("libpython3.12.so.1.0",), "/install/lib", False),
        (("libpython3.12.so.1.0",), "$ORIGIN/../lib64", False),
    ],
)
def test_an_archive_whose_interpreter_does_not_find_its_library_is_an_error(
    space: Space, needs: tuple[str, ...], folders: str, starts: bool
) -> None:
    files = {"bin/python3.12": program(needs, folders), "lib/libpython3.12.so.1.0": b"x"}
    space.write("own/python.tar.gz", archive("3.12.5", files))
    space.edit("BUILD.yaml", 'version: "3.12", ', 'version: "3.12", archive: own/python.tar.gz, ')
    result = space.run("lock", PY, code=0 if starts else 1)
    if not starts:
        result.said("could not start: it needs 'libpython3.12.so.1.0'", "$ORIGIN/../lib", "BUILD.yaml:")


def test_a_mirror_of_files_with_other_names_is_told_what_they_must_be(space: Space) -> None:
    shutil.rmtree(space.root / "pythons")
    (space.root / "pythons").mkdir()
    space.run("lock", PY, code=1).said("there is no Python 3.12", "workspace.python.mirror is 'pythons': it is empty")
    space.write("pythons/python-3.12.tgz", b"x")
    space.run("lock", PY, code=1).said("1 file, such as 'python-3.12.tgz'", "cpython-3.12.15+", "`archive`")


def test_a_mirror_s_folder_that_is_not_there_is_told_where_it_is_named(space: Space) -> None:
    space.edit("BUILD.yaml", "mirror: pythons", "mirror: nowhere")
    said = space.run("lock", PY, code=2)
    said.said("there is no folder 'nowhere'", "take workspace.python.mirror out")
    lines = said.err.splitlines()
    assert next(lines[at + 1].index("^") == one.index("nowhere") for at, one in enumerate(lines) if "{bytecode:" in one)


def test_without_a_mirror_an_unreachable_place_is_no_dead_end(space: Space) -> None:
    space.edit("BUILD.yaml", "mirror: pythons", f'mirror: "{(space.root / "pythons").as_uri()}"')
    space.run("lock", PY)
    space.edit("BUILD.yaml", f', mirror: "{(space.root / "pythons").as_uri()}"', "")
    lock = space.root / "python.py-linux-amd64.lock"
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    lines = (
        f'url = "http://127.0.0.1:{port}/x"' if one.startswith("url") else one for one in lock.read_text().split("\n")
    )
    lock.write_text("\n".join(lines))
    space.run("build", PY, code=1).said("workspace.python.mirror", "`archive`", "--python 3.11 or --base IMAGE")


def test_an_interpreter_that_cannot_be_had_fails_once(space: Space) -> None:
    """Without one there is neither its layer nor any bytecode: one step says so, the others are skipped."""
    web = Web()
    mirror(space.folder / "far", "3.12.1")
    web.files["/SHA256SUMS"] = (space.folder / "far" / "SHA256SUMS").read_bytes()
    space.edit("BUILD.yaml", "bytecode: false, mirror: pythons", f'mirror: "{web.url}"')
    said = space.run("build", "//...", "--keep-going", "--verbose", code=4)
    web.close()
    assert said.err.count("FAILED") == said.err.count("answered 404") == 1, said.err
    steps = [line for line in said.err.splitlines() if line.startswith("start ")]
    assert steps[0].endswith("python 3.12.1") and sum("bytecode" in line for line in steps) > 1, "before the wheels"
    assert [path for path, _ in web.seen].count(f"/{quote(filename('3.12.1'))}") == 1


def test_locks_hold_no_address_of_this_machine(space: Space) -> None:
    space.edit("BUILD.yaml", "mirror: pythons", f'mirror: "{(space.root / "pythons").as_uri()}"')
    space.run("lock", PY)
    assert str(space.root) not in (space.root / "python.py-linux-amd64.lock").read_text()
    space.build(PY)


def test_another_process_with_another_store_lays_the_same(space: Space, tmp_path: Path) -> None:
    space.run("lock", PY)
    (layer, *_) = reversed(space.build(PY, options=["--steps", str(tmp_path / "steps")]).targets[PY]["layers"])
    (file,) = (tmp_path / "steps").glob("*-python_layer*")
    (fetch,) = [one for one in (tmp_path / "steps").glob("*-fetch*") if "standalone" in one.read_text()]
    store = {"BUILDRULES_CACHE_DIR": str(tmp_path / "two")}
    space.run("step", str(fetch), env=store)
    answer = json.loads(space.run("step", str(file), env=store).out)
    assert [one["digest"] for one in answer["outputs"]["layers"]] == [layer["digest"]]


@pytest.mark.parametrize(
    ("files", "glibc"),
    [
        (
            {"usr/lib/x86_64-linux-gnu/libc.so.6": b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36."},
            "2.36",
        ),
        ({"lib64/libc-2.31.so": b"\0GNU C Library (GNU libc) stable release version 2.31.\n"}, "2.31"),
        ({"etc/os-release": b"ID=tiny"}, ""),
    ],
)
def test_the_glibc_of_an_image_is_looked_up(files: dict[str, bytes], glibc: str, space: Space) -> None:
    shutil.rmtree(space.root / "base")
    space.remove("oci.base-linux-amd64.lock")
    make_base(space.root / "base", files=files)
    space.run("lock", PY)
    assert f'glibc = "{glibc}"' in (space.root / "python.py-linux-amd64.lock").read_text()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"lib/ld-musl-x86_64.so.1": b"x"}, "has musl for its C library"),
        (
            {"lib64/libc.so.6": b"GNU C Library stable release version 2.12, by"},
            "has glibc 2.12, and 2.17 is the oldest",
        ),
    ],
)
def test_an_image_on_which_no_such_python_runs_is_an_error(files: dict[str, bytes], said: str, space: Space) -> None:
    shutil.rmtree(space.root / "base")
    space.remove("oci.base-linux-amd64.lock")
    make_base(space.root / "base", files=files)
    space.run("lock", PY, code=1).said(said)


def test_a_python_does_not_stand_on_another(space: Space) -> None:
    space.append("BUILD.yaml", '  py2: {rule: python_standalone, version: "3.12", base: ":py"}\n')
    space.run("lock", "//:py2", code=2).said("//:py2 stands on //:py, which is a Python already", "BUILD.yaml:21:")


@pytest.mark.network
def test_libraries_that_wheels_want_are_told_where_they_are_missing(space: Space) -> None:
    space.edit("BUILD.yaml", 'base: ":base"}', 'base: ":bare"}')
    space.append("BUILD.yaml", "  bare: {rule: debian_base, python: false, packages: [zlib1g]}\n")
    space.run("lock", PY).said("the base of //:py has no libgomp1, libstdc++6, which many wheels need")


def test_each_platform_has_a_python_of_its_own(space: Space) -> None:
    shutil.rmtree(space.root / "base")
    space.remove("oci.base-linux-amd64.lock")
    make_base(space.root / "base", platforms=("linux/amd64", "linux/arm64"))
    space.edit("BUILD.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")
    space.run("lock", PY, code=1).said("there is no Python 3.12 for linux/arm64", "mirror is 'pythons': it has 4 files")
    mirror(space.root / "pythons", "3.12.0", machine="aarch64")
    space.run("lock", PY)
    assert "3.12.0+20200101-aarch64-" in (space.root / "python.py-linux-arm64.lock").read_text()
    assert "3.12.1+20200101-x86_64-" in (space.root / "python.py-linux-amd64.lock").read_text()
    space.build(PY)


def test_a_mirror_asks_who_is_there_and_is_told_by_a_connection(space: Space) -> None:
    web = Web()
    web.wanted = "Basic " + base64.b64encode(b"reader:open-sesame").decode()
    for path in (space.root / "pythons").iterdir():
        web.files[f"/{quote(path.name)}"] = path.read_bytes()
    space.edit("BUILD.yaml", "mirror: pythons", f'mirror: "{web.url}"')
    space.run("lock", PY, code=1).said("cannot ask the mirror", "401")
    login = "{username: reader, password: {env: PYTHONS}}"
    connection = f'{{pythons: {{type: http, target: "{web.url}", credentials: {login}}}}}'
    space.edit("BUILD.yaml", "  name: acme\n", f"  name: acme\n  connections: {connection}\n")
    env = {"PYTHONS": "open-sesame"}
    told = space.run("lock", PY, env=env).err + space.run("build", PY, "--verbose", env=env).out
    web.close()
    assert "open-sesame" not in told + (space.root / "python.py-linux-amd64.lock").read_text()


def test_a_python_for_which_nothing_fetches_at_start_is_an_error(space: Space) -> None:
    mirror(space.root / "pythons", "3.8.20", "3.9.1")
    uri = 'download_uri: "https://models.example/weights/"'
    space.edit("BUILD.yaml", "m: {rule: model, path: weights}", f"m: {{rule: model, path: weights, {uri}}}")
    space.edit("BUILD.yaml", "    base_env: :env\n", "    base_env: :py\n    mode: download\n")
    space.edit("BUILD.yaml", "server: {rule: //rules:tiny}", "server: {rule: //rules:bare}")
    tiny = (space.root / "rules" / "tiny.yaml").read_text()
    space.write("rules/bare.yaml", tiny.replace("rule: tiny", "rule: bare").replace("python: {requ", "# {requ"))
    space.edit("BUILD.yaml", 'version: "3.12"', 'version: "3.8"')
    space.run("build", "//:app", code=2).said("takes Python 3.9: //:py has 3.8.20", "use `mode: copy`")
    space.edit("BUILD.yaml", 'version: "3.8"', 'version: "3.9"')
    space.run("build", "//:app")
