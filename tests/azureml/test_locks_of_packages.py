"""C2: files that are built each by itself, and name things alike, have a lock each."""

import json
from pathlib import Path

import pytest

from tests.support.space import Space, make_base

OPTIONS = ("--base", "layout:base", "--python", "3.11")
SCORE = "def init():\n    pass\n\n\ndef run(data):\n    return data\n"
DEPLOYMENT = (
    "name: {name}\nendpoint_name: e\nmodel: {{path: model}}\n"
    "code_configuration: {{code: src, scoring_script: score.py}}\nenvironment: {environment}\n"
)


def conda(version: str) -> str:
    return f"{{name: model-env, dependencies: [numlib={version}]}}"


CASES = {
    "a folder each": (
        {"one.yml": ("one", "{conda_file: a/conda.yaml}"), "two.yml": ("two", "{conda_file: b/conda.yaml}")},
        {"a/conda.yaml": conda("1.0"), "b/conda.yaml": conda("2.0")},
    ),
    "one folder": (
        {"one.yml": ("one", "{conda_file: a/conda.yml}"), "two.yml": ("two", "{conda_file: a/other.yml}")},
        {"a/conda.yml": conda("1.0"), "a/other.yml": conda("2.0")},
    ),
    "written in place": (
        {"one.yml": ("one", f"{{conda_file: {conda('1.0')}}}"), "two.yml": ("two", f"{{conda_file: {conda('2.0')}}}")},
        {},
    ),
    "one of each": (
        {"one.yml": ("one", f"{{conda_file: {conda('1.0')}}}"), "two.yml": ("two", "{conda_file: conda.yaml}")},
        {"conda.yaml": conda("2.0")},
    ),
    "environments in place of one name": (
        {
            "one.yml": ("one", "{name: e, conda_file: a.yaml}"),
            "two.yml": ("two", "{name: e, conda_file: b.yaml}"),
        },
        {"a.yaml": conda("1.0"), "b.yaml": conda("2.0")},
    ),
    "assets of one name by path": (
        {"one.yml": ("one", "file:a/env.yml"), "two.yml": ("two", "file:b/env.yml")},
        {
            "a/env.yml": "name: e\nversion: 1\nconda_file: conda.yaml\n",
            "b/env.yml": "name: e\nversion: 1\nconda_file: conda.yaml\n",
            "a/conda.yaml": conda("1.0"),
            "b/conda.yaml": conda("2.0"),
        },
    ),
    "deployments of one name, conda files of none": (
        {
            "one.yml": ("blue", "{conda_file: {dependencies: [numlib=1.0]}}"),
            "two.yml": ("blue", "{conda_file: {dependencies: [numlib=2.0]}}"),
        },
        {},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_c2_a_lock_each(case: str, tmp_path: Path, wheelhouse: Path) -> None:
    space = Space(tmp_path, wheelhouse)
    make_base(space.root / "base")
    deployments, files = CASES[case]
    for path, text in {"src/score.py": SCORE, "model/m.txt": "1\n", **files}.items():
        space.write(path, text)
    for path, (name, environment) in deployments.items():
        space.write(path, DEPLOYMENT.format(name=name, environment=environment))
    command = ("build", "--package")
    digests = [_digest(space, *command, path, *OPTIONS) for path in deployments]
    assert digests == [_digest(space, *command, path, *OPTIONS, "--locked") for path in deployments]
    assert len(set(digests)) == 2
    texts = {path.read_text() for path in space.root.rglob("pylock.*.toml") if "+" not in path.name}
    assert len(texts) == 2


def _digest(space: Space, *args: str) -> str:
    (target,) = json.loads(space.run(*args, "--json").out)["targets"]
    return str(target["digest"])


def test_c2_what_says_the_same_shares_a_lock(tmp_path: Path, wheelhouse: Path) -> None:
    space = Space(tmp_path, wheelhouse)
    make_base(space.root / "base")
    for path, text in {"src/score.py": SCORE, "model/m.txt": "1\n", "conda.yaml": conda("1.0")}.items():
        space.write(path, text)
    for name in ("one", "two"):
        space.write(f"{name}.yml", DEPLOYMENT.format(name=name, environment="{conda_file: conda.yaml}"))
        space.run("build", "--package", f"{name}.yml", *OPTIONS)
    assert [path.name for path in space.root.glob("pylock.*.toml") if "+" not in path.name] == [
        "pylock.model-env-linux-amd64.toml"
    ]


def test_c2_models_of_one_name_from_elsewhere(tmp_path: Path, wheelhouse: Path) -> None:
    space = Space(tmp_path, wheelhouse)
    space.write("src/score.py", SCORE)
    for version in ("1", "2"):
        model = f"{{name: m, version: {version}, path: 'https://files.example/{version}.bin'}}"
        text = DEPLOYMENT.format(name=f"d{version}", environment="{conda_file: {dependencies: [numlib=1.0]}}")
        space.write(f"{version}.yml", text.replace("{path: model}", model))
    for version in ("1", "2"):
        space.run("import", "azureml", f"{version}.yml", "--dry-run").said(f"m-{version}: {{rule: model, uri: ")
