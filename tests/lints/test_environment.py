"""Lints of the environment, on real locks, and of the server."""

import shutil
from pathlib import Path

import pytest

from buildrules.lints.gpu import cpu_wheels, cuda_versions, gpu_wheels, of_environment
from buildrules.lints.server import unpinned_server
from buildrules.locking.python.lock import read_lock

MEANT = (
    "if there will be a GPU, say so with gpu: true in the environment or the package, in a file of Azure ML with"
    " environment_variables: {NVIDIA_VISIBLE_DEVICES: all}"
)
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
    assert found.hint == f"leave them out of the environment: exclude: [nvidia-nccl-cu12]; {MEANT}"


def test_wheels_built_for_gpus() -> None:
    (found,) = gpu_wheels([["jaxlib", "0.4.1+cuda12", 10_000_000], ["onnxruntime-gpu", "1.2", None]])
    assert found.message.startswith("10 MB of packages")
    assert found.hint == f"take onnxruntime instead of onnxruntime-gpu; {MEANT}"
    assert gpu_wheels([["numpy", "2.3.1", 5], ["nvidia-ml-py", "12", 5], ["torch", "2.7.1+cpu", 5]]) == []


def test_wheels_built_for_cpus() -> None:
    packages = [["torch", "2.9.1+cpu"], ["torchvision", "0.24+cpu"], ["xgboost-cpu", "3.2"], ["cpuinfo", "1"]]
    (found,) = cpu_wheels(packages)
    assert found.message == (
        "packages for CPUs in an image for GPUs: torch 2.9.1+cpu, torchvision 0.24+cpu, xgboost-cpu 3.2"
    )
    assert found.hint.startswith("take torch, torchvision from the usual index, or from PyTorch's of one CUDA")
    assert found.hint.endswith("; take xgboost instead of xgboost-cpu")
    assert cpu_wheels([["torch", "2.9.1"], ["numpy", "2"]]) == []


@pytest.mark.parametrize(
    ("packages", "asked", "message"),
    [
        ("nvidia-nccl-cu12 2.27, torch 2.9+cu126, cuda-toolkit 12.6.3, cupy-cuda12x 13", None, None),
        ("nvidia-nccl-cu12 2.27", "12", None),
        ("nvidia-nccl-cu12 2.27", "13", "packages for CUDA 12 (nvidia-nccl-cu12 2.27), and CUDA 13 is asked for"),
        ("nvidia-cublas 13.4, nvidia-cudnn-cu13 9.5, nvidia-cufft 12.1, nvidia-curand 10.4", "13", None),
        (
            "nvidia-nccl-cu12 2.27, cuda-toolkit 13.2",
            None,
            "packages for CUDA 12 (nvidia-nccl-cu12 2.27) and CUDA 13 (cuda-toolkit 13.2)",
        ),
        ("numpy 2.3, nvidia-ml-py 12", "13", None),
    ],
)
def test_versions_of_cuda(packages: str, asked: str | None, message: str | None) -> None:
    found = cuda_versions([item.split() for item in packages.split(", ")], asked)
    assert [item.message for item in found] == ([message] if message else [])


def test_torch_of_another_cuda_is_at_an_index_of_its_own() -> None:
    (found,) = cuda_versions([["torch", "2.9"], ["nvidia-cublas", "13.4"]], "12")
    assert 'target: "https://download.pytorch.org/whl/cu128", packages: [torch]' in found.hint


def test_an_image_is_for_gpus_or_not() -> None:
    packages = [["torch", "2.9+cpu", 5], ["nvidia-nccl-cu12", "2", 5], ["nvidia-nccl-cu13", "2", 5]]
    assert [item.name for item in of_environment(packages, [])] == ["gpu_wheels"]
    names = [item.name for item in of_environment(packages, ["NVIDIA_VISIBLE_DEVICES"])]
    assert names == ["cpu_wheels", "cuda_versions"]


def test_servers_without_a_version() -> None:
    wanted = ["bentoml", "uvicorn[standard]", "mlserver>=1", "a==1; python_version > '3'", "b ~= 2"]
    found = unpinned_server(wanted, "mine")
    assert [item.message.split("'")[3] for item in found] == ["bentoml", "uvicorn"]
    assert found[0].severity == "warning"


def test_the_locks_are_what_was_locked(tmp_path: Path) -> None:
    """The figures above are those of the packages; the locks are read as the planner reads them."""
    shutil.copytree(LOCKS, tmp_path / "locks")
    assert read_lock(str(tmp_path), "locks/pylock.torch-linux-amd64.toml").get("torch") is not None


def test_what_is_built_for_another_cuda_is_named() -> None:
    (found,) = cuda_versions([["cupy-cuda12x", "13"], ["nvidia-nccl-cu12", "2"]], "13")
    assert found.hint.startswith("take a build of cupy-cuda12x for CUDA 13; leave out what works without: exclude: [nv")
