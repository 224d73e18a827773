"""Many models alike: templates for folders, defaults of a package, tags."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.analysis.loaded import Loaded
from buildrules.analysis.options import Options
from buildrules.analysis.selection import select
from buildrules.workspace.disk import Disk
from tests.support.space import Report, Space, make_base

ROOT = """\
workspace: {name: acme, platforms: [linux/amd64]}
targets:
  base: {rule: oci_base, layout: base}
  server: {rule: //rules:plain}
"""
RULE = """\
rule: plain
provides: server
summary: Runs a script.
attributes:
  port: {type: integer, default: 8080, doc: Port.}
requires: {code: always, model: optional}
layout: {model: "/m/{model.name}", code: /c}
image: {entrypoint: [python3, "/c/{code.entry_script}"], ports: ["{port}"]}
routes: {scoring: "{port}/x"}
"""
MODELS = """\
package_defaults:
  model_package: {base_env: //:base, server: //:server}
  scoring_code: {entry_script: score.py, exclude: ["**/test_*"]}
for_each:
  folders: "*"
  exclude: [shared]
  override_file: package.yaml
  override:
    b: {b: {environment: {SPEED: slow}, tags: [slow]}}
  targets:
    "{name}_model": {rule: model, path: "{folder}/model"}
    "{name}_code": {rule: scoring_code, srcs: ["{folder}/src/**"]}
    "{name}":
      rule: model_package
      model: ":{name}_model"
      code: ":{name}_code"
      environment: {WHO: "{name} of {parent}", PLAIN: "{{name}}"}
"""


def add_model(space: Space, name: str, below: str = "models") -> None:
    space.write(f"{below}/{name}/model/w.txt", f"weights of {name}\n")
    space.write(f"{below}/{name}/src/score.py", f"name = {name!r}\n")


@pytest.fixture
def models(new_space: Callable[[], Space]) -> Space:
    space = new_space()
    space.write("BUILD.yaml", ROOT)
    space.write("rules/plain.yaml", RULE)
    space.write("models/BUILD.yaml", MODELS)
    for name in ("a", "b", "c", "shared"):
        add_model(space, name)
    make_base(space.path("base"))
    return space


def labels(report: Report) -> set[str]:
    return {label for label in report.targets if label != "//:base"}


def test_each_folder_has_its_targets(models: Space) -> None:
    found = models.build("//...")
    assert labels(found) == {"//models:a", "//models:b", "//models:c"}
    variables = models.config(found.targets["//models:b"]["digest"])["Env"]
    assert {"WHO=b of models", "PLAIN={name}", "SPEED=slow"} <= {*variables}
    models.run("query", "//models:a").said("//models:a  model_package\n")
    written = MODELS[: MODELS.index("for_each")] + "targets:\n"
    for name in "abc":
        more = ", SPEED: slow" if name == "b" else ""
        written += f"  {name}_model: {{rule: model, path: {name}/model}}\n"
        written += f'  {name}_code: {{rule: scoring_code, srcs: ["{name}/src/**"]}}\n'
        written += f'  {name}: {{rule: model_package, model: ":{name}_model", code: ":{name}_code", '
        written += f'environment: {{WHO: {name} of models, PLAIN: "{{name}}"{more}}}}}\n'
    models.write("models/BUILD.yaml", written)
    again = models.build("//...")
    assert again.digests == found.digests and not again.built


CHANGES: list[Callable[[Space], object]] = [
    lambda space: add_model(space, "d"),
    lambda space: space.write("models/c/package.yaml", "c: {environment: {MORE: yours}}\n"),
    lambda space: space.edit("models/c/package.yaml", "yours", "mine"),
    lambda space: space.remove("models/c/package.yaml"),
    lambda space: space.write("models/a/src/score.py", "name = 'other'\n"),
    lambda space: space.edit("models/BUILD.yaml", "SPEED: slow", "SPEED: fast"),
    lambda space: space.edit("models/BUILD.yaml", "exclude: [shared]", "exclude: [shared, c]"),
    lambda space: shutil.rmtree(space.path("models/d")),
    lambda space: space.write("models/README", "no folder\n"),
    lambda space: (space.remove("models/README"), add_model(space, "README")),
    lambda space: space.edit("models/BUILD.yaml", "server: //:server", "server: //:server, user: '7'"),
    lambda space: space.path("models/a").rename(space.path("models/e")),
]


def test_what_comes_goes_and_changes_is_noticed(models: Space) -> None:
    """After each change, from the state, the same as with nothing known; and what nothing touched is not built."""
    models.settle("build", "//...")
    models.settle("build", "//models:b")
    for change in CHANGES:
        change(models)
        found, fresh = models.build("//..."), models.clean_build("//...")
        assert found.digests == fresh.digests
        assert models.build("//models:b").digests["//models:b"] == fresh.digests["//models:b"]
        models.settle("build", "//...")
        assert models.run("build", "//...").out.count("unchanged") == len(found.targets)


def test_two_hundred_models_in_fifteen_lines(models: Space) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/many-models.md"
    _, _, text = page.read_text().partition("```yaml\n# models/BUILD.yaml of two hundred folders\n")
    text = text.partition("```")[0]
    assert len(text.splitlines()) <= 15
    models.write(
        "models/BUILD.yaml", text.replace('"//envs:sklearn"', "//:base").replace("azureml_online", "//:server")
    )
    for number in range(196):
        add_model(models, f"m{number}")
    found = models.build("//models/...")
    assert len(labels(found)) == 200
    models.settle("build", "//models/...")
    models.write("models/m7/src/score.py", "name = 'edited'\n")
    edited = models.build("//models/...")
    assert {label for label in edited.targets if edited.digests[label] != found.digests[label]} == {"//models:m7"}
    assert edited.executed == 2  # its code and its image
    add_model(models, "m196")
    more = models.build("//models/...")
    assert labels(more) - labels(found) == {"//models:m196"} and more.executed == 3


WRONG = [
    (('path: "{folder}/model"', 'path: "{folder}/weights"'), ["BUILD.yaml:11:41: there is no 'models/a/weights'"]),
    (('path: "{folder}', 'path: "{foldr}'), ["{foldr}' (for the folder 'a', and 2 more)", "did you mean 'folder'?"]),
    (("srcs:", "sources:"), ["has no attribute 'sources' (for the folder 'a', and 2 more)", "did you mean 'srcs'?"]),
    (("    b: {b:", "    bb: {b:"), ["BUILD.yaml:9:5: for_each has no folder 'bb'", "did you mean 'b'?"]),
    (("    b: {b:", "    b: {b_cod:"), ["the template has no target 'b_cod' (for the folder 'b')", "mean 'b_code'?"]),
    (('folders: "*"', 'folders: "**"'), ["BUILD.yaml:5:12: the folders '**' have no depth", "*/*"]),
    (('folders: "*"', 'folders: "modl*"'), ["no folder matches 'modl*'", "relative to 'models/'"]),
    (('folders: "*"', "folder: x"), ["unknown key 'folder'", "'folders' is missing in for_each"]),
    (
        ('"{name}_code":', '"code":'),
        ["there are two targets 'code' (for the folder 'b', and 1 more)", "(for the folder 'a')"],
    ),
    (('":{name}_model"', '":{name}_modl"'), ["'//models:a_modl' does not exist (for the folder 'a', and 2 more)"]),
    (("model_package: {base_env", "model_packag: {base_env"), ["unknown rule 'model_packag'", "mean 'model_package'?"]),
    (("{base_env: //:base", "{base_en: //:base"), ["has no attribute 'base_en'", "did you mean 'base_env'?"]),
    (("package.yaml", "../package.yaml"), ["'../package.yaml' is not the name of a file"]),
    (
        ("tags: [slow]", "tags: slow"),
        ["tags is a list of words, or a map of notes, not 'slow'", "(for the folder 'b')"],
    ),
    (("tags: [slow]", "tags: [-slow]"), ["'-slow' is not a tag"]),
    (("SPEED: slow", "SPEED: 1.0"), ["an unquoted '1.0' is a number", "(for the folder 'b')"]),
    (("for_each:", "for_ech:"), ["unknown section 'for_ech'", "did you mean 'for_each'?"]),
]


@pytest.mark.parametrize(("edit", "said"), WRONG)
def test_mistakes_are_told_with_line_and_folder(models: Space, edit: tuple[str, str], said: list[str]) -> None:
    models.edit("models/BUILD.yaml", *edit)
    models.run("build", "//...", code=2).said(*said)


def test_what_follows_from_a_wrong_glob_is_not_said(models: Space) -> None:
    models.edit("models/BUILD.yaml", 'folders: "*"', 'folders: "q*"')
    said = models.run("build", "//...", code=2).said("no folder matches 'q*'").err
    assert "for_each has no folder" not in said


@pytest.mark.parametrize("name", ["my model", "-x", "a:b", "{name}", "ü", "all", "x\ny", "a[b]"])
def test_odd_folders_are_errors_with_a_place(models: Space, name: str) -> None:
    add_model(models, name)
    models.run("build", "//...", code=2).said("models/BUILD.yaml:5:12: the folder ", "rename the folder")
    spelt = "".join(f"[{char}]" if char in "[{}" else char for char in name)
    models.edit("models/BUILD.yaml", "exclude: [shared]", f'exclude: [shared, "{spelt}"]'.replace("\n", "\\n"))
    assert labels(models.build("//...")) == {"//models:a", "//models:b", "//models:c"}


def test_a_folder_whose_name_is_no_text_to_yaml(models: Space) -> None:
    add_model(models, "1.10")
    models.edit("models/BUILD.yaml", 'path: "{folder}/model"', 'path: "{folder}/model", version: "{name}"')
    models.edit("models/BUILD.yaml", "exclude: [shared]", "exclude: [shared, b]")
    models.edit("models/BUILD.yaml", "    b: {b: {environment: {SPEED: slow}, tags: [slow]}}", "    a: {a_code: null}")
    models.run("build", "//...", code=2).said("target '//models:a_code' does not exist", "(for the folder 'a')")
    models.edit("models/BUILD.yaml", "{a_code: null}", "{a_code: null, a: null}")
    assert labels(models.build("//...")) == {"//models:c", "//models:1.10"}


def test_folders_of_one_name(models: Space) -> None:
    add_model(models, "x", "models/one")
    add_model(models, "x", "models/two")
    models.edit("models/BUILD.yaml", 'folders: "*"', 'folders: ["one/*", two/x]')
    models.edit("models/BUILD.yaml", "    b: {b: {environment: {SPEED: slow}, tags: [slow]}}", "    one/x: {}")
    models.run("query", code=2).said(
        "there are two targets 'x'", "{parent} and {folder} tell folders of one name apart"
    )
    text = models.path("models/BUILD.yaml").read_text().replace("{name}_", "{parent}_{name}_")
    models.write("models/BUILD.yaml", text.replace('"{name}":', '"{parent}_{name}":'))
    assert labels(models.build("//...")) == {"//models:one_x", "//models:two_x"}


def test_defaults_of_a_package(models: Space) -> None:
    models.edit("BUILD.yaml", "targets:\n", "default_visibility: []\ntargets:\n")
    models.run("query", code=2).said("'//:base' is not visible from '//models:a'")
    models.edit("BUILD.yaml", "layout: base", "layout: base, visibility: [//models:all]")
    models.edit("BUILD.yaml", "default_visibility: []", "default_visibility: [//models/...]")
    assert labels(models.build("//...")) == {"//models:a", "//models:b", "//models:c"}
    plain = (
        'targets:\n  own: {rule: model_package, code: ":a_code", server: //:server, models: [":a_model", ":b_model"]}\n'
    )
    models.write(
        "models/BUILD.yaml", MODELS.replace("server: //:server}", 'server: //:server, model: ":c_model"}') + plain
    )
    models.run("build", "//models:own", code=2).said("and the package has 2")  # the default model stepped back
    models.edit("models/BUILD.yaml", "server: //:server, models", "models")
    models.edit("models/BUILD.yaml", 'server: //:server, model: ":c_model"}', "server: //:serve}")
    models.run("query", code=2).said("models/BUILD.yaml:2:46: target '//:serve' does not exist", "'//:server'?")


def test_tags_choose_targets(models: Space) -> None:
    def built(*options: str) -> set[str]:
        return labels(models.build("//models/...", options=options))

    assert built("--tag", "slow") == {"//models:b"} == built("--tag=slow")
    assert built("--tag", "-slow") == {"//models:a", "//models:c"}
    models.write("models/c/package.yaml", "c: {tags: {stage: prod}}\n")
    assert built("--tag", "slow", "--tag", "stage") == {"//models:b", "//models:c"}
    assert built("--tag", "stage=prod", "--tag", "-slow") == {"//models:c"}
    models.run("build", "//...", "--tag", "-slo", code=2).said("no target has the tag 'slo'", "did you mean 'slow'?")
    models.run("build", "//...", "--tag", "prod", code=2).said("no target has the tag 'prod'")
    models.run("query", "attr(tags, slow, //models/...)").said("//models:b  model_package\n")
    assert models.run("query", 'attr(tags, "stage=prod", //...)').out == "//models:c  model_package\n"
    models.settle("build", "//...", "--tag", "slow")
    models.write("models/a/package.yaml", "a: {tags: [slow]}\n")
    assert built("--tag", "slow") == {"//models:a", "//models:b"}


def test_a_test_has_the_tags_of_its_package(models: Space) -> None:
    tests = "targets:\n" + "".join(
        f"  {name}_test: {{rule: package_test, package: ':{name}', requests: [{{json: 1}}]{more}}}\n"
        for name, more in (("a", ", tags: [nightly]"), ("b", ""), ("c", ""))
    )
    models.append("models/BUILD.yaml", tests)
    loaded = Loaded(Disk(str(models.root)))
    for tags, wanted in (
        (("slow",), {"b", "b_model", "b_code", "b_test"}),
        (("-slow", "-nightly"), {"a", "c", "c_test"}),
        (("nightly",), {"a_test"}),
    ):
        found = select(loaded, ["//models/..."], "", Options(test=True, with_tags=tags))
        names = {label.name for label in found.labels if loaded.resolution.of(label).provides in ("package", "test")}
        assert names == wanted & {*"abc", "a_test", "b_test", "c_test"}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.mkdir(), "it is a directory"),
        (os.mkfifo, "it is not a regular file"),
        (lambda path: path.symlink_to("nowhere"), "no such file or directory"),
    ],
)
def test_an_override_that_is_no_file_is_not_left_out(
    models: Space, make: Callable[[Path], object], reason: str
) -> None:
    models.settle("build", "//...")
    make(models.path("models/c/package.yaml"))
    said = models.run("build", "//...", code=2)
    said.said("models/BUILD.yaml:7:18: ", f"cannot read 'models/c/package.yaml': {reason}", "hint: make it a file")
