"""The parameters of each kind: all are hashed, and a new one is a decision."""

from typing import Any

import pytest

from buildrules.actions import params
from buildrules.actions.params import FilesParams, read
from buildrules.actions.registry import Kinds, built_in
from buildrules.engine.key import walk
from buildrules.engine.kind import Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError
from buildrules.net.session import Session

HASHED = {
    "FetchParams": {"content", "check"},
    "FilesParams": {"prefix"},
    "InlineParams": {"parts"},
    "ModelParams": {"prefix"},
    "FetchedModelParams": {"prefix", "files"},
    "StartParams": {"code", "downloads"},
    "WheelParams": {"wheels", "prefix", "python"},
    "BytecodeParams": {"folder", "interpreter", "script", "parts"},
    "CondaParams": {"packages", "prefix"},
    "InstalledParams": {"target", "exclude", "prefer"},
    "BuildWheelParams": {"name", "version", "target", "builder", "sdist", "constraints", "variables"},
    "DebianParams": {"packages", "arch"},
    "InterpreterParams": {"sha256", "python", "prefix", "drop"},
    "BaseParams": {"digest", "platform", "python"},
    "ScriptParams": {"functions", "server", "python"},
    "ImageParams": {"platform", "config", "labels", "routes", "model", "locks", "created", "launcher"},
    "PackageTestParams": {
        *("platform", "network", "environment", "ports", "requests", "ready", "port"),
        *("ready_timeout", "stop_timeout", "exit_codes", "job", "gpus"),
    },
    "LintCodeParams": {"made", "unseen", "ignore", "entry", "python", "models", "roots", "code"},
    "LintPackageParams": {
        *("unseen", "no_gpu"),
        *("ignore", "packages", "variables", "server", "requirements", "written", "tests", "models", "cuda", "code"),
    },
}
"""Whoever adds a field says here that it enters keys, and so names content and no place: `places` are for these."""

FORMS = {name: form for name, form in vars(params).items() if name.endswith("Params")}


def test_every_field_is_declared() -> None:
    assert {name: set(form._fields) for name, form in FORMS.items()} == HASHED


@pytest.mark.parametrize("name", sorted(FORMS))
def test_every_field_is_hashed(name: str) -> None:
    values = {field: number for number, field in enumerate(FORMS[name]._fields)}
    keys = {walk(Step("k", 1, "t", values)).key()}
    keys |= {walk(Step("k", 1, "t", {**values, field: "other"})).key() for field in values}
    assert len(keys) == len(values) + 1


def test_what_a_rule_gives_by_mistake_is_an_error_that_names_the_fields() -> None:
    assert read(FilesParams, {"prefix": "a"}).prefix == "a"
    with pytest.raises(ActionError, match="are prefix, not prefix, source"):
        read(FilesParams, {"prefix": "a", "source": "b"})


@pytest.mark.parametrize(
    ("form", "values", "wrong"),
    [
        (FilesParams, {"prefix": 5}, "prefix"),
        (params.WheelParams, {"wheels": [["a.whl"]], "prefix": "p", "python": "3.11"}, "wheels"),
        (params.InlineParams, {"parts": [5]}, "parts"),
        (params.FetchedModelParams, {"prefix": "p", "files": {"path": "x"}}, "files"),
        (params.BaseParams, {"digest": "d", "platform": "p", "python": 3.11}, "python"),
        (params.ImageParams, {"platform": "p", "created": True}, "created"),
        (params.ImageParams, {"platform": "p", "labels": {"a": 1}}, "labels"),
    ],
)
def test_values_that_a_kind_cannot_have_are_refused_by_name(form: Any, values: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ActionError, match=f"the parameter '{wrong}' of a step cannot be"):
        read(form, values)


def test_every_kind_says_what_it_needs() -> None:
    kinds = Kinds(Session())
    traits = {name: kinds.named(name).traits for name in built_in()}
    assert all(isinstance(found, Traits) for found in traits.values())
    assert {name for name, found in traits.items() if not found.shareable} == {"build_wheel"}
    assert {name for name, found in traits.items() if found.network} == {"fetch", "oci_base", "build_wheel"}
    assert {name for name, found in traits.items() if found.containers} == {"package_test"}
