"""Lints of the environment, on real locks, and of the server."""

import shutil
from pathlib import Path

from buildrules.lints.gpu import gpu_wheels
from buildrules.lints.server import unpinned_server
from buildrules.locking.python.lock import read_lock

LOCKS = Path(__file__).parent / "locks"


def rows(name: str) -> list[list[object]]:
    lock = read_lock(str(LOCKS), f"pylock.{name}-linux-amd64.toml")
    return [[item.name, item.version, item.file.size if item.file else None] for item in lock.packages]


def test_torch_for_gpus() -> None:
    (found,) = gpu_wheels(rows("torch"))
    assert found.message.startswith("2164 MB of packages for GPUs in an image without CUDA: nvidia-cudnn-cu12 9.5")
    assert found.message.endswith(" more")
    assert found.hint.startswith("take torch from PyTorch's index of wheels for CPUs: ")


def test_xgboost_brings_one_library() -> None:
    (found,) = gpu_wheels(rows("xgboost"))
    assert "nvidia-nccl-cu12 2." in found.message
    assert found.hint == "leave them out of the environment: exclude: [nvidia-nccl-cu12]"


def test_wheels_built_for_gpus() -> None:
    (found,) = gpu_wheels([["jaxlib", "0.4.1+cuda12", 10_000_000], ["onnxruntime-gpu", "1.2", None]])
    assert found.message.startswith("10 MB of packages")
    assert found.hint == "take onnxruntime instead of onnxruntime-gpu"
    assert gpu_wheels([["numpy", "2.3.1", 5], ["nvidia-ml-py", "12", 5], ["torch", "2.7.1+cpu", 5]]) == []


def test_servers_without_a_version() -> None:
    wanted = ["bentoml", "uvicorn[standard]", "mlserver>=1", "a==1; python_version > '3'", "b ~= 2"]
    found = unpinned_server(wanted, "mine")
    assert [item.message.split("'")[3] for item in found] == ["bentoml", "uvicorn"]
    assert found[0].severity == "warning"


def test_the_locks_are_what_was_locked(tmp_path: Path) -> None:
    """The figures above are those of the packages; the locks are read as the planner reads them."""
    shutil.copytree(LOCKS, tmp_path / "locks")
    assert read_lock(str(tmp_path), "locks/pylock.torch-linux-amd64.toml").get("torch") is not None
