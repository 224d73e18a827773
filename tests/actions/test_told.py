"""Every parameter of a kind that is a list of rows is told row by row; what the table names is there."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from buildrules.actions import params
from buildrules.actions.params import TOLD
from buildrules.actions.registry import built_in
from buildrules.engine.action import Action
from buildrules.engine.changes import Names, differences
from buildrules.engine.key import walk
from buildrules.engine.step import Step

FORMS: dict[str, tuple[type[Any], ...]] = {
    "fetch": (params.FetchParams,),
    "files_layer": (params.FilesParams,),
    "inline_layer": (params.InlineParams,),
    "model_layers": (params.ModelParams,),
    "fetched_model": (params.FetchedModelParams,),
    "start_layers": (params.StartParams,),
    "wheel_layer": (params.WheelParams,),
    "conda_layer": (params.CondaParams,),
    "installed": (params.InstalledParams,),
    "bytecode_layer": (params.BytecodeParams,),
    "build_wheel": (params.BuildWheelParams,),
    "debian_layers": (params.DebianParams,),
    "oci_base": (params.BaseParams,),
    "python_layer": (params.InterpreterParams,),
    "entry_script": (params.ScriptParams,),
    "image": (params.ImageParams,),
    "package_test": (params.PackageTestParams,),
    "lint": (params.LintCodeParams, params.LintPackageParams),
    "group": (),
    "index": (),
}


def _is_rows(annotation: Any) -> bool:
    """Whether a field is a list of objects or of lists, be it optional."""
    for one in getattr(annotation, "__args__", ()) if not hasattr(annotation, "__origin__") else (annotation,):
        inner = getattr(one, "__args__", (None,))[0]
        if getattr(one, "__origin__", None) is Sequence and getattr(inner, "__origin__", None) in (Mapping, tuple):
            return True
    return False


def test_every_kind_has_its_forms_here() -> None:
    assert set(FORMS) == set(built_in())


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_e_lists_of_rows_are_told_by_their_rows(kind: str) -> None:
    fields = {name: annotation for form in FORMS[kind] for name, annotation in form.__annotations__.items()}
    told = TOLD.get(kind, {})
    assert set(told) <= set(fields)
    rows = {name for name, annotation in fields.items() if _is_rows(annotation)}
    assert {name for name, how in told.items() if how.fields} == rows
    assert all(told[name].words for name in rows), "a row that has no version is called by what it is"
    for name in rows:
        inner = next(
            one for one in (fields[name], *getattr(fields[name], "__args__", ())) if getattr(one, "__origin__", 0)
        ).__args__[0]
        if inner.__origin__ is tuple:
            assert len(told[name].fields) == len(inner.__args__)


@pytest.mark.parametrize(
    ("kind", "before", "after", "line"),
    [
        ("wheel_layer", {"python": "3.11"}, {"python": "3.12"}, "Python changed: 3.11 -> 3.12"),
        ("files_layer", {"prefix": "srv/a"}, {"prefix": "srv/b"}, "folder in the image changed: srv/a -> srv/b"),
        ("build_wheel", {"target": {"glibc": "2.36"}}, {"target": {"glibc": "2.41"}}, "glibc changed: 2.36 -> 2.41"),
        (
            "debian_layers",
            {"packages": [["tzdata", "1.0", "a"]]},
            {"packages": [["tzdata", "1.1", "b"]]},
            "tzdata 1.0 -> 1.1",
        ),
        ("image", {"created": 0}, {"created": 5}, "SOURCE_DATE_EPOCH changed: 0 -> 5"),
        ("image", {"labels": {"team": "a"}}, {"labels": {"team": "b"}}, "label team changed: a -> b"),
        ("package_test", {"requests": None}, {"requests": [{"name": "a", "json": {}}]}, "request a is new"),
        (
            "fetched_model",
            {"files": [{"path": "w", "size": 1}]},
            {"files": [{"path": "w", "size": 2}]},
            "file w changed: size 1 -> 2",
        ),
    ],
)
def test_e_parameters_of_the_kinds_in_words(
    kind: str, before: dict[str, Any], after: dict[str, Any], line: str
) -> None:
    action = Action("a", "//:a", kind, "a")
    sees = [walk(Step(kind, 1, "a", values)).sees for values in (before, after)]
    assert differences(action, *sees, Names(TOLD[kind], ())) == [line]
