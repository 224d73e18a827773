"""A kind of action of the workspace's own: the how-to page, followed to the letter."""

import json
import re
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.space import Report, Space, make_base

pytestmark = pytest.mark.slow  # some seconds each: a process for every build

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-an-action.md"
ECHO = "//:echo"
LISTENER = 'values = step.params["values"]\n        context._stream.add(lambda event: 1 / 0)'


@pytest.fixture
def followed(new_space: Callable[..., Space]) -> Space:
    """The files of the page; only the base is another one, for the page's needs a network."""
    space = new_space()
    for path in list(space.root.rglob("*")):
        if path.is_file() and "base" not in path.relative_to(space.root).parts:
            path.unlink()
    blocks = re.findall(r"^```(?:python|yaml)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    action, rule, workspace, server = blocks
    space.write("tools/stamp.py", action)
    space.write("rules/ini_server.yaml", rule)
    space.write("BUILD.yaml", workspace.replace("{rule: debian_base}", "{rule: oci_base, layout: base}"))
    space.write("app/server.py", server)
    make_base(space.root / "base")
    return space


def report(space: Space) -> Report:
    """Each build in a process of its own: a module is imported once in a process."""
    return Report(json.loads(space.process("build", ECHO, "--json").out))


def layer_of(space: Space) -> str:
    """The text of the layer the page's action makes."""
    out = space.folder / "out"
    space.process("export", ECHO, "-o", str(out))
    for path in (out / "blobs" / "sha256").iterdir():
        try:
            with tarfile.open(path) as archive:
                if "etc/server.ini" in archive.getnames():
                    file = archive.extractfile("etc/server.ini")
                    assert file is not None
                    return file.read().decode()
        except tarfile.ReadError:
            continue
    raise AssertionError("no layer has the file")


def test_the_page_works(followed: Space) -> None:
    first = report(followed)
    assert "threads: ini_layer" in first.built
    assert layer_of(followed) == "[server]\nthreads = 8\n"
    assert report(followed).executed == 0


def test_a_parameter_changes_its_layer(followed: Space) -> None:
    report(followed)
    followed.edit("BUILD.yaml", "threads: 8", "threads: 9")
    again = report(followed)
    assert again.built == {"threads: ini_layer"}
    assert again.executed == 2
    assert layer_of(followed) == "[server]\nthreads = 9\n"


def test_a_raised_version_runs_it_again(followed: Space) -> None:
    report(followed)
    followed.edit("tools/stamp.py", "[server]", "# two\\n[server]")
    followed.edit("tools/stamp.py", "version = 1", "version = 2")
    result = followed.process("build", ECHO)
    assert re.search(r"kind changed: ini_layer/1\+[0-9a-f]{16} -> ini_layer/2\+[0-9a-f]{16}", result.out)
    result.said("2 built, 2 reused")


def test_a_plugin_that_cannot_be_imported_is_an_error_not_a_crash(followed: Space) -> None:
    followed.edit("tools/stamp.py", "register(IniLayer())", "register(IniLayer(")
    result = followed.process("build", ECHO, code=None)
    assert result.code in (1, 2)
    result.said("error: the plugin 'tools.stamp' cannot be imported", "stamp.py", "was never closed", "hint: ")
    assert "Traceback" not in result.err
    followed.remove("tools/stamp.py")
    result = followed.process("build", ECHO, code=None)
    assert result.code in (1, 2)
    result.said("error: the plugin 'tools.stamp' cannot be imported", "No module named")
    assert "Traceback" not in result.err


def test_a_kind_that_no_plugin_registers(followed: Space) -> None:
    followed.edit("BUILD.yaml", "plugins: [tools.stamp]", "plugins: []")
    followed.process("build", ECHO, code=2).said("no kind of action is named 'ini_layer'", "workspace.plugins")


def test_a_bug_in_a_plugin_names_the_action(followed: Space) -> None:
    followed.edit("tools/stamp.py", 'values = step.params["values"]', 'values = step.params["vlaues"]')
    result = followed.process("build", ECHO, code=1)
    said = "error: threads: ini_layer failed unexpectedly: KeyError: 'vlaues' (tools/stamp.py:"
    result.said(said, "hint: this is a bug of a plugin", "the full log of build")
    assert "Traceback" not in result.err
    (log,) = re.findall(r"the full log of build \S+: (\S+)", result.err)
    assert "Traceback (most recent call last)" in Path(log).read_text()
    followed.process("build", ECHO, "--verbose", code=1).said("Traceback (most recent call last)", said)
    told = json.loads(followed.process("build", ECHO, "--json", code=1).out)
    assert [error["message"] for error in told["errors"]] == [result.err.partition("error: ")[2].partition("\n")[0]]


def test_a_bug_that_breaks_the_build_loop_is_one_error(followed: Space) -> None:
    """A listener that raises: no action is to blame, and what caught the action's error does not catch this."""
    followed.edit("tools/stamp.py", 'values = step.params["values"]', LISTENER)
    result = followed.process("build", ECHO, code=1)
    result.said("error: buildrules failed unexpectedly: ZeroDivisionError: division by zero (tools/stamp.py:")
    assert "Traceback" not in result.err
    (log,) = re.findall(r"the traceback is in (\S+)", result.err)
    assert "Traceback (most recent call last)" in Path(log).read_text()
    shutil.rmtree(followed.store)  # the action itself is done, and would not run again
    followed.process("build", ECHO, "-v", code=1).said("Traceback (most recent call last)", log.rpartition("/")[0])
    shutil.rmtree(followed.store)
    told = json.loads(followed.process("build", ECHO, "--json", code=1).out)
    assert told["build"]["state"] == "Failed"
    assert told["errors"][0]["message"].startswith("buildrules failed unexpectedly: ZeroDivisionError")


def test_an_edited_plugin_runs_again(followed: Space) -> None:
    report(followed)
    followed.edit("tools/stamp.py", "[server]", "[sErver]")
    assert report(followed).built == {"threads: ini_layer"}
    assert layer_of(followed) == "[sErver]\nthreads = 8\n"
    assert report(followed).executed == 0


def test_an_edited_helper_of_a_plugin_is_noticed(followed: Space) -> None:
    followed.write("tools/words.py", 'TITLE = "[one]"\n')
    followed.edit("tools/stamp.py", "class IniLayer", "from tools import words\n\n\nclass IniLayer")
    followed.edit("tools/stamp.py", '"[server]\\n"', 'words.TITLE + "\\n"')
    followed.process("build", ECHO)
    newest = max(path.stat().st_ctime for path in followed.root.rglob("*"))
    time.sleep(max(0.0, newest + 2.05 - time.time()))  # so that their rows are trusted
    followed.process("build", ECHO)
    followed.process("build", ECHO).said("0 built")
    followed.edit("tools/words.py", "one", "two")
    followed.process("build", ECHO).said("2 built")
    assert layer_of(followed) == "[two]\nthreads = 8\n"
