"""The guest builds what a plain build does, from declared inputs alone."""

import json
from pathlib import Path

import pytest

from tests.guest.hosted import Host, Worker
from tests.support.space import APP, Space


@pytest.fixture
def host(tmp_path: Path, wheelhouse: Path) -> Host:
    space = Space(tmp_path, wheelhouse).populate()
    space.run("lock", "//...")
    return Host(space)


def test_the_digest_is_that_of_a_plain_build_offline_and_without_an_environment(host: Host) -> None:
    plain = host.space.build().digest
    lines = host.lines()
    host.build(host.space.root, lines, "--offline", out="plain")
    host.build(host.staged(lines), lines, "--offline", "--layout")
    assert host.digest("plain") == host.digest() == plain
    descriptor = json.loads((host.folder / "out/descriptor.json").read_text())
    assert descriptor["digest"] == plain
    exported = host.space.folder / "exported"
    host.space.run("export", APP, "-o", str(exported))
    found, wanted = (
        {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (host.folder / "out/layout", exported)
    )
    assert found == wanted
    assert sorted(path.name for path in (host.folder / "plain").iterdir()) == ["descriptor.json", "digest"]


def test_what_a_glob_matches_and_nobody_declared_is_an_error_with_file_target_and_attribute(host: Host) -> None:
    lines = host.lines()
    host.space.write("src/late.py", "x = 1\n")
    host.build(host.space.root, lines, "--offline", code=3).said(
        "not declared: 'src/late.py', which //:code wants by 'srcs'", "buildrules guest inputs"
    )
    host.build(host.staged(lines), lines, "--offline")
    host.build(host.space.root, [*lines, "src/late.py"], "--offline", out="both")
    assert host.digest("both") == host.space.build().digest != host.digest()


def test_what_is_declared_in_part_is_an_error(host: Host) -> None:
    lines = host.lines()
    for left_out, said in (
        ("rules/tiny.yaml", "'rules/tiny.yaml'"),
        ("pylock.env-linux-amd64.toml", "'pylock.env-linux-amd64.toml'"),
        ("weights/model.txt", "'weights/model.txt', which //:m wants by 'path'"),
    ):
        kept = [line for line in lines if line != left_out]
        host.build(host.space.root, kept, "--offline", code=3).said(f"not declared: {said}")
    wheel = next(line for line in lines if "numlib" in line)
    kept = [line for line in lines if line != wheel]
    host.build(host.space.root, kept, "--offline", code=3).said("numlib-1.0-py3-none-any.whl", wheel[:71], "//:env")
    host.build(host.space.root, [*lines, "src/none.py"], code=2).said("'src/none.py' cannot be read")


def test_a_result_that_cannot_be_written_is_an_error_with_its_path(host: Host) -> None:
    lines = host.lines()
    (host.folder / "file").touch()
    (host.folder / "taken/digest").mkdir(parents=True)
    host.build(host.space.root, lines, out="file/out", code=2).said("cannot write the temporary files", "file/out'")
    host.build(host.space.root, lines, out="taken", code=2).said("cannot write the result", "taken/digest'")
    host.build(host.space.root, lines, "--depfile", "none/d", code=2).said(
        "cannot write the depfile 'none/d': no such file or directory", "name a file in a folder that exists"
    )
    worker = Worker(host.space)  # with a TMPDIR
    said = worker.build(host.arguments(host.space.root, lines, out="file/out"), code=2)
    assert "cannot write the result" in said and "not a directory" in said
    assert worker.end() == 0
