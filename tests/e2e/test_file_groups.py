"""Files that targets share: file groups among srcs, and beside code."""

import tarfile
from collections.abc import Callable

import pytest

from tests.support.space import Report, Space

MORE = """\
  schemas: {rule: file_group, srcs: ["schemas/**"], exclude: ["**/*.md"]}
  labels: {rule: file_group, srcs: [labels/cat.txt]}
  everything: {rule: file_group, srcs: [":schemas", ":labels"]}
  code2: {rule: scoring_code, srcs: ["other/**", ":schemas"], entry_script: score.py}
  m2: {rule: model, srcs: ["weights/*", ":labels"]}
  map: {rule: input, srcs: [":labels"], mount_path: /data}
  app2:
    rule: model_package
    model: :m2
    base_env: :env
    server: :server
    code: :code2
    inputs: [":map"]
  app3: {rule: model_package, model: ":m", base_env: ":env", server: ":server", code: [":code", ":everything"]}
"""


@pytest.fixture
def shared(new_space: Callable[..., Space]) -> Space:
    space = new_space()
    space.append("BUILD.yaml", MORE)
    space.write("schemas/in.json", "{}\n")
    space.write("schemas/notes.md", "no\n")
    space.write("labels/cat.txt", "cat\n")
    space.write("other/score.py", "def run(data):\n    return data\n")
    return space


def files(space: Space, report: Report, label: str) -> set[str]:
    """The files of those layers of an image that are stored."""
    found: set[str] = set()
    blobs = space.blobs()
    for layer in report.targets[label]["layers"]:
        if layer["digest"] in blobs:
            with tarfile.open(blobs[layer["digest"]], "r:gz") as archive:
                found |= {member.name for member in archive if member.isfile()}
    return found


def test_groups_among_srcs_and_beside_code(shared: Space) -> None:
    found = shared.build("//...")
    second, third = files(shared, found, "//:app2"), files(shared, found, "//:app3")
    assert {"srv/app/score.py", "srv/app/in.json", "data/cat.txt", "srv/model/cat.txt"} <= second
    assert {"srv/app/score.py", "srv/app/in.json", "srv/app/cat.txt"} <= third
    assert not [name for name in second | third if name.endswith("notes.md")]
    layers = [found.layer("files schemas", label)["digest"] for label in ("//:app2", "//:app3")]
    assert layers[0] == layers[1]  # one layer for both


def test_an_edit_costs_the_group_and_its_users(shared: Space) -> None:
    before = shared.build("//...")
    shared.settle("build", "//...")
    shared.write("schemas/in.json", "{1}\n")
    after = shared.build("//...")
    changed = {label for label in after.targets if after.digests[label] != before.digests[label]}
    assert changed == {"//:app2", "//:app3"} and after.executed == 3
    assert after.digests == shared.clean_build("//...").digests
    shared.settle("build", "//...")
    shared.write("schemas/new.json", "{}\n")
    assert shared.build("//...").built == {"files schemas"}


WRONG = [
    (
        ('"other/**", ":schemas"', '"other/**", ":schema", ":labels"'),
        ["BUILD.yaml:22:50: target '//:schema' does not exist"],
    ),
    (('"other/**", ":schemas"', '"other/**", ":labels", ":m"'), ["22:61", "provides files, but '//:m' provides model"]),
    (('["schemas/**"]', '["schemas/**", ":everything"]'), ["dependency cycle"]),
    (('["schemas/**"], exclude', '["schemas/*.xml"], exclude'), ["no file matches the srcs of //:schemas"]),
    (("labels/cat.txt", "src/score.py"), ["files //:labels", "would both be at '/srv/app/score.py'"]),
    (("    inputs: [", "    mode: download\n    inputs: ["), ["is fetched at start, and //:labels is a file group"]),
    (('["schemas/**"], exclude', '["schemas/**"], visibility: [//x:all], exclude'), []),
]


@pytest.mark.parametrize(("edit", "said"), WRONG)
def test_mistakes(shared: Space, edit: tuple[str, str], said: list[str]) -> None:
    shared.edit("BUILD.yaml", *edit)
    shared.run("build", "//...", code=2 if said else 0).said(*said)


def test_a_group_of_another_package_must_be_visible(shared: Space) -> None:
    shared.write("lib/BUILD.yaml", "default_visibility: []\ntargets:\n  g: {rule: file_group, srcs: [x.txt]}\n")
    shared.write("lib/x.txt", "x\n")
    shared.edit("BUILD.yaml", 'code: [":code", ":everything"]', 'code: [":code", "//lib:g"]')
    shared.run("query", code=2).said("target '//lib:g' is not visible from '//:app3'")
    shared.edit("lib/BUILD.yaml", "default_visibility: []", "default_visibility: [//:all]")
    found = shared.build("//:app3")
    assert "srv/app/x.txt" in files(shared, found, "//:app3")


def test_a_library_takes_no_groups(shared: Space) -> None:
    shared.append("BUILD.yaml", '  lib: {rule: python_library, srcs: ["src/*.py", ":schemas"]}\n')
    shared.run("query", code=2).said("':schemas' is a label; here only files and globs are taken, no file groups")
