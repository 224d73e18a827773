"""Keys name content and no place: whatever is renamed or moved is not made again, and every bit that matters is."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildrules.store.store import Store
from tests.support.space import TINY, Space

ROOT = """\
workspace:
  name: {workspace}
  platforms: [linux/amd64]
targets:
  {base}: {{rule: oci_base, layout: {layout}}}
  {env}: {{rule: python_env, base: ":{base}", requirements: [numlib==1.0]}}
  twin: {{rule: python_env, base: ":{base}", requirements: [numlib>=1, numlib<2]}}
"""
PACKAGE = """\
targets:
  {model}: {{rule: model, path: weights}}
  {code}: {{rule: scoring_code, srcs: ["{src}/**"], strip_prefix: {src}, entry_script: score.py}}
  {server}: {{rule: //rules:tiny}}
  {app}:
    rule: model_package
    model: ":{model}"
    base_env: "//:{env}"
    server: ":{server}"
    code: ":{code}"
"""
NAMES = ("workspace", "base", "layout", "env", "package", "model", "code", "src", "server", "app")


def lay(space: Space, names: dict[str, str], template: Path) -> None:
    """The same content under these names."""
    shutil.rmtree(space.root, ignore_errors=True)
    shutil.copytree(template / "base", space.root / names["layout"])
    for old, new in (("src", names["src"]), ("weights", "weights")):  # a model's folder keeps its name
        shutil.copytree(template / old, space.root / names["package"] / new)
    space.write("rules/tiny.yaml", TINY)
    space.write("BUILD.yaml", ROOT.format(**names))
    space.write(f"{names['package']}/BUILD.yaml", PACKAGE.format(**names))


def executed(space: Space, names: dict[str, str]) -> tuple[int, str]:
    label = f"//{names['package']}:{names['app']}"
    report = space.build(label)
    return report.executed, str(report.targets[label]["digest"])


def records(space: Space) -> set[str]:
    """The keys of everything that was ever made."""
    store = Store(str(space.store))
    try:
        every = list(store.records.keys())
        found = {key for key in every if "kind" in (store.records.get(key) or {})}  # others are notes
        assert found
        return found
    finally:
        store.close()


@pytest.fixture
def first(workspace: Space) -> Iterator[tuple[Space, Path, str]]:
    """A space, the content, and the digest of the image made of it under the plainest names."""
    template = workspace.folder / "template"
    shutil.copytree(workspace.root, template)
    names = dict(zip(NAMES, NAMES, strict=True))
    lay(workspace, names, template)
    number, digest = executed(workspace, names)
    assert number
    yield workspace, template, digest


words = st.lists(
    st.from_regex(re.compile("[a-z][a-z0-9]{0,9}", re.ASCII), fullmatch=True).filter(
        lambda word: word not in ("twin", "rules", "weights", "all")
    ),
    min_size=len(NAMES),
    max_size=len(NAMES),
    unique=True,
)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=words, root=st.sampled_from(["ws", "elsewhere/deep/ws"]))
def test_the_same_content_under_other_names_is_not_made_again(
    first: tuple[Space, Path, str], words: list[str], root: str
) -> None:
    space, template, digest = first
    space.root = space.folder / root
    names = dict(zip(NAMES, words, strict=True))
    lay(space, names, template)
    before = records(space)
    assert executed(space, names) == (0, digest)
    assert records(space) == before, "lints are not counted, and have not run either"


def test_a_name_that_is_laid_into_the_image_is_content(first: tuple[Space, Path, str]) -> None:
    def layer(space: Space, name: str = "model") -> str:
        return str(space.build("//package:app").layer(f"model {name}: small files", "//package:app")["digest"])

    space, _, _ = first
    space.edit("rules/tiny.yaml", "model: /srv/model", "model: /srv/{model.name}")
    before = layer(space)
    space.edit("package/BUILD.yaml", "{rule: model,", "{rule: model, name: other,")
    assert layer(space, "other") != before
    space.edit("package/BUILD.yaml", "name: other,", "name: model,")
    assert layer(space) == before, "the default is the name of the target"


def test_the_same_wheel_in_another_environment_is_neither_fetched_nor_laid_out(first: tuple[Space, Path, str]) -> None:
    space, _, digest = first
    wheels = [path for path in space.blobs().values() if path.read_bytes().startswith(b"PK")]
    assert len(wheels) == 3
    for path in wheels:
        path.unlink()
    space.edit("package/BUILD.yaml", "//:env", "//:twin")
    report = space.build("//package:app")
    assert (report.executed, report.data["bytes"]["fetched"]) == (0, 0)
    assert report.targets["//package:app"]["digest"] == digest
    assert not any(path.exists() for path in wheels)


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (lambda space: space.edit("package/src/helper.py", "42", "43"), {"code", "image"}),
        (lambda space: os.chmod(space.path("package/src/helper.py"), 0o755), {"code", "image"}),
        (
            lambda space: os.rename(space.path("package/src/helper.py"), space.path("package/src/h.py")),
            {"code", "image"},
        ),
        (lambda space: space.edit("package/weights/labels.txt", "cat", "cow"), {"model", "image"}),
        (lambda space: space.append("package/BUILD.yaml", "    environment: {A: b}\n"), {"image"}),
        (lambda space: space.append("package/BUILD.yaml", "    description: other words\n"), set()),
    ],
    ids=["content", "mode", "name", "model", "variable", "description"],
)
def test_every_bit_that_matters_makes_just_what_stands_on_it(
    first: tuple[Space, Path, str], change: Callable[[Space], None], made: set[str]
) -> None:
    space, _, digest = first
    names = dict(zip(NAMES, NAMES, strict=True))
    change(space)
    number, after = executed(space, names)
    assert (number, after != digest) == (len(made), bool(made))
