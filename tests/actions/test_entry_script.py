"""Which scripts have the functions their server calls, and which do not."""

import sys
from pathlib import Path

import pytest

from buildrules.actions.entry_script import EntryScript, names_of
from buildrules.actions.registry import Kinds
from buildrules.engine.action import Action, SourceFile
from buildrules.errors import ActionError
from buildrules.net.session import Session
from tests.support.space import Space
from tests.support.steps import step

GOOD = {
    "plain": "def init(): pass\ndef run(data): return data\n",
    "async": "async def init(): pass\nasync def run(data): return data\n",
    "imported": "from scoring import init, predict as run\n",
    "assigned": "init, run = make()\n",
    "a class": "class init: pass\nclass run: pass\n",
    "a branch": "try:\n    from fast import init, run\nexcept ImportError:\n    init = run = print\n",
    "everything": "from scoring import *\n",
    "a branch of everything": "if True:\n    from scoring import *\n",
    "globals": "for name in ('init', 'run'):\n    globals()[name] = print\n",
    "exec": "exec(open('x').read())\n",
    "module": "import sys\nsys.modules[__name__].init = sys.modules[__name__].run = print\n",
    "a global": "def setup():\n    global init, run\n    init = run = print\nsetup()\n",
    "getattr": "def __getattr__(name): return print\n",
    "a walrus": "(init := print)\nprint(run := print)\n",
    "another Python's": "def init(): pass\ndef run(data): return data\nthis is no Python of ours\n",
}
BAD = {
    "empty": ("", "init", 1),
    "no run": ("def init(): pass\n", "run", 1),
    "a method": ("def init(): pass\nclass A:\n    def run(self, data): pass\n", "run", 1),
    "nested": ("def init():\n    def run(data): pass\n", "run", 1),
    "methods elsewhere": ("def run(data): pass\nmodel.eval()\nx = model.init\n", "init", 1),
    "misspelt": ("import os\n\ndef Init(): pass\ndef run(data): pass\n", "init", 3),
}


class _Context:
    def __init__(self, root: Path) -> None:
        self.workspace = str(root)

    def count(self, *, read: int = 0, fetched: int = 0, source: str = "") -> None:
        pass


def look(root: Path, text: str, python: str | None = None) -> None:
    (root / "score.py").write_text(text)
    params = {"functions": ["init", "run"], "server": "azureml_online", "python": python}
    action = Action("a", "//:code", "entry_script", "s", params)
    file = SourceFile("score.py", "score.py", len(text), 0o644, "sha256:" + "0" * 64)
    outputs = Kinds(Session()).named("entry_script").run(step(action, [[file]]), _Context(root))  # type: ignore[arg-type]
    assert outputs.to_dict() == {"layers": [], "values": {}, "blobs": {}}


@pytest.mark.parametrize("name", GOOD)
def test_scripts_that_pass(tmp_path: Path, name: str) -> None:
    look(tmp_path, GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_scripts_that_lack_a_function(tmp_path: Path, name: str) -> None:
    text, wanted, line = BAD[name]
    with pytest.raises(ActionError) as caught:
        look(tmp_path, text)
    assert caught.value.message == f"the script has no function '{wanted}'"
    assert "azureml_online" in (caught.value.hint or "")
    assert str(caught.value.position) == f"score.py:{line}:1"


def test_the_kind_reads_bytes_of_any_encoding() -> None:
    assert names_of("# coding: latin-1\nrun = 'ä'\n".encode("latin-1")) == {"run": 2}
    assert names_of(b"\x00") is None
    assert EntryScript.version == 2


def test_a_script_that_is_no_python(tmp_path: Path) -> None:
    with pytest.raises(ActionError) as caught:
        look(tmp_path, GOOD["another Python's"], "3.9")
    assert caught.value.message == "the script is not Python 3.9: invalid syntax"
    assert str(caught.value.position).startswith("score.py:3:")
    with pytest.raises(ActionError, match=r"not Python 3.9: .*null bytes"):
        look(tmp_path, "def init(): pass\0", "3.9")
    newer = f"3.{sys.version_info[1] + 1}"
    look(tmp_path, GOOD["another Python's"], newer)  # whose grammar is not known here
    look(tmp_path, GOOD["plain"], "3.9")


def test_a_build_looks_again_when_the_script_changes(workspace: Space) -> None:
    workspace.edit("rules/tiny.yaml", "requires: {code: always,", "requires: {code: always, functions: [run],")
    first = workspace.build().digest
    workspace.edit("src/score.py", "def run(", "def Run(")
    result = workspace.run("build", "//:app", code=1)
    result.said("src/score.py:1:1: the script has no function 'run'", "def Run(data)", "rename 'Run'", "'tiny'")
    workspace.edit("src/score.py", "def Run(", "def run(")
    again = workspace.build()
    assert (again.digest, again.executed) == (first, 0)
