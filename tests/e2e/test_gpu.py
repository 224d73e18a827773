"""`gpu:` of environments and packages: what it sets, what it asks of the wheels, and the layers of NVIDIA's."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerlab import tidy
from tests.support.space import APP, Space, make_wheels, wheel

WHEELS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("nvidia_cublas", "13.1"): (),
    ("nvidia_nvtx", "13.0"): (),
    ("nvidia_nccl_cu12", "2.27"): (),
    ("nvidia_ml_py", "13"): (),
    ("torch", "2.13.0"): ("nvidia-cublas", "nvidia-nvtx", "nvidia-ml-py", "extra"),
    ("torch", "2.12.0+cpu"): ("extra",),
    ("boost", "1.0"): ("nvidia-nccl-cu12",),
}
VARIABLES = {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility", "NVIDIA_VISIBLE_DEVICES": "all"}


@pytest.fixture
def space(new_space: Callable[..., Space], tmp_path: Path) -> Space:
    made = new_space(locked=False)
    made.wheels = make_wheels(tmp_path / "more")
    made.env["UV_FIND_LINKS"] = str(made.wheels)
    for (name, version), requires in WHEELS.items():
        filename, data = wheel(name, version, requires)
        (made.wheels / filename).write_bytes(data)
    return made


def ask(space: Space, *requirements: str, env: str = "", app: str = "") -> None:
    said = f"\n    gpu: {env}" if env else ""
    space.edit("BUILD.yaml", "requirements: [numlib==1.0]", f"requirements: [{', '.join(requirements)}]{said}")
    space.append("BUILD.yaml", f"    gpu: {app}\n" if app else "")


def image_of(space: Space) -> tuple[dict[str, str], dict[str, str]]:
    """Variables and labels of the package's image."""
    config: dict[str, Any] = space.config(space.build(APP).digest)
    return dict(item.split("=", 1) for item in config["Env"]), config["Labels"]


@pytest.mark.parametrize(
    ("env", "app", "label"),
    [
        ("true", "", "cuda"),
        ("", "true", "cuda"),
        ("", '{cuda: "13"}', "cuda13"),
        ("{cuda: 13}", "", "cuda13"),
        ("true", "{cuda: 13}", "cuda13"),
        ("true", "false", None),
        ("", "", None),
    ],
)
def test_the_image_of_a_gpu_package(space: Space, env: str, app: str, label: str | None) -> None:
    ask(space, "numlib==1.0", env=env, app=app)
    variables, labels = image_of(space)
    assert {name: text for name, text in variables.items() if "NVIDIA" in name} == (VARIABLES if label else {})
    assert labels.get("buildrules.gpu") == label
    found = json.loads(space.run("show", APP, "--json").out)
    assert found["gpu"] == label


def test_the_packages_own_variables_win(space: Space) -> None:
    ask(space, "numlib==1.0", app="true\n    environment: {NVIDIA_DRIVER_CAPABILITIES: all}")
    variables, _ = image_of(space)
    assert variables["NVIDIA_DRIVER_CAPABILITIES"] == "all" and variables["NVIDIA_VISIBLE_DEVICES"] == "all"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("all", "expected true or false"),
        ("{cuda: twelve}", "'twelve' is not one of the choices"),
        ("{cuda: 1}", "'1' is not one of the choices"),
        ("{cudas: 12}", "there is no 'cudas' here"),
    ],
)
def test_what_is_no_gpu(space: Space, said: str, message: str) -> None:
    ask(space, "numlib==1.0", app=said)
    space.run("build", APP, code=2).said(message, "BUILD.yaml:")


def test_each_library_of_nvidia_has_its_layer(space: Space) -> None:
    ask(space, "torch==2.13.0", app="true")
    result = space.run("lock")
    assert "warning" not in result.err
    report = space.build(APP)
    titles = [layer["origin"] for layer in report.targets[APP]["layers"]]
    assert {"nvidia-cublas 13.1", "nvidia-nvtx 13.0"} < set(titles)
    assert not any("nvidia-ml-py" in title for title in titles)  # it is small, and nobody's library
    assert "0 warnings" in space.run("lint", APP).out


@pytest.mark.parametrize(
    ("asked", "cuda", "lint", "message", "hint"),
    [
        (
            "torch==2.13.0",
            "12",
            "cuda_versions",
            "packages for CUDA 13 (nvidia-cublas 13.1), and CUDA 12 is asked for",
            "take torch from PyTorch's index for CUDA 12: under workspace.connections, `pytorch-cu128: {",
        ),
        (
            "torch==2.13.0, boost",
            "13",
            "cuda_versions",
            "packages for CUDA 12 (nvidia-nccl-cu12 2.27) and CUDA 13 (nvidia-cublas 13.1), and CUDA 13 is asked for",
            "leave out of the environment what is not for CUDA 13: exclude: [nvidia-nccl-cu12]",
        ),
        (
            "boost",
            "13",
            "cuda_versions",
            "packages for CUDA 12 (nvidia-nccl-cu12 2.27), and CUDA 13 is asked for",
            'leave out what works without: exclude: [nvidia-nccl-cu12]; or ask for theirs: gpu: {cuda: "12"}',
        ),
        (
            '"torch==2.12.0+cpu"',
            "13",
            "cpu_wheels",
            "packages for CPUs in an image for GPUs: torch 2.12.0+cpu",
            "take torch from the usual index, or from PyTorch's of one CUDA",
        ),
    ],
)
def test_what_does_not_go_with_a_gpu(space: Space, asked: str, cuda: str, lint: str, message: str, hint: str) -> None:
    ask(space, asked, app=f"{{cuda: {cuda}}}")
    locked = space.run("lock")
    assert locked.err.count("warning: ") == 1
    locked.said(f"warning: //:env: {message}", f"  hint: {hint}")
    found = json.loads(space.run("lint", APP, "--json").out)
    assert [(item["lint"], item["message"]) for item in found["findings"]] == [(lint, message)]


def test_an_environment_that_says_so_is_not_warned_of(space: Space) -> None:
    ask(space, "torch==2.13.0", env="{cuda: 13}", app="false")
    assert "warning" not in space.run("lock", "//:env").err
    space.run("lint", "//:env").said("0 packages: 0 errors, 0 warnings; environments, bases and models are looked at")
    said = space.run("lint", APP).said("gpu_wheels", "or take its `gpu: false` out")
    assert "gpu: true" not in said.out


TEST = """\
  app_test:
    rule: package_test
    package: :app
    requests: [{route: scoring, json: {a: 1}}]
"""


@pytest.mark.parametrize(
    ("runner", "message"),
    [
        pytest.param("docker", "has no GPUs to give", marks=[pytest.mark.docker, pytest.mark.xdist_group("docker")]),
        ("rootfs", "'//:app' is to have GPUs, and its root file system alone gives it none"),
    ],
)
def test_a_test_with_gpus_needs_who_has_some(
    space: Space, request: pytest.FixtureRequest, runner: str, message: str
) -> None:
    name = f"buildrules-test-{os.urandom(4).hex()}"
    space.edit("BUILD.yaml", "name: acme", f"name: {name}")
    space.append("BUILD.yaml", TEST)
    with tidy(request.getfixturevalue("engine"), name) if runner == "docker" else contextlib.nullcontext():
        space.run("test", "//:app_test", "--runner", runner, "--gpus", "all", code=1).said(message)
    space.run("test", "//:app_test", "--gpus", "both", code=2).said("'both' names no GPUs")
