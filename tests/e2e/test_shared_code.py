"""Code that several packages use: row B3 of what was met in the field."""

import io
import tarfile

import pytest

from tests.support.space import APP, Space

LIBS = """\
targets:
  features: {rule: python_library, srcs: ["features/**"], deps: [":dates"]}
  dates: {rule: python_library, srcs: ["dates.py"]}
"""
OTHER = """\
  other_code: {rule: scoring_code, srcs: ["other/**"], entry_script: score.py}
  other:
    rule: model_package
    model: :m
    base_env: :env
    server: azureml_online
    code: [":other_code", "//libs:features"]
"""


@pytest.fixture
def shared(workspace: Space) -> Space:
    """Two packages with different servers, which use one library and what that imports."""
    workspace.write("libs/BUILD.yaml", LIBS)
    workspace.write("libs/features/__init__.py", "import dates\n")
    workspace.write("libs/features/scaling.py", "import numlib\n")
    workspace.write("libs/dates.py", "day = 1\n")
    workspace.write("src/score.py", "from features import scaling\n\ndef run(data):\n    return data\n")
    workspace.write("other/score.py", "import dates\n\ndef init():\n    pass\n\ndef run(data):\n    return data\n")
    workspace.edit("BUILD.yaml", "code: :code", 'code: [":code", "//libs:features"]')
    workspace.append("BUILD.yaml", OTHER)
    return workspace


def files(space: Space, digest: str) -> set[str]:
    """The files of a layer in the store."""
    with tarfile.open(fileobj=io.BytesIO(space.blobs()[digest].read_bytes())) as archive:
        return {member.name for member in archive if member.isfile()}


def test_b3_packages_share_one_layer_of_a_library(shared: Space) -> None:
    report = shared.build("//...")
    for origin, names in (
        ("library features", {"opt/libraries/features/__init__.py", "opt/libraries/features/scaling.py"}),
        ("library dates", {"opt/libraries/dates.py"}),
    ):
        layer = report.layer(origin)
        assert layer["digest"] == report.layer(origin, "//:other")["digest"]
        assert files(shared, layer["digest"]) == names
    for label in (APP, "//:other"):
        assert "PYTHONPATH=/opt/libraries" in shared.config(report.targets[label]["digest"])["Env"]
    shared.run("lint", "//...").said("2 packages: 0 errors, 0 warnings")
    shared.append("libs/dates.py", "hour = 2\n")
    again = shared.build("//...")
    assert again.built == {"library dates"}
    assert again.digest != report.digest


def test_b3_a_package_without_libraries_is_as_it_was(workspace: Space) -> None:
    digest = workspace.build().digest
    workspace.edit("BUILD.yaml", "code: :code", 'code: [":code"]')
    assert workspace.build().digest == digest
    assert not [line for line in workspace.config(digest)["Env"] if line.startswith("PYTHONPATH")]


def test_b3_what_a_package_says_of_the_python_path_comes_first(shared: Space) -> None:
    shared.edit("BUILD.yaml", '    code: [":code"', '    environment: {PYTHONPATH: /srv/extra}\n    code: [":code"')
    assert "PYTHONPATH=/srv/extra:/opt/libraries" in shared.config(shared.build().digest)["Env"]


def test_b3_imports_are_followed_into_libraries(shared: Space) -> None:
    shared.write("libs/features/scaling.py", "import dates, cv2\n")
    shared.run("lint", APP, code=1).said(
        "error: libs/features/scaling.py:1:1: nothing in the environment provides the module 'cv2'"
    )
    shared.run("lint", "//:other").said("0 errors")  # its code does not import that module
    shared.edit("libs/BUILD.yaml", ', deps: [":dates"]', "")
    shared.run("lint", "//:other", code=1).said(
        "other/score.py:1:1: nothing in the environment provides the module 'dates'",
        "or name the python_library that has it in `code:` of the package",
    )
    shared.edit("BUILD.yaml", '"//libs:features"]', '"//libs:features", "//libs:dates"]')
    shared.run("lint", "//:other").said("0 errors")


def test_b3_a_library_whose_build_file_lies_among_its_modules(shared: Space) -> None:
    shared.edit("libs/BUILD.yaml", LIBS, "targets:\n  dates: {rule: python_library, srcs: [dates.py]}\n")
    shared.write("libs/features/BUILD.yaml", 'targets:\n  features: {rule: python_library, srcs: ["**/*.py"]}\n')
    shared.edit("BUILD.yaml", '"//libs:features"]', '"//libs/features", "//libs:dates"]')
    shared.run("build", APP, code=2).said(
        "//libs/features:features has an '__init__.py' that belongs to no package", "write `import_as: features`"
    )
    shared.edit("libs/features/BUILD.yaml", "srcs:", "import_as: features, srcs:")
    layer = shared.build().layer("library features")
    assert files(shared, layer["digest"]) == {
        "opt/libraries/features/__init__.py",
        "opt/libraries/features/scaling.py",
    }
    shared.run("lint", APP).said("0 errors")
    shared.edit("libs/features/BUILD.yaml", "import_as: features", "import_as: ../../etc")
    shared.run("build", APP, code=2).said(
        "libs/features/BUILD.yaml:2", "'../../etc' is not the name of a Python package"
    )


def test_b3_a_library_in_a_src_folder(shared: Space) -> None:
    shared.write("libs/src/deep/inner.py", "")
    shared.append("libs/BUILD.yaml", '  deep: {rule: python_library, srcs: ["src/**"], strip_prefix: src}\n')
    shared.edit("BUILD.yaml", '"//libs:features"]', '"//libs:features", "//libs:deep"]')
    layer = shared.build().layer("library deep")
    assert files(shared, layer["digest"]) == {"opt/libraries/deep/inner.py"}


def test_b3_more_code_lies_beside_that_with_the_entry_script(shared: Space) -> None:
    shared.write("common/steps.py", "")
    shared.append("BUILD.yaml", '  common: {rule: scoring_code, srcs: ["common/**"]}\n')
    shared.edit("BUILD.yaml", '[":code", "//libs:features"]', '[":common", ":code", "//libs:features"]')
    report = shared.build()
    assert files(shared, report.layer("code common")["digest"]) == {"srv/app/steps.py"}
    assert files(shared, report.layer("code code")["digest"]) == {"srv/app/score.py", "srv/app/helper.py"}
    shared.write("common/helper.py", "")
    shared.run("build", APP, code=2).said("code //:code and code //:common would both be at '/srv/app/helper.py'")


def test_b3_two_libraries_with_one_module(shared: Space) -> None:
    shared.write("libs/more/dates.py", "")
    shared.append("libs/BUILD.yaml", '  more: {rule: python_library, srcs: ["more/**"], strip_prefix: more}\n')
    shared.edit("BUILD.yaml", '"//libs:features"]', '"//libs:features", "//libs:more"]')
    shared.run("build", APP, code=2).said(
        "BUILD.yaml:", "library //libs:more and library //libs:dates would both be at '/opt/libraries/dates.py'"
    )


def test_b3_two_entry_scripts(shared: Space) -> None:
    shared.edit("BUILD.yaml", '[":code", "//libs:features"]', '[":code", ":other_code"]')
    shared.run("build", APP, code=2).said(
        "//:code and //:other_code both have an entry script, and a server starts one", "python_library"
    )


def test_b3_a_library_without_files(shared: Space) -> None:
    shared.edit("libs/BUILD.yaml", '["dates.py"]', '["dats.py"]')
    shared.run("build", APP, code=2).said("libs/BUILD.yaml:3", "no file matches the srcs of //libs:dates")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('srcs: ["src/**"]', 'srcs: ["src/**", "../libs/**"]'),
        ("    model: :m\n", "    model: :m\n    files: {/srv/app/features: //libs/features}\n"),
    ],
)
def test_b3_the_hint_of_what_is_refused_names_the_rule(workspace: Space, old: str, new: str) -> None:
    workspace.edit("BUILD.yaml", old, new)
    workspace.run("build", APP, code=2).said("hint:", "is a python_library", "`code:`")
