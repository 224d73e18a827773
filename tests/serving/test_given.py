"""What a container is given: read as `docker run` reads it, and asked for in the engine's words."""

from pathlib import Path

import pytest

from buildrules.errors import UsageError
from buildrules.serving.given import Given, Gpus, volume


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("all", {"Count": -1}),
        ("2", {"Count": 2}),
        ("device=0,1", {"DeviceIDs": ["0", "1"]}),
        ('"device=GPU-3a23c669,1"', {"DeviceIDs": ["GPU-3a23c669", "1"]}),
    ],
)
def test_gpus(text: str, asked: dict[str, object]) -> None:
    assert Gpus.parse(text).requests() == [{"Driver": "", "Capabilities": [["gpu"]], **asked}]


@pytest.mark.parametrize("text", ["", "0", "-1", "some", "device=", "device=,", "0,1", "driver=nvidia"])
def test_no_gpus(text: str) -> None:
    with pytest.raises(UsageError, match="names no GPUs"):
        Gpus.parse(text)


def test_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").touch()
    assert volume("./data:/x") == f"{tmp_path}/data:/x"
    assert volume("data/file:/x:ro,z") == f"{tmp_path}/data/file:/x:ro,z"
    assert volume(".:/x") == f"{tmp_path}:/x"
    assert volume("data:/x:rw") == "data:/x:rw"  # of the engine, as with `docker run`
    assert volume("/not/here:/x", local=False) == "/not/here:/x"


@pytest.mark.parametrize("text", ["", ":", "/x", ":/x", "a:x", "./no:/x", "a:/x:", "a:/x:rx", "a:/x:ro:z", "a b:/x"])
def test_no_volumes(text: str) -> None:
    with pytest.raises(UsageError):
        volume(text)


@pytest.mark.parametrize("given", [{"name": "a"}, {"name": "a/b"}, {"network": "none"}, {"network": "container:x"}])
def test_what_no_package_can_have(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Given(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("network", ["host", "models", "none-of-them", "containers"])
def test_networks(network: str) -> None:
    assert Given(network=network).network == network
