"""Folders of models as they are: empty folders, and links to other files of the model."""

import gzip
import io
import tarfile

from tests.support.space import APP, Report, Space

OTHERS = "model m: links and empty folders"


def members(space: Space, report: Report, origin: str = OTHERS) -> dict[str, str]:
    """What a small layer holds: "folder", "-> target", or "file"."""
    blob = space.blobs()[report.layer(origin)["digest"]].read_bytes()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as archive:
        return {
            one.name: f"-> {one.linkname}" if one.issym() else "folder" if one.isdir() else "file" for one in archive
        }


def origins(report: Report) -> list[str]:
    return [layer["origin"] for layer in report.targets[APP]["layers"]]


def test_a9_an_empty_folder_stays(workspace: Space) -> None:
    (workspace.root / "weights/ensemble/1").mkdir(parents=True)
    (workspace.root / "weights/ensemble/config.pbtxt").write_text('platform: "ensemble"\n')
    first = workspace.build()
    assert members(workspace, first)["srv/model/weights/ensemble/1"] == "folder"
    workspace.settle()
    assert workspace.build().executed == 0
    (workspace.root / "weights/ensemble/2").mkdir()
    second = workspace.build()
    assert "srv/model/weights/ensemble/2" in members(workspace, second)
    assert second.digest == workspace.clean_build().digest != first.digest
    (workspace.root / "weights/ensemble/1/model.py").write_text("pass\n")
    third = workspace.build()
    assert "srv/model/weights/ensemble/1" not in members(workspace, third)
    (workspace.root / "weights/ensemble/2").rmdir()
    assert OTHERS not in origins(workspace.build())


def test_a9_what_exclude_empties_is_not_there(workspace: Space) -> None:
    (workspace.root / "weights/logs").mkdir()
    (workspace.root / "weights/logs/a.log").write_text("x\n")
    workspace.edit("BUILD.yaml", "path: weights}", "path: weights, exclude: ['logs/**']}")
    assert OTHERS not in origins(workspace.build())


def test_a9_nothing_but_empty_folders_is_no_model(workspace: Space) -> None:
    for path in (workspace.root / "weights").iterdir():
        path.unlink()
    (workspace.root / "weights/1").mkdir()
    workspace.run("build", APP, code=1).said("no file matches")


def hub(space: Space, size: int = 3000) -> None:
    """An entry of the Hugging Face cache as the model."""
    entry = space.root / "weights"
    (entry / "blobs").mkdir()
    (entry / "snapshots/abc/onnx").mkdir(parents=True)
    (entry / "blobs/0123").write_bytes(b"w" * size)
    (entry / "snapshots/abc/model.bin").symlink_to("../../blobs/0123")
    (entry / "snapshots/abc/onnx/model.bin").symlink_to("../../../blobs/0123")


def test_b2_links_inside_a_model_stay_links(workspace: Space) -> None:
    hub(workspace, 5 << 20)
    (workspace.root / "weights/snapshots/main").symlink_to("abc")
    first = workspace.build()
    assert members(workspace, first) | {"srv": "folder"} == {
        "srv": "folder",
        "srv/model": "folder",
        "srv/model/weights": "folder",
        "srv/model/weights/snapshots": "folder",
        "srv/model/weights/snapshots/abc": "folder",
        "srv/model/weights/snapshots/abc/onnx": "folder",
        "srv/model/weights/snapshots/abc/model.bin": "-> ../../blobs/0123",
        "srv/model/weights/snapshots/abc/onnx/model.bin": "-> ../../../blobs/0123",
        "srv/model/weights/snapshots/main": "-> abc",
    }
    size = sum(layer["size"] for layer in first.targets[APP]["layers"])
    assert size < 6 << 20, "the weights are there once"
    workspace.settle()
    assert workspace.build().executed == 0
    (workspace.root / "weights/blobs/0123").write_bytes(b"v" * (5 << 20))
    second = workspace.build()
    assert second.digest == workspace.clean_build().digest != first.digest
    assert second.layer(OTHERS)["digest"] == first.layer(OTHERS)["digest"]
    (workspace.root / "weights/snapshots/main").unlink()
    (workspace.root / "weights/snapshots/main").symlink_to("abc/onnx")
    third = workspace.build()
    assert members(workspace, third)["srv/model/weights/snapshots/main"] == "-> abc/onnx"
    assert third.digest == workspace.clean_build().digest


def test_b2_a_link_is_read_through_where_it_leads_to_nothing_that_is_packed(workspace: Space) -> None:
    hub(workspace)
    workspace.edit("BUILD.yaml", "path: weights}", "path: weights/snapshots/abc}")
    report = workspace.build()
    assert OTHERS not in origins(report)
    assert members(workspace, report, "model m: small files")["srv/model/abc/onnx/model.bin"] == "file"
    workspace.edit("BUILD.yaml", "weights/snapshots/abc}", "weights, exclude: ['blobs/**']}")
    report = workspace.build()
    assert OTHERS not in origins(report)
    assert members(workspace, report, "model m: small files")["srv/model/weights/snapshots/abc/model.bin"] == "file"


def test_b2_links_of_code_are_read_through_as_ever(workspace: Space) -> None:
    (workspace.root / "src/again.py").symlink_to("helper.py")
    assert members(workspace, workspace.build(), "code code")["srv/app/again.py"] == "file"


def test_b2_a_link_that_becomes_a_copy_and_back(workspace: Space) -> None:
    link = workspace.root / "weights/same.txt"
    link.symlink_to("labels.txt")
    workspace.settle()
    first = workspace.build()
    link.unlink()
    link.write_text("cat\ndog\n")
    second = workspace.build()
    assert OTHERS not in origins(second)
    assert second.digest == workspace.clean_build().digest
    link.unlink()
    link.symlink_to("labels.txt")
    assert workspace.build().digest == first.digest


def test_b2_a_model_downloaded_at_start_has_the_links_content(workspace: Space) -> None:
    (workspace.root / "weights/same.txt").symlink_to("labels.txt")
    workspace.edit("BUILD.yaml", "path: weights}", "path: weights, download_uri: 'https://127.0.0.1:1/m/'}")
    workspace.edit("BUILD.yaml", "layout: base}", "layout: base, python: '3.11', interpreter: /bin/python}")
    workspace.append("BUILD.yaml", "    mode: download\n    mount_path: /srv/late\n")
    report = workspace.build()
    layer = workspace.blobs()[report.layer("downloads at start: list of files")["digest"]].read_bytes()
    assert b'"path": "same.txt"' in gzip.decompress(layer)
