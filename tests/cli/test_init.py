"""`buildrules init` in folders of many kinds."""

import re
import shutil
import tarfile

import pytest

from tests.support.layout import layout_image
from tests.support.space import Space, make_base


def test_init_writes_what_then_builds(workspace: Space) -> None:
    workspace.root = workspace.folder / "plain"
    workspace.write("model/model.pkl", b"\x80\x04N.")
    workspace.write("score.py", "def init():\n    pass\n\ndef run(data):\n    return data\n")
    workspace.write("requirements.txt", "numlib==1.0\n")
    workspace.write("sample-request.json", "{}")
    result = workspace.run("init", "--name", "plain")
    result.said("wrote BUILD.yaml", "model: model", "scoring script: score.py", "environment: requirements.txt")
    text = workspace.path("BUILD.yaml").read_text()
    assert "sample_request: sample-request.json" in text
    workspace.run("query").said("//:plain  model_package")
    make_base(workspace.path("base"))
    workspace.edit("BUILD.yaml", "{rule: debian_base, suite: bookworm}", "{rule: oci_base, layout: base}")
    workspace.run("build", ":plain").said("image sha256:")
    workspace.run("init", code=2).said("there is a BUILD.yaml already")
    assert "image sha256:" in workspace.clean_run("build", ":plain").out


@pytest.mark.parametrize(
    "name", ["request.json", "input.json", "sample_input.json", "Sample-Input-2.json", "payload.json"]
)
def test_e_init_knows_what_people_call_a_request(workspace: Space, name: str) -> None:
    workspace.root = workspace.folder / "plain"
    workspace.write("model/model.pkl", b"\x80\x04N.")
    workspace.write("score.py", "def init():\n    pass\n\ndef run(data):\n    return data\n")
    workspace.write("config.json", "{}")
    workspace.write(name, "{}")
    workspace.run("init", "--name", "plain")
    assert f"sample_request: {name}" in workspace.path("BUILD.yaml").read_text()


def test_init_inside_a_workspace_adds_a_package(workspace: Space) -> None:
    workspace.write("new/app.py", "from fastapi import FastAPI\n\napp = FastAPI()\n")
    workspace.write("new/weights.onnx", b"onnx")
    workspace.run("init", "new").said("new/BUILD.yaml", "ASGI application: app.py:app", "none found")
    assert "workspace:" not in workspace.path("new/BUILD.yaml").read_text()
    workspace.run("query", "//new/...").said("//new:new  model_package", "fastapi")


def test_init_in_an_empty_folder_says_what_is_missing(workspace: Space) -> None:
    (workspace.root / "empty").mkdir()
    workspace.run("init", "empty").said("no model found", "no init() and run() found")


SCRIPT = "def init():\n    pass\n\ndef run(data):\n    return data\n"
ASGI = "from fastapi import FastAPI\n\napp = FastAPI()\n"
ROUTES = """
@other.get("/ping")
@app.get("/about")
@app.get(
    "{health}", response_model=None
)
def health() -> None: ...

@app.post('{scoring}')
async def scoring() -> None: ...
"""
PROJECT = '[project]\nname = "x"\nversion = "1"\ndependencies = ["numlib==1.0"]\n'
FOLDERS: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "helpers": (
        {"score.py": SCRIPT, "helper/__init__.py": "", "helper/data/x.csv": "1", "other.py": SCRIPT, "w.pkl": "w"},
        ['srcs: ["*.py", "helper/**"]', "entry_script: score.py", "path: w.pkl"],
        ["scoring script: several found (score.py, other.py), took score.py"],
    ),
    "package": (
        {"src/svc/__init__.py": "", "src/svc/main.py": ASGI, "pyproject.toml": PROJECT},
        ['srcs: ["src/svc/**"], strip_prefix: src', 'app: "svc.main:app"', "pyproject: pyproject.toml"],
        ["ASGI application: src/svc/main.py:app"],
    ),
    "top_package": (
        {"svc/__init__.py": "", "svc/main.py": ASGI, "requirements.txt": "numlib"},
        ['srcs: ["svc/**"]', 'app: "svc.main:app"', "requirements_file: requirements.txt"],
        [],
    ),
    "routes": (
        {
            "main.py": ASGI + ROUTES.format(health="/health", scoring="/v1/predict"),
            "request.json": "{}",
            "requirements.txt": "numlib",
        },
        ['{rule: fastapi, app: "main:app", health: /health, scoring: /v1/predict}', "sample_request: request.json"],
        ["ASGI application: main.py:app"],
    ),
    "root_route": (
        {"main.py": ASGI + ROUTES.format(health="/", scoring="/predict/{item}"), "requirements.txt": "numlib"},
        ['{rule: fastapi, app: "main:app", health: "/"}'],
        ["scoring route: none found; set `scoring`"],
    ),
    "no_routes": (
        {"main.py": ASGI, "requirements.txt": "numlib"},
        ['{rule: fastapi, app: "main:app"}'],
        ["health route: none found; let the application answer GET /healthz"],
    ),
    "mlflow": (
        {
            "mod/MLmodel": "",
            "mod/model.pkl": "",
            "mod/conda.yaml": "dependencies: [pip: [numlib]]",
            "requirements.txt": "",
        },
        ["path: mod}", "    model: :mlflow_model    #", "server: azureml_online"],
        ["comes from its own files"],
    ),
    "mlflow_itself": ({"MLmodel": "", "model.pkl": ""}, ['path: "."'], ["comes from its own files"]),
    "two_models": ({"one/a.onnx": "", "two/b.onnx": ""}, ["path: one}"], ["model: several found (one, two), took one"]),
    "odd_names": ({"# 1, x/a.onnx": "", "a: b/score.py": SCRIPT}, ['path: "# 1, x"', 'srcs: ["a: b/**"]'], []),
    "newer": ({"pyproject.toml": PROJECT + 'requires-python = ">=3.12"\n'}, ["suite: trixie"], []),
    "newest": (
        {"pyproject.toml": PROJECT + 'requires-python = ">=3.14"\n'},
        ['base: {rule: python_standalone, version: "3.15"}'],
        [],
    ),
    "too_new": (
        {"pyproject.toml": PROJECT + 'requires-python = ">=3.99"\n'},
        ["suite: bookworm", 'python: "3.11"    # pyproject.toml asks for another'],
        ["pyproject.toml asks for Python >=3.99, and there is none: took 3.11"],
    ),
    "conda_fits": ({"conda.yaml": "dependencies:\n- python=3.13\n"}, ["suite: trixie"], []),
    "conda_pin": ({"conda.yml": "dependencies:\n  - python=3.12.4\n"}, ['version: "3.12"}', 'python: "3.12"'], []),
    "conda_patch": ({"conda.yml": "dependencies:\n  - python=3.11.9\n"}, ["bookworm", 'python: "3.11"'], []),
    "conda_range": ({"conda.yml": "dependencies:\n  - python>=3.9,<3.12\n"}, ["suite: bookworm"], []),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_init_for_many_kinds_of_folder(workspace: Space, kind: str) -> None:
    files, written, said = FOLDERS[kind]
    workspace.root = workspace.folder / kind
    for path, content in files.items():
        workspace.write(path, content)
    workspace.run("init").said(*said)
    text = workspace.path("BUILD.yaml").read_text()
    for part in written:
        assert part in text
    assert ("_model:" in text) == (kind not in ("package", "top_package", "routes", "root_route", "no_routes"))
    assert ("_code:" in text) == (not kind.startswith("mlflow"))
    assert ('python: "3.11"' in text) == (kind in ("too_new", "conda_patch"))
    workspace.run("query").said(f"//:{kind}  model_package")


@pytest.mark.parametrize(
    ("kind", "placed"),
    [
        ("helpers", ["score.py", "other.py", "helper/__init__.py", "helper/data/x.csv"]),
        ("package", ["svc/__init__.py", "svc/main.py"]),
        ("top_package", ["svc/__init__.py", "svc/main.py"]),
    ],
)
def test_init_keeps_packages_whole(workspace: Space, kind: str, placed: list[str]) -> None:
    workspace.root = workspace.folder / kind
    for path, content in FOLDERS[kind][0].items():
        workspace.write(path, content)
    workspace.run("init")
    make_base(workspace.path("base"))
    workspace.edit("BUILD.yaml", "{rule: debian_base, suite: bookworm}", "{rule: oci_base, layout: base}")
    text = workspace.path("BUILD.yaml").read_text()
    server = "custom_server, entrypoint: [python3], ports: [8080], routes: {readiness: 8080/, scoring: 8080/}}"
    text = re.sub("fastapi, app: .*", server, text)
    workspace.write("BUILD.yaml", text)
    out = workspace.folder / "out"
    workspace.run("export", f":{kind}", "-o", str(out))
    names: set[str] = set()
    for layer in layout_image(out)[0]["layers"]:
        with tarfile.open(out / "blobs" / "sha256" / layer["digest"][7:]) as archive:
            names.update(archive.getnames())
    (main,) = [name for name in names if name.endswith("/" + placed[0])]
    root = main.removesuffix(placed[0])
    assert {name for name in names if name.startswith(root) and "." in name[len(root) :]} == {root + p for p in placed}


@pytest.mark.parametrize("name", ["models.v1", "My Model!", "1st", "con\u00fc", "-x", "CamelCase"])
def test_init_makes_a_name_of_any_folder_or_refuses(workspace: Space, name: str) -> None:
    shutil.copytree(workspace.path("src"), workspace.root / name)
    result = workspace.run("init", f"./{name}", code=None)
    if result.code:
        assert result.code == 2
        result.said("hint: rename")
    workspace.run("query", "//...")


def test_init_takes_a_folder_of_any_name_as_a_workspace(workspace: Space) -> None:
    shutil.copytree(workspace.path("src"), workspace.folder / "My Model!")
    workspace.root = workspace.folder / "My Model!"
    workspace.run("init")
    workspace.run("query").said("//:my_model  model_package")
