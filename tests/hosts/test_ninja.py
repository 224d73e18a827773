"""`export-to ninja`, run by ninja."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from buildrules.errors import UsageError
from buildrules.guest.build import depfile_text
from buildrules.hosts.export import Export, Target
from buildrules.hosts.ninja import _path, files
from tests.support.space import APP, Space

ROOT = Path(__file__).parents[2]
OTHER = "//:other"
_SECOND = """\
  other: {rule: model_package, model: ":m", base_env: ":env", server: ":server", code: ":other_code"}
  other_code: {rule: scoring_code, srcs: ["other/**"], entry_script: score.py}
"""


class Ninja:
    """A workspace with two packages, and ninja in it."""

    def __init__(self, space: Space) -> None:
        self.space = space
        space.write("other/score.py", "def run(data):\n    return 2\n")
        space.append("BUILD.yaml", _SECOND)
        space.write("bin/buildrules", f'#!/bin/sh\nexec "{sys.executable}" -m buildrules "$@"\n', 0o755)

    @staticmethod
    def env(space: Space) -> dict[str, str]:
        path = f"{space.root}/bin:{Path(sys.executable).parent}:{space.env['PATH']}"
        return {**space.env, "PATH": path, "PYTHONPATH": str(ROOT)}

    def run(self, *words: str, code: int = 0) -> list[str]:
        """What the edges that ran are called, but for the one that writes build.ninja."""
        done = subprocess.run(
            ["ninja", *words],
            cwd=self.space.root,
            env=self.env(self.space),
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        self.said = done.stdout
        return sorted(re.findall(r"^\[\d+/\d+\] (?!buildrules)(.*)$", done.stdout, re.M))

    def digest(self, name: str, layout: str = "") -> str:
        return self.space.path(f"buildrules-out/{name}{layout}/digest").read_text().strip()


@pytest.fixture
def ninja(workspace: Space) -> Ninja:
    found = Ninja(workspace)
    workspace.run("export-to", "ninja")
    return found


def test_ninja_builds_what_has_changed(ninja: Ninja) -> None:
    space = ninja.space
    assert [name for name in ninja.run() if not name.startswith("fetch ")] == [f"build {APP}", f"build {OTHER}"]
    assert {name: ninja.digest(name) for name in ("app", "other")} == {
        label.removeprefix("//:"): digest
        for label, digest in space.build("//...").digests.items()
        if label in (APP, OTHER)
    }
    ninja.run()  # that build.ninja was written has it look at the folder once more
    ninja.run()
    assert "no work to do" in ninja.said

    space.append("src/score.py", "# edited\n")
    assert ninja.run() == [f"build {APP}"]
    assert ninja.digest("app") == space.build().digest
    assert ninja.run() == []


def test_what_an_index_has_is_fetched_once(ninja: Ninja) -> None:
    space = ninja.space
    assert "sha256:" not in space.path("buildrules-out/app/inputs").read_text()
    space.run("export-to", "ninja", "--urls")
    wanted = {f"fetch {path.name}" for path in space.wheels.glob("numlib-*.whl")}
    assert wanted & set(ninja.run(APP))
    assert ninja.digest("app") == space.build().digest
    space.write("src/late.py", "late = True\n")  # and so build.ninja is written again
    assert ninja.run(APP) == [f"build {APP}"]
    assert "sha256:" in space.path("buildrules-out/app/inputs").read_text()


def test_a_file_that_a_glob_finds_is_noticed(ninja: Ninja) -> None:
    space = ninja.space
    ninja.run()
    before = ninja.digest("app"), ninja.digest("other")
    space.write("src/late.py", "late = True\n")
    assert ninja.run() == [f"build {APP}"]
    assert ninja.digest("app") == space.build().digest != before[0]
    space.write("src/deep/er/late.py", "late = True\n")
    assert f"build {APP}" in ninja.run()
    assert ninja.digest("app") == space.build().digest
    space.remove("src/late.py")
    assert f"build {APP}" in ninja.run()
    assert ninja.digest("app") == space.build().digest
    assert ninja.digest("other") == before[1]
    shutil.rmtree(space.path("buildrules-out"))
    space.append("BUILD.yaml", _SECOND.replace("other:", "third:", 1).replace("  other_code", "  # other_code"))
    assert "build //:third" in ninja.run()


def test_a_rule_that_names_another_file_is_noticed(ninja: Ninja) -> None:
    space = ninja.space
    space.write("rules/a.py", "here = 'a'\n")
    space.write("rules/b.py", "here = 'b'\n")
    rule = space.path("rules/tiny.yaml").read_text()
    space.write("rules/tiny.yaml", rule + "files:\n  /opt/x.py: {source: a.py}\n")
    space.run("export-to", "ninja")
    ninja.run()
    before = ninja.digest("app")
    space.write("rules/tiny.yaml", rule + "files:\n  /opt/x.py: {source: b.py}\n")
    ninja.run()
    assert ninja.digest("app") == space.build().digest != before
    again = next(line for line in space.path("build.ninja").read_text().splitlines() if ": buildrules_again " in line)
    assert "src/score.py" not in again


def test_outputs_that_stay_the_same_end_there(ninja: Ninja) -> None:
    space = ninja.space
    copy = "rule copy\n  command = cp $in $out\nbuild copied: copy buildrules-out/app/digest\n"
    space.write("own.ninja", f"subninja build.ninja\n{copy}")
    assert "cp buildrules-out/app/digest copied" in ninja.run("-f", "own.ninja", "copied")
    os.utime(space.path("src/score.py"))
    assert ninja.run("-f", "own.ninja", "copied") == [f"build {APP}"]


def test_a_layout_is_made_when_it_is_asked_for(ninja: Ninja) -> None:
    assert f"build {APP}.layout" in ninja.run(f"{APP}.layout")
    index = ninja.space.path("buildrules-out/app/layout/layout/index.json").read_text()
    assert ninja.digest("app", "/layout") in index
    assert not ninja.space.path("buildrules-out/app/digest").exists()


def test_check_and_hostile_names(ninja: Ninja) -> None:
    space = ninja.space
    space.run("export-to", "ninja", "--check").said("0 of 3 files would change")
    space.write("src/a b$c:d#e.py", "")
    space.run("export-to", "ninja", "--check", code=1).said("build.ninja")
    ninja.run()
    space.run("export-to", "ninja")
    ninja.run()
    assert ninja.digest("app") == space.build().digest
    ninja.run()
    assert "no work to do" in ninja.said
    space.write("src/a|b.py", "")
    space.run("export-to", "ninja", code=2).said("cannot stand in a build.ninja", "src/a|b.py")


def test_a_workspace_below_the_hosts_root(new_space: Callable[..., Space]) -> None:
    found = Ninja(new_space())
    found.space.run("export-to", "ninja", APP, "--dir", "..")
    subprocess.run(["ninja"], cwd=found.space.folder, env=found.env(found.space), check=True)
    digest = (found.space.folder / "buildrules-out/app/digest").read_text().strip()
    assert digest == found.space.build().digest


def test_a_build_ninja_of_somebody_else_is_left_alone(workspace: Space) -> None:
    workspace.write("build.ninja", "# mine\n")
    workspace.run("export-to", "ninja", code=2).said("that export-to has not written")
    assert workspace.path("build.ninja").read_text() == "# mine\n"


def test_content_is_fetched_by_its_digest(workspace: Space, tmp_path: Path) -> None:
    good = tmp_path / "it's $HOME.whl"
    good.write_text("good")
    (tmp_path / "bad.whl").write_text("bad")
    sha256 = hashlib.sha256(b"good").hexdigest()
    place = workspace.path(f"buildrules-out/content/{sha256}")

    def fetch(*urls: str, code: int) -> str:
        content = [{"name": "a.whl", "sha256": sha256, "size": 4, "urls": urls}]
        target = Target(APP, "linux/amd64", ["BUILD.yaml"], [], content)
        root = str(workspace.root)
        texts = files(Export(root, root, [target], [], [], [""], lambda _: None))
        for name, text in texts.items():
            workspace.write(name, text)
        command = ["ninja", "-C", root, os.path.relpath(place, root)]
        done = subprocess.run(command, env=Ninja.env(workspace), check=False, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    assert "not to be had: a.whl" in fetch(f"file://{tmp_path}/gone.whl", f"file://{tmp_path}/bad.whl", code=1)
    assert not place.exists()
    fetch(f"file://{tmp_path}/bad.whl", good.as_uri(), code=0)
    assert place.read_text() == "good"


def _refused(path: str) -> bool:
    target = Target(APP, "linux/amd64", [path], [], [])
    try:
        files(Export("/ws", "/ws", [target], [], [], [""], lambda _: None))
    except UsageError:
        return True
    return False


def test_names_that_are_not_refused_are_found_in_depfiles(tmp_path: Path) -> None:
    """Else they are built for ever; of all pairs of signs."""
    assert all(map(_refused, ("s/a\\ b", "s/end\\", "s/*.py", "s/a:", "s/a\\#b", "s/a\\$b")))
    signs = list(" aé!\"#$%&'()*+,-.:;<=>?@[\\]^_`{}~")
    names = [f"s/{one}{two}{end}" for one in signs for two in signs for end in ("", "b")]
    names = [name for name in names if not re.search(r"[\"&'*;<>?^`]", name) and name not in ("s/..",)]
    names = [name for name in names if not _refused(name)]
    assert len(names) > 800
    rule = "rule r\n  command = cp $out.dep $out.d && touch $out\n  depfile = $out.d\n  deps = gcc\n"
    (tmp_path / "s").mkdir()
    for number, name in enumerate(names):
        (tmp_path / name).touch()
        (tmp_path / f"{number}.dep").write_text(depfile_text(str(number), [name]))
        rule += f"build {number}: r {_path(name)}\n"
    (tmp_path / "build.ninja").write_text(rule)
    subprocess.run(["ninja", "--quiet"], cwd=tmp_path, check=True)
    done = subprocess.run(["ninja"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "no work to do" in done.stdout
