"""`buildrules bundle` and `unbundle`: several images in one file, and what is believed of it on the other side."""

import hashlib
import json
import os
import signal
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.space import APP, Space

TWO = """\
  second:
    rule: model_package
    model: :m
    base_env: :env
    server: :server
    code: :code
    target_environment: second:3
"""


@pytest.fixture
def two(built: Space) -> Space:
    """A workspace with two packages that share all layers."""
    built.append("BUILD.yaml", TWO)
    return built


def bundled(space: Space, name: str, *args: str) -> tuple[Path, dict[str, Any]]:
    """The file of a bundle, and what was said of it."""
    path = space.folder / name
    return path, json.loads(space.run("bundle", *(args or ("//...",)), "-o", str(path), "--json").out)


def files(path: Path) -> dict[str, bytes]:
    """What is in a tar."""
    with tarfile.open(path) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive if one.isreg()}  # type: ignore[union-attr]


def layout(folder: Path) -> set[str]:
    """The names of images in a layout, of which every blob is what its name says and nothing else lies around."""
    for path in (folder / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert {path.name for path in folder.iterdir()} == {"blobs", "index.json", "oci-layout"}
    entries = json.loads((folder / "index.json").read_text())["manifests"]
    for entry in entries:
        manifest = json.loads((folder / "blobs" / "sha256" / entry["digest"][7:]).read_text())
        for one in (manifest["config"], *manifest["layers"]):
            assert (folder / "blobs" / "sha256" / one["digest"][7:]).stat().st_size == one["size"]
    return {entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries}


def test_what_images_share_is_in_a_bundle_once(two: Space) -> None:
    path, said = bundled(two, "both.tar")
    digests = {label: digest for label, digest in two.build("//...").digests.items() if label in (APP, "//:second")}
    assert {image["name"]: image["digest"] for image in said["images"]} == {
        "acme/app:latest": digests[APP],
        "acme/second:latest": digests["//:second"],
    }
    with tarfile.open(path) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    assert sorted(name for name in names if "sha256/" in name) == sorted(
        f"blobs/sha256/{digest[7:]}" for digest in said["blobs"]
    )
    assert path.stat().st_size == said["bytes"]
    assert not said["expected"]
    shared = {layer["digest"] for layer in two.build("//...").targets[APP]["layers"]}
    assert len(said["blobs"]) == len(shared) + 4  # two manifests and two configs


def test_the_same_images_are_the_same_bundle(two: Space) -> None:
    first, _ = bundled(two, "first.tar", APP, "//:second")
    second, _ = bundled(two, "second.tar", "//:second", APP)
    assert first.read_bytes() == second.read_bytes()


def test_a_bundle_becomes_a_layout(two: Space) -> None:
    path, said = bundled(two, "both.tar")
    out = two.folder / "out"
    two.run("unbundle", str(path), "--layout", str(out)).said(said["list"], "acme/app:latest", "0 were there")
    assert layout(out) == {"acme/app:latest", "acme/second:latest"}
    two.run("unbundle", str(path), "--layout", str(out)).said("0 blobs", "0 B written")


def test_other_tools_read_a_bundle(two: Space, tool: Any) -> None:
    path, said = bundled(two, "both.tar", APP, "--tag", "7")
    shown = json.loads(tool("skopeo", "inspect", f"oci-archive:{path}"))
    assert shown["Digest"] == said["images"][0]["digest"]
    out = two.folder / "out"
    two.run("unbundle", str(path), "--layout", str(out))
    assert json.loads(tool("skopeo", "inspect", f"oci:{out}:acme/app:7"))["Digest"] == said["images"][0]["digest"]
    tool("umoci", "unpack", "--rootless", "--image", f"{out}:acme/app:7", str(two.folder / "unpacked"))
    assert (two.folder / "unpacked/rootfs/srv/app/score.py").read_text() == two.path("src/score.py").read_text()


def test_what_the_other_side_has_is_left_out(two: Space) -> None:
    path, before = bundled(two, "before.tar", APP)
    out, have = two.folder / "out", two.folder / "have.json"
    two.run("unbundle", str(path), "--layout", str(out), "--have-list", str(have))
    two.append("src/score.py", "# edited\n")
    names = {}
    for kind, held in (("list", have), ("bundle", path)):
        after, said = bundled(two, f"after-{kind}.tar", "//...", "--have", str(held))
        names[kind] = after.read_bytes()
        assert said["expected"].keys() <= before["blobs"].keys()
        assert len(said["blobs"]) == 5  # the layer of the script, and of both images manifest and config
    assert names["list"] == names["bundle"]
    two.run("unbundle", str(after), "--layout", str(out)).said("have to be on the other side", "5 blobs")
    assert layout(out) == {"acme/app:latest", "acme/second:latest"}


def test_what_is_left_out_has_to_be_there(two: Space) -> None:
    path, _ = bundled(two, "before.tar", APP)
    out = two.folder / "out"
    two.run("unbundle", str(path), "--layout", str(out))
    two.append("src/score.py", "# edited\n")
    after, said = bundled(two, "after.tar", APP, "--have", str(path))
    empty = two.folder / "empty"
    two.run("unbundle", str(after), "--layout", str(empty), code=1).said("does not have", "--have")
    assert not empty.exists()
    damaged = out / "blobs" / "sha256" / max(said["expected"])[7:]
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    was = (out / "index.json").read_bytes()
    two.run("unbundle", str(after), "--layout", str(out), code=1).said("does not have", max(said["expected"]))
    assert (out / "index.json").read_bytes() == was
    two.run("unbundle", str(path), "--layout", str(out)).said("1 blobs")  # which mends it
    two.run("unbundle", str(after), "--layout", str(out))
    layout(out)


def test_a_bundle_is_shown_and_checked_without_a_place(two: Space) -> None:
    path, said = bundled(two, "both.tar")
    two.run("unbundle", str(path), "--list").said("acme/second:latest", said["list"])
    two.run("unbundle", str(path), "--digest", said["list"]).said(f"{len(said['blobs'])} blobs checked")
    two.run("unbundle", str(path), "--digest", "sha256:" + "0" * 64, code=1).said(said["list"])
    shown = json.loads(two.run("unbundle", str(path), "--list", "--json").out)
    assert {name: shown[name] for name in ("images", "blobs", "expected", "list")} == {
        name: said[name] for name in ("images", "blobs", "expected", "list")
    }


def test_tags_are_called_after_what_they_name(two: Space) -> None:
    _, said = bundled(two, "both.tar", "//...", "--tag", "v{version}")
    own = two.build().digest[7:19]
    assert {image["name"] for image in said["images"]} == {f"acme/app:v{own}", "acme/second:v3"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["bundle", APP, "-o", "x.tar", "--tag", "{nothing}"], "nothing"),
        (["bundle", ":m", "-o", "x.tar"], "only built as part of a package"),
        (["bundle", "-o", "x.tar"], "no targets given"),
        (["bundle", APP, "-o", "nowhere/x.tar"], "cannot write the archive"),
        (["bundle", APP, "-o", "x.tar", "--have", "BUILD.yaml"], "BUILD.yaml"),
        (["unbundle"], "no bundle given"),
        (["unbundle", "BUILD.yaml"], "is not an archive of images"),
        (["unbundle", "BUILD.yaml", "--layout", "x", "--list"], "exclude each other"),
        (["unbundle", "BUILD.yaml", "--have-list", "x"], "--layout"),
        (["unbundle", "--have-list", "x", "--layout", "nowhere"], "nowhere"),
    ],
)
def test_errors_say_what_to_do(built: Space, args: list[str], said: str) -> None:
    result = built.run(*args, code=None)
    assert result.code in (1, 2)
    result.said(said)
    assert not built.path("x.tar").exists()


def test_two_packages_of_one_name_are_refused(built: Space) -> None:
    built.append("BUILD.yaml", TWO + "    repository: acme/app\n")
    built.run("bundle", "//...", "-o", str(built.folder / "x.tar"), code=2).said("'acme/app:latest'", "repository")


def killed(space: Space, folder: Path, *args: str) -> None:
    """Start a command, and kill it while it writes a file into `folder`."""
    process = space.start(*args)
    end = time.monotonic() + 60
    while process.poll() is None and not list(folder.glob("*.tmp")):
        assert time.monotonic() < end
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_killed_command_leaves_nothing_half_there(two: Space) -> None:
    two.write("weights/large.bin", os.urandom(40 << 20))
    out = two.folder / "out"
    path, said = bundled(two, "large.tar")
    whole = path.read_bytes()
    path.unlink()
    killed(two, two.folder, "bundle", "//...", "-o", str(path))
    assert not path.exists()
    again, _ = bundled(two, "large.tar")
    assert again.read_bytes() == whole
    assert not list(two.folder.glob("*.tmp"))
    killed(two, out / "blobs" / "sha256", "unbundle", str(path), "--layout", str(out))
    assert not (out / "index.json").exists()
    two.run("unbundle", str(path), "--layout", str(out)).said(said["list"])
    assert layout(out) == {"acme/app:latest", "acme/second:latest"}
