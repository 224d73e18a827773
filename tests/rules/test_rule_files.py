"""Rule files: what is checked when a rule is read, and what the built-in ones promise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from buildrules.rules import template
from buildrules.rules.catalogue import Catalogue, builtin_directory
from buildrules.rules.describe import example, list_rules, reference
from buildrules.rules.schema import build_schema, rule_schema
from buildrules.rules.source_root import common_directory, source_root
from buildrules.workspace.disk import Disk

HEAD = "rule: r\nprovides: server\n"


def problems(root: Path, text: str, name: str = "r") -> list[tuple[str, str | None]]:
    (root / "rules").mkdir(exist_ok=True)
    (root / "rules" / f"{name}.yaml").write_text(text)
    catalogue = Catalogue(Disk(str(root)))
    found = catalogue.find(f"//rules:{name}")
    errors = catalogue.problems.errors
    assert (found is None) == bool(errors)
    assert all(str(error.position).startswith("rules/") for error in errors)
    return [(error.message, error.hint) for error in errors]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (HEAD + "layout: {model: '/m/{model.nam}'}", "unknown name '{model.nam}'", "did you mean 'model.name'?"),
        (HEAD + "layout: {model: '/m/{layout.code}'}", "unknown name '{layout.code}'", None),
        (
            HEAD + "attributes: {workers: {type: integer}}\nimage: {environment: {N: '{worker}'}}",
            "unknown name '{worker}'",
            "did you mean 'workers'?",
        ),
        (HEAD + "image: {cmd: ['{a b}']}", "'{a b}' in '{a b}' is not a name in braces", "write {{ and }} for braces"),
        (HEAD + "image: {cmd: ['{']}", "a single '{' in '{'", "write {{ and }} for braces"),
        (HEAD + "routes: {scoring: '80/{x}'}", "unknown name '{x}'", None),
        (
            HEAD + "attributes: {l: {type: string_list}}\nimage: {cmd: ['a{l}']}",
            "'{l}' is a string_list and must stand alone",
            None,
        ),
        (HEAD + "image: {entrypoint: run}", "expected a list, or {name} of an attribute that is one, not 'run'", None),
        (
            HEAD + "attributes: {s: {type: string}}\nimage: {environment: '{s}'}",
            "expected a map, or {name} of an attribute that is one, not '{s}'",
            None,
        ),
        (HEAD + "attributes: {n: {type: integer, default: a}}", "expected a whole number, not 'a'", None),
        (
            HEAD + "attributes: {n: {type: string, default: b, choices: [a]}}",
            "'b' is not one of the choices",
            "choices: a",
        ),
        (
            HEAD + "attributes: {n: {type: string, default: '{model.name}'}}",
            "unknown name '{model.name}'",
            "names that exist here: target.name, target.package",
        ),
        (HEAD + "attributes: {n: {type: text}}", "'type': 'text' is not one of the choices", None),
        (HEAD + "attributes: {n: {}}", "'type' is missing in attributes.n", None),
        (
            HEAD + "attributes: {visibility: {type: string}}",
            "every target has 'visibility' already; a rule cannot define it",
            None,
        ),
        (HEAD + "attribute: {}", "unknown key 'attribute'", "did you mean 'attributes'?"),
        (HEAD + "image: {entry_point: []}", "unknown key 'entry_point'", "did you mean 'entrypoint'?"),
        (
            HEAD + "requires: {code: unless mlflow}",
            "'unless mlflow' is not one of always, optional, never, unless model is FLAVOUR",
            None,
        ),
        (HEAD + "exactly_one: [[a]]", "'a' is not an attribute of rule 'r'", None),
        ("rule: r\n", "'provides' is missing in rule", None),
        ("rule: q\nprovides: server\n", "the rule in 'rules/r.yaml' must have the name 'r', not 'q'", None),
        (
            "rule: r\nprovides: env\n",
            "rule 'r' provides 'env' and makes nothing",
            "extend a built-in rule (`extends: python_env`), or contribute `layers`",
        ),
        ("rule: r\nextends: //rules:r\n", "rules extend each other: //rules:r -> //rules:r", None),
        ("rule: r\nextends: fastapy\n", "unknown rule 'fastapy'", "did you mean 'fastapi'?"),
        ("[]", "rule must be a map, not a list", None),
    ],
)
def test_what_is_wrong_with_a_rule(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    found = problems(tmp_path, text)
    assert [said for said, _ in found] == [message]
    if hint is not None:
        assert found[0][1] == hint


def test_a_rule_may_use_every_name_there_is(tmp_path: Path) -> None:
    names = "{model.name}{model.version}{model.flavour}{model.basename}{code.name}{code.entry_script}{package.name}"
    names += "{package.package}{target.name}{target.package}{venv}{layout.model}{layout.model_path}{layout.code}"
    assert problems(tmp_path, HEAD + f"image: {{environment: {{A: '{names}'}}}}") == []


def test_an_unknown_rule_by_label_says_where_it_would_be(tmp_path: Path) -> None:
    catalogue = Catalogue(Disk(str(tmp_path)))
    assert catalogue.find("//tools/rules:x") is None
    assert [(e.message, e.hint) for e in catalogue.problems.errors] == [
        ("there is no rule '//tools/rules:x'", "a rule of this name would be in tools/rules/x.yaml")
    ]


def test_a_workspace_rule_by_its_bare_name(tmp_path: Path) -> None:
    problems(tmp_path, HEAD)
    catalogue = Catalogue(Disk(str(tmp_path)))
    assert catalogue.find("r") is None
    assert catalogue.problems.errors[0].hint == "a rule of the workspace is named by label: //rules:r"


def test_the_built_in_rules_are_sound() -> None:
    catalogue = Catalogue()
    rules = catalogue.all()
    assert catalogue.problems.errors == []
    assert {rule.provides for rule in rules} >= {"base", "env", "server", "model", "input", "code", "package"}
    for rule in rules:
        assert rule.file.summary.endswith(".")
        assert all(attribute.doc.endswith((".", "...")) for attribute in rule.attributes.values()), rule.name


def test_schemas(load: Callable[..., Any], tmp_path: Path) -> None:
    problems(tmp_path, HEAD + "attributes: {port: {type: integer}}\n")
    schema = build_schema(Catalogue(Disk(str(tmp_path))))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    rules = jsonschema.Draft202012Validator(rule_schema())
    for path in Path(builtin_directory()).glob("*.yaml"):
        if path.name != "BUILD.yaml":
            rules.validate(yaml.safe_load(path.read_text()))
    for rule in list_rules(Catalogue(Disk(str(tmp_path)))):
        validator.validate(yaml.safe_load(example(rule)))

    def accepts(text: str) -> bool:
        return bool(validator.is_valid(yaml.safe_load(text)))

    assert accepts("workspace: {name: x, platforms: [linux/amd64]}\ntargets: {}")
    assert accepts("targets: {s: {rule: '//rules:r', port: 1}}")
    assert accepts("targets: {s: {rule: '//elsewhere:r', anything: 1}}")
    assert not accepts("targets: {s: {rule: '//rules:r', prt: 1}}")
    assert not accepts("targets: {m: {rule: model}}")
    assert not accepts("targets: {m: {rule: model, path: a, srcs: [b]}}")
    assert not accepts("targets: {m: {rule: modle, path: a}}")
    assert not accepts("targets: {m: {path: a}}")
    assert not accepts("targets: {all: {rule: model, path: a}}")
    assert not accepts("workspace: {nam: x}")
    assert not accepts("target: {}")
    json.dumps(schema)


def test_every_example_of_the_reference_loads(load: Callable[..., Any]) -> None:
    targets = ""
    for index, rule in enumerate(list_rules(Catalogue())):
        targets += "".join(f"{line}\n" for line in example(rule).replace("my_", f"my{index}_").splitlines()[1:])
    errors = load(targets).errors
    wrong = [
        error.message for error in errors if "does not exist" not in error.message and "needs" not in error.message
    ]
    assert wrong == []


def test_the_reference_page_names_everything() -> None:
    page = reference(Catalogue())
    for rule in Catalogue().all():
        assert f"\n## {rule.name}\n" in page
        for name in rule.attributes:
            assert f"| `{name}` |" in page


@given(st.text(st.characters(exclude_characters="{}")), st.text(st.characters(exclude_characters="{}")))
def test_text_without_braces_is_itself(before: str, after: str) -> None:
    assert template.substitute(before, {}) == before
    assert template.substitute(before + "{a.b}" + after, {"a.b": "x"}) == f"{before}x{after}"


@given(st.text())
def test_doubled_braces_are_braces(text: str) -> None:
    assert template.substitute(text.replace("{", "{{").replace("}", "}}"), {}) == text


@pytest.mark.parametrize("value", [3, True, 1.5, ["a"], {"a": "b"}, ""])
def test_a_template_alone_keeps_the_type(value: Any) -> None:
    assert template.substitute("{x}", {"x": value}) == value
    assert type(template.substitute("{x}", {"x": value})) is type(value)


def test_missing_values() -> None:
    with pytest.raises(template.MissingValueError):
        template.substitute_list(["a", "{x}"], {"x": None})
    assert template.substitute_map({"A": "a{x}", "B": "b"}, {"x": None}) == {"B": "b"}
    assert template.substitute_list("{x}", {"x": None}) == []


def test_values_are_not_templates_again() -> None:
    assert template.substitute("{x}{x}", {"x": "{y}", "y": "no"}) == "{y}{y}"


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["regressor/src/**"], "regressor/src"),
        (["score.py", "lib/**"], ""),
        (["a/b/x.py", "a/b/c/**"], "a/b"),
        (["a/b/x.py", "a/c/y.py"], "a"),
        (["a/*/x.py"], "a"),
        (["ab/x", "a/x"], ""),
        ([], ""),
    ],
)
def test_common_directory(patterns: list[str], expected: str) -> None:
    assert common_directory(patterns) == expected


def test_source_root() -> None:
    assert source_root("models", ["r/src/**"], ["**/*.md", "r/src/test/**", "other/**", "r/*/x.py", "r"]) == (
        "models/r/src",
        ["**"],
        ["**/*.md", "test/**", "x.py", "**"],
    )
    assert source_root("", ["a/b/**"], (), "a") == ("a", ["b/**"], [])
    assert source_root("p", ["a/b/**"], (), "p/a") == ("p/a", ["b/**"], [])
    assert source_root("p", ["a/b/**"], (), "p") == ("p", ["a/b/**"], [])
