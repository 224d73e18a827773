"""Files that rules write: texts, JSON, one for each model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildrules.rules.catalogue import Catalogue
from buildrules.workspace.disk import CONTENT, Disk
from buildrules.workspace.labels import Label

PACKAGE = "  p: {rule: model_package, model: ':m', base_env: ':env', server: ':s', code: ':c'}\n"
RULE = r"""
rule: own
provides: server
attributes:
  threads: {type: integer, default: 3}
  debug: {type: boolean, default: false}
  extra: {type: map}
  options: {type: string_list, default: [a, b]}
  note: {type: string}
requires: {code: optional, model: optional}
layout: {model: "/srv/{model.name}/{model.version}", code: /srv/code}
files:
  /etc/own/settings.json:
    json: {threads: "{threads}", debug: "{debug}", extra: "{extra}", "{model.name}": [1, "{options}", "x-{threads}"]}
  /etc/own/server.conf: |
    threads = {threads}
    block {{ model = "{model.name}" }}
  /etc/own/note.txt: "{note}"
  /etc/own/models.conf:
    before: "models {{\n"
    each_model: "  {model.name} at {layout.model_path}\n"
    after: "}}\n"
model_files:
  "{layout.model}/model-settings.json": {json: {name: "{model.name}", uri: "{layout.model_path}"}}
"""


def files(loaded: Any) -> dict[str, str]:
    assert loaded.lines() == []
    found: dict[str, str] = loaded.packages[Label("", "p")].server_part.files
    return found


def test_files(load: Callable[..., Any]) -> None:
    found = files(load("  s: {rule: //rules:own, extra: {k: [1, null]}}\n" + PACKAGE, {"rules/own.yaml": RULE}))
    assert set(found) == {
        "/etc/own/settings.json",
        "/etc/own/server.conf",
        "/etc/own/models.conf",
        "/srv/m/1/model-settings.json",
    }
    assert json.loads(found["/etc/own/settings.json"]) == {
        "threads": 3,
        "debug": False,
        "extra": {"k": [1, None]},
        "m": [1, "a", "b", "x-3"],
    }
    assert found["/etc/own/server.conf"] == 'threads = 3\nblock { model = "m" }\n'
    assert found["/etc/own/models.conf"] == "models {\n  m at /srv/m/1/model\n}\n"
    assert json.loads(found["/srv/m/1/model-settings.json"]) == {"name": "m", "uri": "/srv/m/1/model"}


def test_what_has_no_value_is_left_out(load: Callable[..., Any]) -> None:
    package = PACKAGE.replace("model: ':m', ", "")
    found = files(load("  s: {rule: //rules:own, note: hello}\n" + package, {"rules/own.yaml": RULE}))
    assert json.loads(found["/etc/own/settings.json"]) == {"threads": 3, "debug": False}
    assert found["/etc/own/note.txt"] == "hello"
    assert found["/etc/own/models.conf"] == "models {\n}\n"
    assert "/etc/own/server.conf" not in found
    assert not [path for path in found if path.startswith("/srv")]


def test_a_path_from_an_attribute_is_checked(load: Callable[..., Any]) -> None:
    rule = RULE + '  "/srv/{note}": x\n'
    loaded = load("  s: {rule: //rules:own, note: ../etc/passwd}\n" + PACKAGE, {"rules/own.yaml": rule})
    (line,) = loaded.lines()
    assert "rule 'own' cannot write a file: '/srv/../etc/passwd' is not a plain path in the image" in line
    assert line.startswith("BUILD.yaml:8:")


def test_a_file_beside_the_rule_is_no_template(load: Callable[..., Any]) -> None:
    more = "rule: more\nextends: //rules:own\nprovides: server\nfiles: {/b.py: {source: b.py}}\n"
    own = RULE.replace("files:\n", "files:\n  /a.py: {source: a.py}\n", 1)
    rules = {"rules/own.yaml": own, "rules/a.py": "{x: '{y}'}\n", "rules/more.yaml": more, "rules/b.py": "b\n"}
    loaded = load("  s: {rule: //rules:more}\n" + PACKAGE, rules)
    found = files(loaded)
    assert (found["/a.py"], found["/b.py"]) == ("{x: '{y}'}\n", "b\n")
    assert {"rules/a.py", "rules/b.py"} <= set(loaded.disk.seen(CONTENT))


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("files: {'/a': '{x}'}", "3:15", "unknown name '{x}'"),
        ("files: {'/{x}': a}", "3:9", "unknown name '{x}'"),
        ("files: {'/a': {json: {k: [1, '{x}']}}}", "3:30", "unknown name '{x}'"),
        ("files: {'/a': {json: {'{x}': 1}}}", "3:23", "unknown name '{x}'"),
        ("model_files: {'/a': {json: 3}}", "3:28", "'json' is a map or a list, not '3'"),
        ("files: {'/a': {text: a, json: {}}}", "3:15", "a file is one of a text, `json`, `each_model` and `source`"),
        ("files: {'/a': {source: ../a}}", "3:24", "'../a' is not the name of a file beside the rule's own"),
        ("files: {'/a': {source: a.py}}", "3:24", "there is no text 'a.py' beside the rule's file"),
        ("files: {'/a': {text: a, after: b}}", "3:15", "'before' and 'after' belong to 'each_model'"),
        ("files: {'/a': 1}", "3:15", "'/a': expected a map, not '1'"),
        (
            "attributes: {l: {type: string_list}}\nfiles: {'/a': '{l}'}",
            "4:15",
            "'{l}' is a string_list, which cannot stand in a text",
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, place: str, message: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(f"rule: r\nprovides: server\n{text}\n")
    catalogue = Catalogue(Disk(str(tmp_path)))
    assert catalogue.find("//rules:r") is None
    (error,) = catalogue.problems.errors
    assert error.message == message
    assert str(error.position) == f"rules/r.yaml:{place}"
