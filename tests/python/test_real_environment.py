"""The environment of a published sample, with an inference server on top, from the user's real indexes."""

from dataclasses import replace
from pathlib import Path

import pytest

from buildrules.actions.python.target import Target
from buildrules.actions.python.wheel_layer import WheelLayer
from buildrules.engine.action import Action
from buildrules.errors import ResolutionError
from buildrules.locking.python.conda import check_python
from buildrules.locking.python.lock import lock_text, read_lock, write_lock
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.requirements import collect
from buildrules.locking.python.resolve import make_lock, stale
from buildrules.net.session import Session
from tests.support.steps import made, step

from .conftest import Context

CONDA = """\
name: model-env
channels:
  - conda-forge
dependencies:
  - python=3.12
  - numpy=2.3.1
  - pip=25.1.1
  - scikit-learn=1.7.0
  - scipy=1.16.0
  - xgboost==3.0.2"""


@pytest.mark.network
@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_sample_environment_with_its_server(root: Path, tmp_path: Path, platform: str) -> None:
    (root / "conda.yaml").write_text(CONDA)
    target, exclude = Target(platform, "3.11.2", "2.36"), ("nvidia-nccl-cu12",)
    found = collect(str(root), "", conda_file="conda.yaml", exclude=exclude, asker="the environment //:env")
    with pytest.raises(ResolutionError):
        check_python(found.python, target.python)
    check_python(found.python, target.python, override="3.11")
    server = collect(str(root), "", requirements=["azureml-inference-server-http~=1.5"], asker="the server")
    env = EnvironmentRequest("env", str(root), "", target, found)
    base = make_lock(env, Session(), portable=True)
    assert {"numpy", "scikit-learn", "scipy", "xgboost", "pip", "joblib", "threadpoolctl"} <= {
        p.name for p in base.packages
    }
    assert base.get("nvidia-nccl-cu12") is None
    assert stale(base, env) is None

    both = EnvironmentRequest(
        "env-srv", str(root), "", target, replace(found, items=[*found.items, *server.items]), base=base
    )
    pair = make_lock(both, Session(), portable=True)
    assert all(pair.get(package.name) == package for package in base.packages)
    assert pair.get("azureml-inference-server-http") is not None and len(pair.packages) > 40
    assert all(package.kind == "wheel" for package in pair.packages)
    assert "://" not in lock_text(pair)
    assert read_lock(str(root), write_lock(pair, str(root))) == pair

    few = [package for package in pair.packages if (package.params()["size"] or 0) < 500_000]
    small = [package.row() for package in few]
    context = Context(root, tmp_path / "store")
    params = {"wheels": small, "prefix": "opt/venv", "python": "3.11"}
    action = Action("l", "//:e", "wheel_layer", "small wheels", params, places=pair.places(str(root)))
    (layer,) = made(WheelLayer(), step(action), context).layers
    assert layer.size > 1_000_000 and context.fetched == sum(package.params()["size"] for package in few)
