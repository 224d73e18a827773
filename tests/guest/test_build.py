"""The guest builds what a plain build does, from declared inputs alone."""

import json
import os
import subprocess
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
        "not declared: 'src/late.py', which //:code wants by 'srcs'", "'buildrules guest inputs //:app' lists",
        "export-to FORMAT' again, or exclude it in the target",
    )  # fmt: skip
    host.build(host.staged(lines), lines, "--offline")
    host.build(host.space.root, [*lines, "src/late.py"], "--offline", out="both")
    assert host.digest("both") == host.space.build().digest != host.digest()


def test_what_is_declared_in_part_is_an_error(host: Host) -> None:
    lines = host.lines()
    for left_out, said in (
        ("rules/tiny.yaml", "'rules/tiny.yaml'; so there is no rule '//rules:tiny'"),
        (
            "pylock.env-linux-amd64.toml",
            "'pylock.env-linux-amd64.toml'; so the lock 'pylock.env-linux-amd64.toml' of //:env",
        ),
        ("src/score.py", "'src/score.py'; so the code has no 'score.py'"),
        ("weights/model.txt", "'weights/model.txt', which //:m wants by 'path'"),
    ):
        kept = [line for line in lines if line != left_out]
        done = host.build(host.space.root, kept, "--offline", code=3)
        done.said(f"not declared: {said}", *(["BUILD.yaml:"] if "score" in said else []))
        assert "exclude it" not in done.err
    wheel = next(line for line in lines if "numlib" in line)
    kept = [line for line in lines if line != wheel]
    host.build(host.space.root, kept, "--offline", code=3).said("numlib-1.0-py3-none-any.whl", wheel[:71], "//:env")
    host.build(host.space.root, [*lines, "src/none.py"], code=2).said("'src/none.py' cannot be read")
    near = wheel.replace("  ", " ", 1)
    host.build(host.space.root, [*kept, near], code=2).said("is neither content nor a path", "two spaces and the path")


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


def test_nothing_but_its_own_layout_is_removed_and_no_input_is_written_over(host: Host) -> None:
    lines, root = host.lines(), host.space.root
    theirs = host.folder / "theirs/layout"
    theirs.mkdir(parents=True)
    for name in ("oci-layout", "index.json"):
        (theirs / name).write_text("{}")
    host.build(root, lines, out="theirs")
    host.build(root, lines, "--layout", out="theirs", code=2).said("theirs/layout': something else is there")
    assert sorted(path.name for path in theirs.iterdir()) == ["index.json", "oci-layout"]
    (host.folder / "out/layout").mkdir(parents=True)
    for _ in range(2):
        host.build(root, lines, "--layout")
        assert (host.folder / "out/layout/index.json").exists()
    host.build(root, lines)
    assert not (host.folder / "out/layout").exists()
    before = sorted(root.rglob("*"))
    host.build(root, lines, out=str(root), code=2).said("the workspace lies there", "--out out/app")
    host.build(root, lines, out=str(root / "src"), code=2).said("the input 'src/", "lies there")
    for name in (root / lines[0], lines[-1].split("  ")[1]):
        host.build(root, lines, "--depfile", str(name), code=2).said("it is an input")
    assert sorted(root.rglob("*")) == before
    (host.folder / "dangling").symlink_to("nowhere")
    host.build(root, lines, out="dangling", code=2).said("cannot write", "dangling'")


def test_inputs_that_are_no_list_or_are_not_what_they_say_are_errors(host: Host) -> None:
    lines, root = host.lines(), host.space.root
    name, _, place = next(line for line in lines if "numlib" in line).partition("  ")
    copy = host.folder / "copy.whl"
    copy.write_bytes(Path(place).read_bytes())
    host.build(root, [*lines, f"{name}  {copy}"])
    copy.write_bytes(b"another")
    host.build(root, [*lines, f"{name}  {copy}"], code=2).said("copy.whl' differs from", "fetch them anew")
    host.build(root, [*lines, f"{name}  a\0b"], code=2).said("there is no file 'a\\x00b'")
    os.mkfifo(host.folder / "pipe")
    words = host.arguments(root, lines)
    words[words.index("--inputs") + 1] = str(host.folder / "pipe")
    done = subprocess.run(host.bare(words), cwd=host.folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and "it is not a regular file" in done.stderr
