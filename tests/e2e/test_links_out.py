"""A link out of the workspace is refused wherever a file is named, and nothing of what it leads to is shown."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.space import APP, Space

SECRET = "root:canary-of-a-file-elsewhere:19000"
RULE = "attributes: {}\nprovides: env\n"
NAMED = {
    "requirements": ("acme/requirements.txt", "{rule: python_env, base: //:base, requirements_file: requirements.txt}"),
    "nested requirements": ("acme/more.txt", "{rule: python_env, base: //:base, requirements_file: requirements.txt}"),
    "conda": ("acme/conda.yaml", "{rule: python_env, base: //:base, conda_file: conda.yaml}"),
    "pyproject": ("acme/pyproject.toml", "{rule: python_env, base: //:base, pyproject: .}"),
}


@pytest.fixture
def space(tmp_path: Path, wheelhouse: Path, template: Path) -> Space:
    (tmp_path / "outside").mkdir()
    return Space(tmp_path / "space", wheelhouse).populate()


def link(space: Space, path: str, content: str) -> Path:
    """A link in the workspace to a file elsewhere with this content."""
    target = space.folder.parent / "outside" / Path(path).name
    target.write_text(content)
    place = space.path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    return target


def refused(space: Space, *command: str, **more: Any) -> None:
    told = space.process(*command, code=None, **more)
    assert told.code in (1, 2)
    told.said("workspace")
    assert "link" in told.err or "leaves the workspace" in told.err, told.err
    assert "canary" not in told.out + told.err


@pytest.mark.parametrize("name", NAMED)
def test_d8_files_of_requirements(space: Space, name: str) -> None:
    path, target = NAMED[name]
    space.write("acme/BUILD.yaml", f"targets:\n  env: {target}\n")
    space.write("acme/requirements.txt", "-r more.txt\n")
    link(space, path, SECRET + "\n")
    refused(space, "lock", "//acme:env")


def test_d8_a_build_file(space: Space) -> None:
    link(space, "other/BUILD.yaml", f"targets: {{{SECRET}}}\n")
    refused(space, "build", "//...")


def test_d8_the_build_file_of_the_root(space: Space) -> None:
    link(space, "BUILD.yaml", space.path("BUILD.yaml").read_text() + f"\n# {SECRET}\n")
    refused(space, "build", APP)


def test_d8_a_rule_file(space: Space) -> None:
    link(space, "rules/mine.yaml", f"rule: mine\n{SECRET}\n")
    space.write("acme/BUILD.yaml", "targets:\n  env: {rule: //rules:mine}\n")
    refused(space, "build", "//acme:env")


def test_d8_a_lock(space: Space) -> None:
    space.process("lock")
    for lock in space.root.glob("*.toml"):
        link(space, lock.name, lock.read_text() + f"\n# {SECRET}\n")
        break
    else:
        raise AssertionError("there is no lock")
    refused(space, "build", APP, "--locked")
    refused(space, "lock")


@pytest.mark.parametrize(
    "setting", ["debian: {keyring: keys.pem}", "tls: {certificates: keys.pem}"], ids=["keyring", "certificates"]
)
def test_d8_files_of_settings(space: Space, setting: str) -> None:
    link(space, "keys.pem", SECRET)
    space.edit("BUILD.yaml", "  platforms", f"  {setting}\n  platforms")
    refused(space, "build", APP)


@pytest.mark.parametrize("path", ["", "index.json", "blobs", "blobs/sha256"])
def test_d8_an_image_layout(space: Space, path: str) -> None:
    place = space.path("base") / path
    target = place.rename(space.folder.parent / "outside" / "moved")
    place.symlink_to(target)
    refused(space, "lock")


@pytest.mark.parametrize("path", ["tools.py", "tools/__init__.py", "tools/stamp.py"])
def test_d8_a_plugin(space: Space, path: str) -> None:
    link(space, path, SECRET)
    space.edit("BUILD.yaml", "  platforms", "  plugins: [tools.stamp]\n  platforms")
    refused(space, "build", APP)


@pytest.mark.parametrize("name", ["uv.toml", "pyproject.toml"])
def test_d8_settings_of_uv(space: Space, name: str) -> None:
    """uv quotes the lines that it cannot read."""
    link(space, name, f"[tool.uv\n{SECRET}")
    del space.env["UV_CONFIG_FILE"]
    refused(space, "lock")
    refused(space, "build", APP)


def test_d8_a_folder_that_init_looks_into(space: Space) -> None:
    """What lies elsewhere in the workspace is read, what a link out of it leads to is not."""
    space.write("model/model.onnx", "weights")
    link(space, "model/conda.yaml", "dependencies: [python=3.7.canary]\n")
    told = space.process("init", "model")
    assert "canary" not in told.out + told.err
    space.write("shared/score.py", "def init():\n    pass\n\n\ndef run(data):\n    return data\n")
    space.path("other").mkdir()
    space.write("other/model.onnx", "weights")
    space.path("other/score.py").symlink_to("../shared/score.py")
    space.process("init", "other").said("scoring script: score.py")


def test_d8_a_local_project(space: Space) -> None:
    space.write("libs/one/pyproject.toml", '[project]\nname = "one"\nversion = "1"\n')
    link(space, "libs/one/README.md", SECRET)
    space.write("acme/BUILD.yaml", "targets:\n  env: {rule: python_env, base: //:base, requirements: [../libs/one]}\n")
    refused(space, "lock", "//acme:env")


def test_d8_roots_that_the_user_names_are_followed(space: Space) -> None:
    """As a sandbox lays out a workspace: every file is a link to another place."""
    for path in [path for path in space.root.rglob("*") if path.is_file()]:
        target = space.folder.parent / "outside" / path.relative_to(space.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        path.symlink_to(target)
    refused(space, "build", APP)
    named = {"BUILDRULES_LINK_ROOTS": f"/nowhere:{space.folder.parent / 'outside'}"}
    space.process("build", APP, env=named)
    refused(space, "build", APP, "--verbose", "--platform", "linux/arm64")
