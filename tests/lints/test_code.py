"""Lints of code: what it imports, what it gives away, what it packs twice."""

import ast
import gc
import sys
import threading
import time

import pytest

from buildrules.lints.finding import Finding
from buildrules.lints.imports import imports_outside, missing_modules
from buildrules.lints.overlap import model_in_code
from buildrules.lints.script import UNREADABLE, mistake_of, parsed
from buildrules.lints.secrets import LARGEST, secrets_in

MODULES = {"numpy", "sklearn", "google.cloud.storage", "yaml"}


def imports(files: dict[str, str], entry: str | None = "score.py", python: str = "3.11") -> list[str]:
    found = imports_outside({name: tree(text) for name, text in files.items()}, entry)
    missing = missing_modules({f"src/{name}": items for name, items in found.items()}, MODULES, python)
    return [f"{item.position} {item.severity} {item.message}" for item in missing]


def tree(text: str) -> ast.Module | None:
    try:
        return parsed(text.encode())
    except UNREADABLE:
        return None


def test_modules_that_nothing_provides() -> None:
    text = "import os, numpy.linalg\nimport cv2 as c\nfrom PIL import Image\n\ndef f():\n    import torch\n"
    found = imports({"score.py": text})
    assert found == [
        "src/score.py:2:1 error nothing in the environment provides the module 'cv2'",
        "src/score.py:3:1 error nothing in the environment provides the module 'PIL'",
        "src/score.py:6:5 warning nothing in the environment provides the module 'torch'",
    ]


def test_the_distribution_is_named_where_its_name_is_another() -> None:
    (finding,) = missing_modules(imports_outside({"a.py": tree("import cv2")}, "a.py"), MODULES, "3.11")
    assert finding.hint.endswith(": opencv-python-headless")


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import ujson\nexcept ImportError:\n    ujson = None\n",
        "try:\n    import ujson\nexcept (ValueError, ModuleNotFoundError):\n    import orjson\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n",
        "from . import helper\nfrom .helper import x\n",
        "from google.cloud import storage\nimport google.cloud.storage.blob\n",
        "from sklearn.svm import SVC\nimport yaml\n",
        "import helper\nfrom pack.inner import x\nimport lib_module\n",
        "this is no Python",
    ],
)
def test_imports_that_are_no_mistake(text: str) -> None:
    files = {"score.py": text, "helper.py": "", "pack/__init__.py": "", "pack/inner.py": "", "lib/lib_module.py": ""}
    assert imports(files) == []


def test_modules_of_the_code_are_followed_and_no_others() -> None:
    files = {
        "score.py": "from pack import steps\nimport pack.deep\n",
        "pack/__init__.py": "",
        "pack/deep.py": "import cv2\n",
        "train.py": "import torch\n",
    }
    assert imports(files) == ["src/pack/deep.py:1:1 error nothing in the environment provides the module 'cv2'"]
    assert len(imports(files, entry=None)) == 2


@pytest.mark.parametrize(
    "text", ["from pack import deep\n", "from pack.inner import x\n", "from pack.inner.least import y\n"]
)
def test_modules_are_followed_however_they_are_imported(text: str) -> None:
    files = {
        "score.py": text,
        "pack/__init__.py": "",
        "pack/deep.py": "import cv2\n",
        "pack/inner/__init__.py": "from .. import deep\n",
        "pack/inner/least.py": "from ..deep import cv2\n",
    }
    assert imports(files) == ["src/pack/deep.py:1:1 error nothing in the environment provides the module 'cv2'"]


def test_the_standard_library_is_the_targets() -> None:
    text = {"score.py": "import cgi, distutils.util, tomllib\n"}
    assert imports(text, python="3.11") == []
    assert imports(text, python="3.12") == ["src/score.py:1:1 error Python 3.12 has no module 'distutils' any more"]
    assert [line.partition("Python")[2] for line in imports(text, python="3.13")] == [
        " 3.13 has no module 'cgi' any more",
        " 3.12 has no module 'distutils' any more",
    ]
    assert len(imports(text, python="3.10")) == 1


@pytest.mark.parametrize(
    ("module", "first", "last"),
    [
        ("compression", 14, 99),
        ("annotationlib", 14, 99),
        ("tomllib", 11, 99),
        ("zoneinfo", 9, 99),
        ("binhex", 0, 10),
        ("asyncore", 0, 11),
        ("imp", 0, 11),
        ("telnetlib", 0, 12),
        ("json", 0, 99),
    ],
)
def test_the_standard_library_is_that_of_the_image(module: str, first: int, last: int) -> None:
    """Whatever Python the tests run on."""
    for minor in (8, 9, 10, 11, 12, 13, 14, 15):
        found = imports({"score.py": f"import {module}\n"}, python=f"3.{minor}")
        assert (found == []) == (first <= minor <= last), minor


@pytest.mark.parametrize(
    ("text", "place"),
    [(b"x = 1\ndef (\n", (2, 5)), (b"print 'x'\n", (1, 1)), (b"# coding: nope\n", (1, 1)), (b"x = 1\0", (1, 1))],
)
def test_what_is_no_python(text: bytes, place: tuple[int, int]) -> None:
    with pytest.raises(UNREADABLE) as caught:
        parsed(text)
    mistake = mistake_of(caught.value, "3.8")
    assert mistake is not None and mistake.reason
    assert (mistake.line, mistake.column) == place
    newer = f"3.{sys.version_info.minor + 1}"
    assert mistake_of(caught.value, newer) is None and mistake_of(caught.value, None) is None


def said(path: str, text: str) -> list[str]:
    return [f"{item.position}: {item.message}" for item in secrets_in(path, text.encode())]


KEYS = {
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----\n",
    "an AWS access key": "AKIA" + "IOSFODNN7EXAMPLE",
    "an AWS secret key": "aws_secret_access_key" + ' = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYab"',
    "an Azure storage key": "AccountKey=" + "a" * 86 + "==",
    "an Azure SAS token": "https://x.example/c?sv=1&sig=" + "a" * 43 + "%3D",
    "a Google API key": "AIza" + "b" * 35,
    "a GitHub token": "ghp_" + "c" * 36,
    "a GitLab token": "glpat-" + "d" * 20,
    "a Hugging Face token": "hf_" + "e" * 34,
    "a Slack token": "xoxb-" + "1" * 24,
    "a Databricks token": "dapi" + "0" * 32,
    "a password in a url": "postgresql://me:" + "hunter2@db.example/x",
}


@pytest.mark.parametrize("what", KEYS)
def test_keys_and_tokens(what: str) -> None:
    secret = KEYS[what]
    (found,) = secrets_in("src/score.py", f"x = 1\ny = '{secret}'\n".encode())
    assert (found.severity, found.line) == ("error", 2)
    assert found.message.startswith(f"{what} (")
    hidden = secret.split("//")[-1][8:].strip("\n")
    assert hidden not in found.message + found.hint
    assert not secrets_in("src/score.py", f"y = '{secret.strip()}'  # buildrules: ignore\n".encode())


@pytest.mark.parametrize(
    "text",
    [
        "password = os.environ['PASSWORD']",
        "AKIA is how their keys begin",
        "url = f'https://{user}:{token}@host/path'",
        "https://user:********@host/",
        "digest = 'sha256:" + "a" * 64 + "'",
        "-----BEGIN PUBLIC KEY-----",
        "AccountKey=<your key>",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert secrets_in("src/score.py", text.encode()) == []


@pytest.mark.parametrize(
    "piece",
    [
        "a.",
        "a.a://",
        "sk-",
        "sk-ant-",
        "a://b:c@d",
        "a://u:",
        "-----BEGIN A ",
        "?sig=",
        "xoxb-",
        "secret_access_key= ",
        "password",
        "password = '",
        "token_a1='b",
    ],
)
def test_the_time_is_in_proportion_to_the_file(piece: str) -> None:
    """Forms that try every place again took twenty minutes, so the test's time-out is what tells."""
    marks = " :// T3BlbkFJ sk-ant- SG. sig= xox aws_secret_access_key PRIVATE KEY"
    secrets_in("data.txt", (piece * (LARGEST // len(piece)))[: LARGEST - len(marks)].encode() + marks.encode())


@pytest.mark.parametrize("end", [" ", "\n"])
def test_many_secrets_in_one_file(end: str) -> None:
    key = KEYS["an AWS access key"]
    lines = [key, "nothing", f"{key}  # buildrules: ignore", key, ""]
    found = secrets_in("a.py", ("\n".join(lines) + (key + end) * 20_000).encode())
    assert [item.line for item in found[:3]] == [1, 4, 5]
    assert found[-1].line == (5 if end == " " else 20_004)
    assert found[-1].column == (1 if end == "\n" else 1 + 19_999 * (len(key) + 1))
    assert len(found) == 20_002


def test_files_that_hold_secrets_by_their_name() -> None:
    for path in (".env", "src/.env.prod", "a/.git-credentials", ".netrc", "keys/id_rsa", "x.pfx", ".aws/credentials"):
        (found,) = secrets_in(path, b"")
        assert found.message.startswith(f"'{path}' holds ")
    for path in (".env.example", "environment.py", "id_rsa.pub", "credentials.py", "netrc"):
        assert secrets_in(path, b"") == []


def test_data_is_not_searched() -> None:
    key = KEYS["a GitHub token"].encode()
    assert secrets_in("model.bin", b"\0" + key) == []
    assert secrets_in("model.txt", key + b" " * LARGEST) == []


def test_a_model_that_the_code_packs_as_well() -> None:
    code = [("m/score.py", 10), ("m/model/a.bin", 5_000_000), ("m/model/b.txt", 5), ("m/model2/c.txt", 5)]
    found = model_in_code(code, {"m/model": "//m:model", "other": "//m:other"})
    assert [item.message for item in found] == [
        "2 files, 'm/model/a.bin' among them, are of the model //m:model (5.0 MB) and packaged with the code as well"
    ]
    assert isinstance(found[0], Finding)
    assert "exclude" in found[0].hint


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('password = "Xk3!pQ9zLm2vT7wR"', "password"),
        ("DB_PASSWORD='hunter2hunter2'", "DB_PASSWORD"),
        ('API_KEY = "sk-proj-abcd1hgf"', "API_KEY"),
        ('{"client_secret": "kQz8Q~abcdefgh"}', "client_secret"),
        ("auth_token: 'a1b2c3d4e5f6a1b2c3d4e5f6'", "auth_token"),
    ],
)
def test_what_is_assigned_to_the_name_of_a_secret(text: str, name: str) -> None:
    (found,) = secrets_in("src/settings.py", f"import os\n  {text}\n".encode())
    assert (found.severity, found.line) == ("warning", 2)
    assert f"assigned to '{name}' looks like a secret" in found.message
    assert found.column == f"  {text}".index(name) + 1
    assert not secrets_in("src/settings.py", f"  {text}  # buildrules: ignore\n".encode())
    assert not secrets_in("weights.bin", text.encode())


@pytest.mark.parametrize(
    "text",
    [
        'password = os.environ["PASSWORD1"]',
        'password = "changeme1"',
        'password = "password"',
        'API_KEY = "<your key 1>"',
        'api_key = "${API_KEY_1}"',
        'secret = "{env: NAME_1}"',
        'pad_token = "[PAD1]2"',
        '"unk_token": "unk12345"',
        '"tokenizer_class": "LlamaTokenizer2"',
        'secret_file = "/run/secrets/one1"',
        "password_length = 12345678",
        'token_url = "https://login.example/v2"',
        'tokenizer = "distilbert-base-uncased-finetuned-sst-2-english"',
        '"special_tokens_map_file": "models--roberta-2-large-cased-vocabulary"',
        'SECRET_NAME = "fraud-model-db-v2"',
        'password_env = "DB_PASSWORD_2"',
        'TOKEN_TYPE = "urn:ietf:params:oauth:token-type:jwt2"',
    ],
)
def test_what_only_sounds_like_a_secret(text: str) -> None:
    assert secrets_in("src/settings.py", text.encode()) == []


def test_a_secret_of_known_form_is_told_of_once() -> None:
    (found,) = secrets_in("a.py", b"token = 'x'; key = '" + b"AKIA" + b"Q3EGRIEXLMPVWXYZ'\n")
    assert found.severity == "error"


def test_scripts_are_parsed_by_several_threads() -> None:
    text = b"\n".join(b"x = " + b"(" * 60 + b"1" + b")" * 60 for _ in range(40))
    failed: list[BaseException] = []

    def parse() -> None:
        try:
            for _ in range(10):
                parsed(text)
        except SystemError as error:
            failed.append(error)

    def change_threads(*_: object) -> None:
        time.sleep(0.0001)

    threshold, threads = gc.get_threshold(), [threading.Thread(target=parse) for _ in range(8)]
    gc.set_threshold(50)
    gc.callbacks.append(change_threads)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.callbacks.remove(change_threads)
        gc.set_threshold(*threshold)
    assert not failed
