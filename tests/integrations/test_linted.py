"""What goes into pipelines is sound by its platform's schema, by actionlint, and its scripts by shellcheck."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.github_runner import ROOT
from tests.support.gitlab_runner import component

BIN = Path(sys.executable).parent
GITHUB = ROOT / "integrations/github"
PAGE = ROOT / "docs/how-to/ci-elsewhere.md"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def checked(*words: str | Path, told: str | None = None) -> None:
    done = subprocess.run([BIN / words[0], *words[1:]], check=False, capture_output=True, text=True, input=told)
    assert done.returncode == 0, done.stdout + done.stderr


def snippet(name: str) -> str:
    """The YAML of the page whose first line has this name."""
    (text,) = (text for _, text in _FENCE.findall(PAGE.read_text()) if text.startswith(f"# {name}\n"))
    return text


def scripts() -> Iterator[tuple[str, str]]:
    """Each script of bash with its place."""

    def of(place: str, value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, one in value.items():
                if key in ("run", "bash") and isinstance(one, str):
                    yield place, re.sub(r"\$\{\{.*?\}\}", "x", one)
                else:
                    yield from of(f"{place}.{key}", one)
        elif isinstance(value, list):
            for number, one in enumerate(value):
                yield from of(f"{place}.{number}", one)

    for path in sorted(GITHUB.rglob("*.yml")):
        yield from of(path.parent.name if path.stem == "action" else path.stem, yaml.safe_load(path.read_text()))
    setup: list[str] = []
    for name, job in component({"package": ""}).items():
        setup = setup or job["before_script"]
        yield name, "\n".join((*setup, *job.get("script", ())))
    yield from of("azure", yaml.safe_load(snippet("azure-pipelines.yml")))
    for number, (language, text) in enumerate(_FENCE.findall(PAGE.read_text())):
        if language == "bash":
            yield f"page.{number}", text


def test_the_workflow_and_the_actions_are_sound() -> None:
    checked("actionlint", "-shellcheck", str(BIN / "shellcheck"), GITHUB / "packages.yml")
    checked("check-jsonschema", "--builtin-schema", "vendor.github-workflows", GITHUB / "packages.yml")
    checked("check-jsonschema", "--builtin-schema", "vendor.github-actions", *GITHUB.glob("*/action.yml"))


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ("gitlab-ci", json.dumps(component({"package": ""}))),
        ("gitlab-ci", json.dumps(component({"shards": "9", "stage": "check", "package": "buildrules[s3]"}))),
        ("azure-pipelines", snippet("azure-pipelines.yml")),
        ("buildkite", snippet(".buildkite/pipeline.yml")),
    ],
)
def test_other_pipelines_are_sound(schema: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yml").write_text(text)
    options = {  # Azure's schema has patterns that are none by the standard
        "gitlab-ci": ["--data-transform=gitlab-ci"],
        "azure-pipelines": ["--data-transform=azure-pipelines", "--regex-variant=nonunicode"],
    }.get(schema, [])
    checked("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *options, tmp_path / "pipeline.yml")


@pytest.mark.parametrize("script", [pytest.param(text, id=place) for place, text in scripts()])
def test_scripts_are_sound(script: str) -> None:
    # variables come from outside, and backquotes in single quotes are Markdown
    checked(
        "shellcheck",
        "--shell=bash",
        "--severity=style",
        "--exclude=SC2016,SC2153",
        "-",
        told=f"set -eo pipefail\n{script}",
    )


@pytest.mark.parametrize("path", sorted(GITHUB.rglob("*.yml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_script_holds_what_others_write(path: Path) -> None:
    """Expressions come to scripts as variables: what stands in a script would be read as commands."""
    assert not re.search(r"run: (?:(?!\n\s*- ).)*\$\{\{", path.read_text(), re.S)
