"""The run-time settings of an image."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.oci.config import ImageConfig, contract_labels, parse_port
from buildrules.store.records import canonical

BASE = {
    "Env": ["PATH=/usr/bin", "LANG=C.UTF-8", "nonsense"],
    "Entrypoint": ["/old"],
    "Cmd": ["--old"],
    "User": "nonroot",
    "WorkingDir": "/home",
    "ExposedPorts": {"80/tcp": {}},
    "Labels": {"org.opencontainers.image.title": "base", "buildrules.routes": "{}", "buildrules.image": "1"},
    "StopSignal": "SIGINT",
}


def test_a_base_is_inherited_and_overlaid() -> None:
    own = ImageConfig.from_dict({"environment": {"LANG": "C", "WORKERS": 2}, "entrypoint": ["/new"], "ports": [5001]})
    assert own.over(ImageConfig.from_oci(BASE)).to_oci() == {
        "Env": ["LANG=C", "PATH=/usr/bin", "WORKERS=2"],
        "Entrypoint": ["/new"],
        "User": "nonroot",
        "WorkingDir": "/home",
        "ExposedPorts": {"80/tcp": {}, "5001/tcp": {}},
        "Labels": {"org.opencontainers.image.title": "base"},
        "StopSignal": "SIGINT",
    }


def test_the_command_stays_with_its_entry_point() -> None:
    below = ImageConfig.from_oci(BASE)
    assert ImageConfig.from_dict({"cmd": ["--new"]}).over(below).to_oci()["Cmd"] == ["--new"]
    assert ImageConfig().over(below).to_oci()["Cmd"] == ["--old"]
    assert "Cmd" not in ImageConfig.from_dict({"entrypoint": ["/new"]}).over(below).to_oci()


def test_layers_of_settings_merge_in_order() -> None:
    base, env, server, user = (
        ImageConfig.from_dict({"environment": {"A": str(level), name: name}})
        for level, name in enumerate(("base", "env", "server", "user"))
    )
    merged = user.over(server.over(env.over(base)))
    assert merged.environment == {"A": "3", "base": "base", "env": "env", "server": "server", "user": "user"}


def test_a_whole_config_document_is_read_too() -> None:
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}, "config": BASE}
    assert ImageConfig.from_oci(document) == ImageConfig.from_oci(BASE)
    assert ImageConfig.from_oci({"rootfs": {}, "config": None}) == ImageConfig()


@pytest.mark.parametrize(
    ("data", "culprit"),
    [
        ({"entrypiont": ["x"]}, "entrypiont"),
        ({"environment": {"A=B": "c"}}, "A=B"),
        ({"environment": {"A\0": "c"}}, "A"),
        ({"environment": {"": "c"}}, "''"),
        ({"environment": {"A": ["c"]}}, "c"),
        ({"entrypoint": "run me"}, "run me"),
        ({"cmd": [1]}, "1"),
        ({"ports": [0]}, "0"),
        ({"ports": ["8080/ftp"]}, "8080/ftp"),
        ({"user": 7}, "7"),
        ({"user": "root\nUSER x"}, "control character"),
        ({"working_dir": "/a\0b"}, "control character"),
        ({"labels": {"a\nb": "c"}}, "control character"),
        ({"environment": {"A\nB": "c"}}, "environment variable"),
        ({"environment": {"A": "c\0"}}, "environment variable"),
    ],
)
def test_wrong_settings_are_named(data: dict[str, object], culprit: str) -> None:
    with pytest.raises(ValueError, match=culprit):
        ImageConfig.from_dict(data)


@pytest.mark.parametrize(
    "data",
    [{"Env": 5}, {"Cmd": 1.5}, {"Entrypoint": {}}, {"ExposedPorts": ["80"]}, {"Volumes": 1}, {"Labels": ["a"]}, []],
)
def test_what_no_image_may_say_is_a_value_error(data: Any) -> None:
    with pytest.raises(ValueError, match="list"):
        ImageConfig.from_oci({"rootfs": {}, "config": data or 5})


@given(st.dictionaries(st.text("ABC_", min_size=1), st.text("xyz=", max_size=5)), st.randoms())
def test_the_order_of_writing_changes_nothing(variables: dict[str, str], random: object) -> None:
    items = list(variables.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    first = ImageConfig.from_dict({"environment": variables, "labels": variables})
    second = ImageConfig.from_dict({"environment": dict(items), "labels": dict(items)})
    assert canonical(first.to_oci()) == canonical(second.to_oci())
    assert ImageConfig.from_oci(first.to_oci()).environment == variables


def test_ports() -> None:
    assert [parse_port(port) for port in (80, "80", "080", "53/udp")] == ["80/tcp", "80/tcp", "80/tcp", "53/udp"]
    for port in ("9" * 5000, "\xb2", "0", "65536", "80/x"):
        with pytest.raises(ValueError, match="not a port"):
            parse_port(port)


def test_contract_labels() -> None:
    labels = contract_labels(
        routes={"scoring": "5001/score", "liveness": "5001/"},
        ports=("8081/tcp", "5001/tcp"),
        model="sha256:1",
        locks={"env": "sha256:2"},
    )
    assert json.loads(labels["buildrules.routes"]) == {"liveness": "5001/", "scoring": "5001/score"}
    assert labels["buildrules.ports"] == "5001/tcp,8081/tcp"
    assert labels["buildrules.model"] == "sha256:1"
    assert json.loads(labels["buildrules.locks"]) == {"env": "sha256:2"}
    assert contract_labels() == {}
