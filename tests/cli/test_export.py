"""`buildrules export`: layouts and archives, and what other tools make of them."""

import json
import re
import shlex
import subprocess
import tarfile
from typing import Any

import pytest

from tests.support.layout import layout_image
from tests.support.space import APP, FILES, Space


def test_export_writes_a_layout(built: Space) -> None:
    digest = built.build().digest
    out = built.folder / "out"
    built.run("export", APP, "-o", str(out), "--tag", "registry.example/team/app:7").said(digest)
    manifest, config = layout_image(out)
    assert len(manifest["layers"]) == 6
    assert config["architecture"] == "amd64"
    names = json.loads((out / "index.json").read_text())["manifests"][0]["annotations"]
    assert names["org.opencontainers.image.ref.name"] == "registry.example/team/app:7"
    labels = config["config"]["Labels"]
    assert any("8080/score" in value for value in labels.values())


@pytest.mark.parametrize(("form", "tag"), [("oci-layout", "team/my__app:7"), ("oci-archive", "x.example/app:7")])
def test_export_says_how_to_copy_it_on(built: Space, form: str, tag: str) -> None:
    out = built.folder / "an out"
    result = built.run("export", APP, "-o", str(out), "--format", form, "--tag", tag)
    (line,) = re.findall("^copy it on with: (skopeo copy .*)$", result.out, re.M)
    *command, target = shlex.split(line)
    assert target == ("docker://HOST/team/my__app:7" if form == "oci-layout" else "docker://x.example/app:7")
    subprocess.run([*command, f"dir:{built.folder}/copy"], check=True, capture_output=True)
    assert (built.folder / "copy" / "manifest.json").exists()


def test_a_second_export_writes_what_changed(built: Space) -> None:
    out = built.folder / "out"
    built.run("export", APP, "-o", str(out))
    before = {path: path.stat().st_mtime_ns for path in (out / "blobs").rglob("*") if path.is_file()}
    built.append("src/score.py", "# edited\n")
    built.run("export", APP, "-o", str(out)).said("3 blobs", "5 were there")
    layout_image(out)
    after = {path: path.stat().st_mtime_ns for path in (out / "blobs").rglob("*") if path.is_file()}
    assert {path: time for path, time in after.items() if path in before} == before
    assert len(after) == len(before) + 3


def test_the_layers_hold_the_files(built: Space) -> None:
    out = built.folder / "out"
    built.path("src/score.py").chmod(0o755)
    built.run("export", APP, "-o", str(out))
    manifest, _ = layout_image(out)
    found: dict[str, tarfile.TarInfo] = {}
    for layer in manifest["layers"]:
        with tarfile.open(out / "blobs" / "sha256" / layer["digest"][7:]) as archive:
            for entry in archive:
                found[entry.name] = entry
                assert (entry.uid, entry.gid, entry.mtime, entry.uname) == (0, 0, 0, "")
    assert found["srv/app/score.py"].mode == 0o755
    assert found["srv/app/helper.py"].mode == 0o644
    assert found["srv/model/weights/labels.txt"].size == len(FILES["weights/labels.txt"])
    for path in ("numlib/__init__.py", "tinyserver/__init__.py", "extra/__init__.py"):
        assert f"opt/venv/lib/python3.11/site-packages/{path}" in found
    assert found["opt/venv/bin/tinyserver"].mode == 0o755
    assert found["opt/venv/bin/python"].linkname == "/usr/local/bin/python3.11"


TRANSPORTS = {"oci-layout": "oci", "oci-archive": "oci-archive", "docker-archive": "docker-archive"}


@pytest.mark.parametrize(("form", "transport"), TRANSPORTS.items())
def test_other_tools_read_what_export_writes(built: Space, form: str, transport: str, tool: Any) -> None:
    out = built.folder / "out"
    digest = built.build().digest
    built.run("export", APP, "--format", form, "-o", str(out))
    shown = json.loads(
        tool("skopeo", "inspect", f"{transport}:{out}" + (":acme/app:latest" if form == "oci-layout" else ""))
    )
    assert len(shown["Layers"]) == 6
    assert shown["Architecture"] == "amd64"
    if form != "docker-archive":
        assert shown["Digest"] == digest
    copy = built.folder / "copy"
    tool("skopeo", "copy", f"{transport}:{out}" + (":acme/app:latest" if form == "oci-layout" else ""), f"oci:{copy}:c")
    tool("umoci", "unpack", "--rootless", "--image", f"{copy}:c", str(built.folder / "bundle"))
    root = built.folder / "bundle" / "rootfs"
    assert (root / "srv/app/score.py").read_text() == FILES["src/score.py"]
    assert (root / "srv/model/weights/model.txt").read_text() == FILES["weights/model.txt"]


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_archives_are_the_same_every_time(built: Space, form: str) -> None:
    first, second = built.folder / "first.tar", built.folder / "second.tar"
    built.run("export", APP, "--format", form, "-o", str(first))
    built.run("export", APP, "--format", form, "-o", str(second), cwd="src")
    assert first.read_bytes() == second.read_bytes()


def test_export_leaves_a_foreign_folder_alone(built: Space) -> None:
    out = built.folder / "out"
    out.mkdir()
    (out / "thesis.doc").write_text("precious")
    built.run("export", APP, "-o", str(out), code=2).said("out")
    assert [path.name for path in out.iterdir()] == ["thesis.doc"]
