"""Lints as a build and `buildrules lint` show them, and when they run."""

import json
from pathlib import Path

from tests.support.space import APP, CODE, Space

PICKLES = Path(__file__).parent / "pickles"
TOKEN = "ghp_" + "c" * 36


def test_a_clean_package(built: Space) -> None:
    assert built.run("lint").out == "1 package: 0 errors, 0 warnings\n"


def test_a_build_shows_what_is_wrong_and_goes_on(workspace: Space) -> None:
    workspace.edit("src/score.py", "def run", f"import cv2\ntoken = '{TOKEN}'\ndef run")
    out = workspace.run("build", APP)
    out.said(
        "image sha256:",
        "error: src/score.py:1:1: nothing in the environment provides the module 'cv2' [missing_module]",
    )
    out.said("error: src/score.py:2:10: a GitHub token (ghp_...) would be in the image [secret]", "hint: ")
    assert TOKEN not in out.out + out.err


def test_findings_are_shown_again_when_the_plan_is_made_again(workspace: Space) -> None:
    workspace.edit("src/score.py", "def run", "import cv2\ndef run")
    workspace.settle()
    assert "cv2" not in workspace.run("build", APP).err
    assert "cv2" in workspace.run("build", APP, "--keep-going").err, "another command line"
    workspace.append("BUILD.yaml", "# a remark\n")
    assert "cv2" in workspace.run("build", APP).err
    workspace.edit("src/helper.py", "42", "43")
    assert "cv2" in workspace.run("build", APP).err


def test_the_verb_fails_for_errors_and_strictly_for_warnings(workspace: Space) -> None:
    workspace.write("src/score.py", "def run(data):\n    import torch\n")
    assert workspace.run("lint", APP).said("warning: src/score.py:2:5:", "0 errors, 1 warning")
    workspace.run("lint", APP, "--strict", code=1)
    workspace.write("src/score.py", "import torch\n\ndef run(data):\n    pass\n")
    workspace.run("lint", APP, code=1).said("1 error, 0 warnings")


def test_json(workspace: Space) -> None:
    workspace.edit("src/score.py", "def run", "import cv2\ndef run")
    value = json.loads(workspace.run("lint", APP, "--json", code=1).out)
    assert value == {
        "packages": 1,
        "findings": [
            {
                "lint": "missing_module",
                "severity": "error",
                "message": "nothing in the environment provides the module 'cv2'",
                "position": "src/score.py:1:1",
                "hint": "add it to the environment's requirements: opencv-python-headless",
            }
        ],
    }
    assert workspace.build().data["findings"] == value["findings"]


def test_code_that_is_no_python(workspace: Space) -> None:
    workspace.append("src/score.py", "import helper\n")
    workspace.write("src/helper.py", "x = 1\ndef (\n")
    workspace.write("src/unused.py", "print 'x'\n")
    out = workspace.run("lint", APP, code=1).said("1 error, 1 warning", "hint: importing it fails")
    out.said("error: src/helper.py:2:5: this is not Python 3.11: ", "[syntax]", "warning: src/unused.py:1:1: ")
    workspace.run("build", APP).said("image sha256:", "lint error: src/helper.py:2:5: this is not Python 3.11: ")
    workspace.append("src/score.py", "def (\n")
    line = len(workspace.path("src/score.py").read_text().splitlines())
    workspace.run("lint", APP, code=1).said(f"error: src/score.py:{line}:5: this is not Python")
    workspace.edit("BUILD.yaml", "requirements: [numlib==1.0]", "requirements: []")
    workspace.run("lint", APP, code=1).said(f"error: src/score.py:{line}:5: this is not Python")


def test_a_package_leaves_lints_out(workspace: Space) -> None:
    workspace.edit("src/score.py", "def run", f"import cv2\ntoken = '{TOKEN}'\ndef run")
    workspace.edit("BUILD.yaml", "    code: :code\n", "    code: :code\n    lint_ignore: [secret]\n")
    out = workspace.run("lint", APP, code=1).said("1 error")
    assert "GitHub" not in out.out
    workspace.edit("BUILD.yaml", "[secret]", "[secret, missing_modul]")
    workspace.run("lint", APP, code=2).said("there is no lint 'missing_modul'", "did you mean 'missing_module'")


def test_models_are_looked_into(workspace: Space) -> None:
    for name in ("sklearn-1.9.1.joblib", "xgboost-2.1.4.ubj"):
        workspace.write(f"weights/{name}", (PICKLES / name).read_bytes())
    workspace.write("weights/deep/settings.txt", f"token: {TOKEN}\n")
    out = workspace.run("lint", APP, code=1)
    out.said(
        "weights/sklearn-1.9.1.joblib:1:1: the model was saved with scikit-learn 1.9.1, and the environment has no",
        "weights/xgboost-2.1.4.ubj:1:1: the model was saved with xgboost 2.1.4",
        "weights/deep/settings.txt:1:8: a GitHub token",
    )


def test_a_model_of_one_file_and_a_long_name(workspace: Space) -> None:
    long = "w" * 60 + "/" + "x" * 60 + ".txt"
    workspace.write(f"weights/{long}", f"token: {TOKEN}\n")
    workspace.run("lint", APP, code=1).said(f"weights/{long}:1:8: a GitHub token")
    workspace.edit("BUILD.yaml", "path: weights", f"path: weights/{long}")
    workspace.run("lint", APP, code=1).said(f"weights/{long}:1:8: a GitHub token")


def test_a_model_among_the_code(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", 'srcs: ["src/**"]', 'srcs: ["src/**", "weights/**"]')
    workspace.edit("BUILD.yaml", "entry_script: score.py", "entry_script: src/score.py")
    workspace.run("lint", APP).said("BUILD.yaml:11:", "2 files, 'weights/labels.txt' among them, are of the model //:m")


def test_extra_files_are_searched_too(workspace: Space) -> None:
    workspace.write("conf/settings.ini", f"token = {TOKEN}\n")
    workspace.edit("BUILD.yaml", "    code: :code\n", "    code: :code\n    files: {/etc/app: conf}\n")
    workspace.run("lint", APP, code=1).said("conf/settings.ini:1:9: a GitHub token")


def test_lints_are_actions_that_only_what_changed_runs_again(built: Space) -> None:
    report = built.build()
    assert report.executed == 0
    built.append("src/helper.py", "# more\n")
    report = built.build()
    assert report.built == {CODE}
    assert report.data["actions"]["executed"] == 2  # the layer and the image; lints are not counted


def test_a_package_without_goals_builds_no_image(workspace: Space) -> None:
    workspace.run("lint", APP)
    assert not any(path.read_bytes()[:40].startswith(b'{"schemaVersion"') for path in workspace.blobs().values())


def test_a_servers_version_that_nobody_says(workspace: Space) -> None:
    workspace.edit("rules/tiny.yaml", "tinyserver~=1.0", "tinyserver")
    workspace.run("lint", APP).said("BUILD.yaml:12:", "the server 'tiny' takes any version of 'tinyserver'")


def test_secrets_written_into_a_test(workspace: Space) -> None:
    test = f"""\
  app_test:
    rule: package_test
    package: :app
    requests:
      - {{path: /, expect: {{headers: {{x-token: a}}}}}}
      - path: /
        headers: {{Authorization: Bearer canary-1, x-id: "1"}}
    environment: {{API_KEY: canary-2, PLAIN: {TOKEN}, LOG_LEVEL: DEBUG, TOKEN: ""}}
"""
    workspace.append("BUILD.yaml", test)
    said = workspace.run("lint", APP).said("0 errors, 3 warnings", "[secret]", "lint_ignore: [secret]")
    for name in ("Authorization", "API_KEY", "PLAIN"):
        line, column = next(
            (number, row.index(name) + len(name) + 3)
            for number, row in enumerate(workspace.path("BUILD.yaml").read_text().splitlines(), 1)
            if f"{name}: " in row
        )
        said.said(f"warning: BUILD.yaml:{line}:{column}: '//:app_test' has the value of '{name}' written out")
    assert "canary" not in said.out + said.err and TOKEN not in said.out + said.err
    workspace.edit("BUILD.yaml", "    code: :code", "    code: :code\n    lint_ignore: [secret]")
    workspace.run("lint", APP).said("0 errors, 0 warnings")


def test_secrets_among_the_variables_of_an_image(workspace: Space) -> None:
    storage = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + "Ab1/" * 21 + "Ab=="
    variables = (
        f"DB_PASSWORD: hunter2hunter2, STORE: '{storage}', TOKENIZERS_PARALLELISM: 'false', API_KEY_FILE: /run/k1"
    )
    workspace.edit("BUILD.yaml", "    code: :code", f"    code: :code\n    environment: {{{variables}}}")
    said = workspace.run("lint", APP).said("0 errors, 2 warnings", "give it to the container when it runs")
    line = workspace.path("BUILD.yaml").read_text().splitlines().index(f"    environment: {{{variables}}}") + 1
    for name in ("DB_PASSWORD", "STORE"):
        said.said(f"BUILD.yaml:{line}:", f"the variable '{name}' seems to hold a secret, and would be in the image")
    assert "hunter2" not in said.out + said.err and "Ab1/" not in said.out + said.err


def test_b1_a_pointer_among_the_code(workspace: Space) -> None:
    workspace.edit("src/score.py", "def run", "# version https://git-lfs.github.com/spec/v1\ndef run")
    workspace.run("lint", APP)
    workspace.write("src/vocabulary.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    workspace.write("src/data.dvc", "outs:\n- md5: 00\n  path: data\n")
    out = workspace.run("lint", APP, code=1)
    out.said("error: src/vocabulary.txt:1:1: a pointer of git-lfs, not the file itself [pointer]", "run `git lfs pull`")
    out.said(
        "error: src/data.dvc:1:1: a pointer of dvc, not the file itself [pointer]", "run `dvc pull 'src/data.dvc'`"
    )
