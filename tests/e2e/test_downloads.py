"""What `lock` says of downloads, and of packages for GPUs on a base without CUDA (row A18)."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from buildrules.cli.downloads import download_lines
from buildrules.cli.report import size_text
from buildrules.lints.gpu import has_gpu, is_for_gpu
from buildrules.locking.downloads import WHEEL, Download, Needed
from tests.python.conftest import Index
from tests.support.space import APP, Space, make_base, make_wheels, wheel

GPU = {
    ("nvidia_cublas_cu12", "12.1"): ("",),
    ("nvidia_nccl_cu12", "2.32"): ("",),
    ("triton", "3.9"): ("",),
    ("torch", "2.13.0"): ("nvidia-cublas-cu12==12.1; sys_platform == 'linux'", "triton", "extra"),
    ("xgboost", "3.2"): ("nvidia-nccl-cu12", "numlib"),
    ("xgboost_cpu", "3.2"): ("numlib",),
}


@pytest.fixture
def gpu(new_space: Callable[..., Space], tmp_path: Path) -> Space:
    space = new_space(locked=False)
    space.wheels = make_wheels(tmp_path / "more")
    space.env["UV_FIND_LINKS"] = str(space.wheels)
    for (name, version), requires in GPU.items():
        filename, data = wheel(name, version, [one for one in requires if one], extra=version.encode() * 30_000)
        (space.wheels / filename).write_bytes(data)
    return space


def ask(space: Space, *requirements: str, more: str = "") -> None:
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]", f"requirements: [{', '.join(requirements)}]{more}")


def size(space: Space, *names: str) -> str:
    return size_text(sum(path.stat().st_size for name in names for path in space.wheels.glob(f"{name}-*.whl")))


def test_a18_lock_says_what_a_cold_build_downloads(gpu: Space) -> None:
    ask(gpu, "torch==2.13.0")
    libraries = size(gpu, "nvidia_cublas_cu12", "triton")
    whole = size(gpu, "torch", "nvidia_cublas_cu12", "triton", "extra")
    line = f"//:env  linux/amd64: 4 wheels, {whole} to download ({libraries} of GPU libraries: "
    result = gpu.run("lock", "//:env").said(line, "2 of 2 locks written")
    assert "nvidia-cublas-cu12" in result.out and "triton" in result.out
    warning = next(text for text in result.err.splitlines() if text.startswith("warning: "))
    assert "//:env" in warning and "//:base has no CUDA" in warning and warning.endswith("torch asks for them")
    result.said(
        "take torch from PyTorch's index of wheels for CPUs",
        "download.pytorch.org/whl/cpu",
        "gpu: true",
    )


def test_a18_what_the_store_has_is_told(gpu: Space) -> None:
    ask(gpu, "torch")
    gpu.run("lock", "//:env")
    gpu.build()
    gpu.run("lock", "//:env").said(
        f"4 wheels, {size(gpu, 'torch', 'nvidia_cublas_cu12', 'triton', 'extra')}, all of it in the store"
    )
    ask_again = gpu.path("BUILD.yaml").read_text().replace("[torch]", "[torch, numlib==1.0]")
    gpu.write("BUILD.yaml", ask_again)
    gpu.run("lock", "//:env").said(f"5 wheels, {size(gpu, 'numlib-1.0')} to download (", "more in the store; ")


def test_a18_servers_and_all_locks_have_lines_of_their_own(gpu: Space) -> None:
    result = gpu.run("lock")
    lines = result.out.splitlines()
    assert lines[:3] == [
        f"//:env  linux/amd64: 1 wheel, {size(gpu, 'numlib-1.0')} to download",
        f"//:env+server  linux/amd64: 2 wheels, {size(gpu, 'tinyserver', 'extra')} to download",
        f"all 2 locks: 3 wheels, {size(gpu, 'numlib-1.0', 'tinyserver', 'extra')} to download",
    ]
    assert "warning" not in result.err
    assert gpu.run("lock").out.splitlines()[:-1] == lines[2:3]
    assert "download" not in gpu.run("lock", "--check").out


def test_a18_wheels_of_the_workspace_are_not_downloaded(gpu: Space) -> None:
    filename, data = wheel("own", "1.0")
    gpu.write(filename, data)
    ask(gpu, "numlib==1.0", f"./{filename}")
    gpu.run("lock", "//:env").said(f"//:env  linux/amd64: 1 wheel, {size(gpu, 'numlib-1.0')} to download")


@pytest.mark.parametrize(
    ("variables", "package"),
    [
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, ""),
        ({"CUDA_VERSION": "12.6.3"}, ""),
        ({"NV_CUDA_CUDART_VERSION": "12.6.77-1"}, ""),
        ({"ROCM_PATH": "/opt/rocm"}, ""),
        ({}, "environment: {NVIDIA_VISIBLE_DEVICES: all}"),
        ({}, "lint_ignore: [gpu_wheels]"),
    ],
)
def test_a18_where_a_gpu_is_meant_nothing_is_wrong(gpu: Space, variables: Mapping[str, str], package: str) -> None:
    ask(gpu, "torch", "xgboost")
    if variables:
        make_base(gpu.root / "base", variables=variables)
    gpu.append("BUILD.yaml", f"    {package}\n" if package else "")
    result = gpu.run("lock").said("of GPU libraries: ")
    assert "warning" not in result.err


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        (["xgboost"], "\n    exclude: [nvidia-nccl-cu12]"),
        (["xgboost"], '\n    exclude: ["nvidia-*"]'),
        (["xgboost-cpu"], ""),
    ],
)
def test_a18_the_ways_out_work(gpu: Space, asked: list[str], more: str) -> None:
    ask(gpu, "xgboost")
    told = gpu.run("build", APP).said("//:base has no CUDA: nvidia-nccl-cu12; xgboost asks for them")
    told.said("take xgboost-cpu instead of xgboost", "exclude: [nvidia-nccl-cu12]")
    gpu.edit("BUILD.yaml", "requirements: [xgboost]", f"requirements: [{', '.join(asked)}]{more}")
    result = gpu.run("lock")
    assert "CUDA" not in result.err and "GPU" not in result.out
    assert "has no CUDA" not in gpu.run("build", APP).err


def test_a18_torch_for_cpus_as_the_hint_has_it(gpu: Space) -> None:
    ask(gpu, "torch==2.13.0", "xgboost-cpu")
    text = gpu.run("lock", "//:env").err
    connection = text[text.index("`pytorch-cpu: ") + 1 : text.index("`; if there will be a GPU")]
    index, nothing = Index(), Index()
    (gpu.folder / "uv.toml").write_text("")
    gpu.env["UV_DEFAULT_INDEX"] = nothing.url
    try:
        index.add("torch", "2.13.0+cpu", requires=["extra"])
        connection = connection.replace("https://download.pytorch.org/whl/cpu", index.url)
        gpu.edit("BUILD.yaml", "workspace:\n", f"workspace:\n  connections:\n    {connection}\n")
        result = gpu.run("lock", "//:env").said("torch 2.13.0 -> 2.13.0+cpu")
        assert "has no CUDA" not in result.err and "GPU" not in result.out
        result = gpu.run("build", APP)
    finally:
        index.close()
        nothing.close()
    assert "has no CUDA" not in result.err and "GPU" not in result.err


@pytest.mark.parametrize(
    ("name", "version", "gpu"),
    [
        ("nvidia-cublas", "13.4", True),
        ("nvidia-cudnn-cu13", "9", True),
        ("cuda-toolkit", "13.2", True),
        ("cupy-cuda12x", "14", True),
        ("jax-cuda12-plugin", "0.9", True),
        ("cudf-cu12", "26", True),
        ("onnxruntime-gpu", "1.2", True),
        ("faiss-gpu-cu12", "1.9", True),
        ("pytorch-triton-rocm", "3", True),
        ("jax-rocm7-pjrt", "0.9", True),
        ("torch", "2.9.1+cu128", True),
        ("torch", "2.9.1+rocm6.4", True),
        ("torch", "2.9.1+cpu", False),
        ("torch", "2.9.1", False),
        ("nvidia-ml-py", "13", False),
        ("tritonclient", "2", False),
        ("numpy", "2.3.1", False),
        ("customer-culture", "1", False),
    ],
)
def test_a18_packages_for_gpus(name: str, version: str, gpu: bool) -> None:
    assert is_for_gpu(name, version) is gpu


def test_a18_variables_of_images_for_gpus() -> None:
    assert has_gpu(["PATH", "NV_CUDA_LIB_VERSION"])
    assert not has_gpu(["PATH", "CUDA_VISIBLE_DEVICES", "TF_CPP_MIN_LOG_LEVEL"])


def test_a18_the_block_stays_short() -> None:
    locks = [
        Needed(
            f"pylock.{n}.toml", f"//:e{n}", "linux/amd64", (Download(WHEEL, "a", f"{n:064x}", 10**n if n else None),)
        )
        for n in range(20)
    ]
    lines = list(download_lines(locks, {one.path for one in locks}, set()))
    assert len(lines) == 12
    assert lines[0].startswith("//:e19  linux/amd64: 1 wheel, ")
    assert lines[-1].startswith("all 20 locks: 20 wheels, ")
    assert lines[-1].endswith("to download (of 1 the size is not known)")
    assert list(download_lines(locks, set(), set())) == [lines[-1]]
