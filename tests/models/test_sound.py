"""Files that cannot be what a model's names promise: pointers, error pages, what is empty or cut off."""

import io
import json
import pickle
import struct
import zipfile

import pytest

from tests.support.space import APP, Space

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 12345\n"
ANNEX = b"/annex/objects/SHA256E-s5--" + b"5" * 64 + b".bin\n"


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("data.pkl", b"x" * 5000)
    return buffer.getvalue()


def onnx() -> bytes:
    graph = b"\x12\x04main" + b"\x1a" + b"\xf4\x03" + bytes(500)
    return b"\x08\x09" + b"\x12\x07pytorch" + b"\x3a" + bytes([0x80 | len(graph) & 127, len(graph) >> 7]) + graph


def hdf5() -> bytes:
    start = b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0]) + bytes(8)
    return start + struct.pack("<QQQQ", 0, 2**64 - 1, 800, 2**64 - 1) + bytes(800 - 56)


def gguf() -> bytes:
    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    keys = text(b"a.name") + struct.pack("<I", 8) + text(b"tiny") + text(b"a.size") + struct.pack("<IQ", 10, 7)
    keys += text(b"a.words") + struct.pack("<IIQ", 9, 8, 2) + text(b"one") + text(b"two")
    keys += text(b"a.scores") + struct.pack("<IIQ", 9, 6, 2) + bytes(8)
    tensors = b"".join(text(name) + struct.pack("<IQIQ", 1, 8, 0, at) for name, at in ((b"w", 0), (b"v", 32)))
    return b"GGUF" + struct.pack("<IQQ", 3, 2, 4) + keys + tensors + bytes(32)


def numpy_array() -> bytes:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (7, 3), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(84)


def parquet() -> bytes:
    return b"PAR1" + bytes(100) + b"PAR1"


WHOLE = {
    "m.safetensors": safetensors(),
    "m.pt": archive(),
    "m.onnx": onnx(),
    "m.h5": hdf5(),
    "m.gguf": gguf(),
    "m.npy": numpy_array(),
    "m.parquet": parquet(),
    "m.pkl": pickle.dumps([list(range(30_000)), b"x" * 99_999, "y" * 99_999, list(range(9))], 5),
    "m.joblib": pickle.dumps({"a": [1, 2, 3]}, 4),
}


def refused(space: Space, name: str, content: bytes) -> str:
    (space.root / "weights" / name).write_bytes(content)
    return space.run("build", APP, code=1).err


@pytest.mark.parametrize(
    ("name", "content", "command"),
    [
        ("m.bin", LFS, "`git lfs pull`"),
        ("tokenizer.json", LFS, "`git lfs pull`"),
        ("m.bin", ANNEX, "`git annex get weights/m.bin`"),
        ("m.bin", b"#$# git-fat " + b"a" * 40 + b" 9\n", "`git fat pull weights/m.bin`"),
        ("m.bin", b"\xef\xbb\xbf" + LFS.replace(b"\n", b"\r\n"), "`git lfs pull`"),
        ("m.bin", b"# xet version 0\nfilesize = 9\nhash = '" + b"a" * 64 + b"'\n", "`git xet checkout`"),
        ("m.bin.dvc", b"outs:\n- md5: abc\n  path: m.bin\n", "`dvc pull weights/m.bin.dvc`"),
    ],
)
def test_b1_a_pointer_is_an_error_with_the_command(workspace: Space, name: str, content: bytes, command: str) -> None:
    error = refused(workspace, name, content)
    assert f"'weights/{name}' is a pointer of" in error
    assert command in error


def test_b1_a_single_pointer_and_one_that_is_downloaded_at_start(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "path: weights}", "path: weights/model, download_uri: 'https://127.0.0.1:1/m/'}")
    assert "`git lfs pull`" in refused(workspace, "model", LFS)
    workspace.append("BUILD.yaml", "    mode: download\n    mount_path: /srv/late\n")
    workspace.edit("BUILD.yaml", "layout: base}", "layout: base, python: '3.11', interpreter: /bin/python}")
    assert "`git lfs pull`" in refused(workspace, "model", LFS)


def test_b1_what_dvc_keeps_is_to_be_pulled(workspace: Space) -> None:
    (workspace.root / "weights/model.bin.dvc").write_text("outs:\n- path: model.bin\n")
    workspace.edit("BUILD.yaml", "path: weights}", "path: weights/model.bin}")
    assert "run `dvc pull weights/model.bin.dvc`" in workspace.run("build", APP, code=2).err
    (workspace.root / "big.dvc").write_text("outs:\n- path: big\n")
    workspace.edit("BUILD.yaml", "path: weights/model.bin}", "path: big/m/model.bin}")
    assert "run `dvc pull big.dvc`" in workspace.run("build", APP, code=2).err


def test_b1_a_link_into_the_store_of_git_annex(workspace: Space) -> None:
    (workspace.root / "weights/m.bin").symlink_to("../.git/annex/objects/aa/bb/key/key")
    assert (
        "run `git annex get weights/m.bin; git annex unlock weights/m.bin`" in workspace.run("build", APP, code=1).err
    )


def test_b1_a_pointer_as_a_wheel(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "[numlib==1.0]", "[./wheels/own-1.0-py3-none-any.whl]")
    (workspace.root / "wheels").mkdir()
    (workspace.root / "wheels/own-1.0-py3-none-any.whl").write_bytes(LFS)
    error = workspace.run("lock", code=2).err
    assert "'wheels/own-1.0-py3-none-any.whl' is a pointer of git-lfs" in error
    assert "run `git lfs pull`" in error


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html>\n<html><title>Sign in</title></html>",
        b"\xef\xbb\xbf\n <html lang=en>",
        b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>',
        b"Entry not found",
        b'{"error": "gated"}',
        b'{ "errors" : [ {"status" : 404} ] }',
        b'{"message":"Not Found"}',
        b"403 Forbidden",
        b"Too many requests",
    ],
)
def test_b1_a_page_saved_as_weights(workspace: Space, page: bytes) -> None:
    assert "is what a server said instead of sending the file" in refused(workspace, "m.bin", page)


@pytest.mark.parametrize("name", ["m.safetensors.part", "m.bin.incomplete", "0a1b.crdownload", "m.gguf.aria2"])
def test_b1_a_download_that_did_not_end(workspace: Space, name: str) -> None:
    assert f"'weights/{name}' is a download that did not end" in refused(workspace, name, b"half")


def test_b1_what_is_still_encrypted(workspace: Space) -> None:
    assert "run `git-crypt unlock`" in refused(workspace, "m.bin", b"\0GITCRYPT\0" + b"x" * 9000)


def test_b1_empty_weights(workspace: Space) -> None:
    assert "'weights/m.onnx' is empty" in refused(workspace, "m.onnx", b"")


def test_b1_nothing_but_empty_files(workspace: Space) -> None:
    for path in (workspace.root / "weights").iterdir():
        path.write_bytes(b"")
    error = workspace.run("build", APP, code=1).err
    assert "'weights/labels.txt' is empty, and the model m has nothing else" in error


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_b1_what_is_cut_off_is_an_error_and_what_is_whole_is_not(workspace: Space, name: str) -> None:
    whole = WHOLE[name]
    for length in (len(whole) - 1, len(whole) // 2, 9):
        assert f"'weights/{name}' is cut off" in refused(workspace, name, whole[:length])
    (workspace.root / "weights" / name).write_bytes(whole)
    workspace.build()


@pytest.mark.parametrize("name", ["m.safetensors", "m.onnx", "m.pkl", "m.h5", "m.npz"])
def test_b1_a_file_of_zeros(workspace: Space, name: str) -> None:
    assert f"'weights/{name}' is cut off" in refused(workspace, name, bytes(9000))


def test_b1_json_that_is_cut_off(workspace: Space) -> None:
    whole = b"\xef\xbb\xbf" + json.dumps({"trees": list(range(3000))}).encode() + b"\n"
    assert "'weights/m.json' is cut off" in refused(workspace, "m.json", whole[:-3])
    assert "'weights/m.json' is cut off" in refused(workspace, "m.json", b"[1, 2")
    (workspace.root / "weights/m.json").write_bytes(whole)
    workspace.build()


def test_b1_a_shard_that_is_missing(workspace: Space) -> None:
    shards = {"a": "m-1-of-2.safetensors", "b": "m-2-of-2.safetensors"}
    index = json.dumps({"metadata": {}, "weight_map": shards}, indent=2).encode()
    (workspace.root / "weights/llm").mkdir()
    (workspace.root / "weights/llm/m-1-of-2.safetensors").write_bytes(safetensors())
    error = refused(workspace, "llm/m.safetensors.index.json", index)
    assert "'weights/llm/m.safetensors.index.json' needs 'llm/m-2-of-2.safetensors', which is not there" in error
    (workspace.root / "weights/llm/m-2-of-2.safetensors").write_bytes(safetensors())
    (workspace.root / "weights/llm/pytorch_model.bin.index.json").write_bytes(index.replace(b"safetensors", b"bin"))
    workspace.build()  # of the other form of the model nothing is there


def test_b1_data_that_an_onnx_file_keeps_outside(workspace: Space) -> None:
    entry = b"\x0a\x08location\x12\x0bm.onnx.data"
    model = b"\x08\x09" + b"\x3a" + bytes([len(entry)]) + entry
    assert "'weights/m.onnx' needs 'm.onnx.data', which is not there" in refused(workspace, "m.onnx", model)
    (workspace.root / "weights/m.onnx.data").write_bytes(bytes(99))
    workspace.build()


MLMODEL = b"""flavors:
  python_function:
    code: null
    data: null
    env: {conda: conda.yaml}
    loader_module: mlflow.sklearn
    model_path: NAME
  sklearn:
    pickled_model: NAME
metadata:
    data: theirs
"""


@pytest.mark.parametrize("name", ["model.pkl", "data"])
def test_b1_a_file_that_mlmodel_names(workspace: Space, name: str) -> None:
    (workspace.root / "weights/own").mkdir()
    mark = MLMODEL.replace(b"NAME", name.encode())
    error = refused(workspace, "own/MLmodel", mark)
    assert f"'weights/own/MLmodel' needs 'own/{name}', which is not there" in error
    if name == "data":
        (workspace.root / "weights/own/data").mkdir()
    (workspace.root / "weights/own" / ("data/x.bin" if name == "data" else name)).write_bytes(pickle.dumps(1))
    workspace.build()


def test_b1_ordinary_small_files_stay_ordinary(workspace: Space) -> None:
    files: dict[str, bytes] = {
        "__init__.py": b"",
        ".gitkeep": b"",
        "page.html": b"<!doctype html>",
        "prompt.txt": b"<html> is a tag",
        "other.onnx": b"\x93\x01 not protobuf at all",
        "odd.npy": b"\x93NUMPY\x01\0\x1b\0{'descr': [('a', '<i4', 3)]}",
        "five.gguf": b"GGUF" + struct.pack(">IQQ", 3, 1, 0),
        "odd.gguf": b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 0) + b"\xff" * 9,
        "raw.joblib": pickle.dumps([1], 4)[:-1] + b"an array of joblib",
        "two.pkl": pickle.dumps(1, 5) + pickle.dumps(2, 2),
        "old.pkl": pickle.dumps([1, 2], 2) + bytes(9),
        "torn.part": b"not weights",
        "README.md": b"see version https://git-lfs.github.com/spec/v1",
    }
    for name, content in files.items():
        (workspace.root / "weights" / name).write_bytes(content)
    workspace.build()


def test_b1_excluded_pointers_do_no_harm(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "path: weights}", "path: weights, exclude: [m.bin]}")
    (workspace.root / "weights/m.bin").write_bytes(LFS)
    workspace.build()


def test_b1_what_was_right_once_is_looked_at_when_it_changes(built: Space) -> None:
    assert "`git lfs pull`" in refused(built, "model.txt", LFS)
