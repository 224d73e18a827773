"""The workflow and the actions for GitHub, by the real bash: a pull request and a merge, as far as a runner goes."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.conftest import Project, needs_docker
from tests.oci.registry.servers import PASSWORD, USER
from tests.support.github_runner import ROOT, Forge, Job, Machine
from tests.support.repository import Repository
from tests.support.space import Space, wheel

WORKFLOW = ROOT / "integrations/github/packages.yml"
PATH = os.environ["PATH"]
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """\
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

def build_wheel(folder, *_):
    (wheel,) = Path().glob("*.whl")
    shutil.copy(wheel, folder)
    return wheel.name
"""
BRANCH = 'x";touch${IFS}pwned;"'


class GitHub:
    def __init__(self, project: Project) -> None:
        self.project = project
        folder = project.space.folder / "forge"
        self.forge = Forge(
            folder, project.remote, project.env, project.comments.url, PASSWORD, {"REGISTRY": project.host}, USER
        )

    def merged(self, sha: str = "") -> dict[str, Job]:
        """What is in the workspace is pushed to main; the workflow runs at an older commit if one is given."""
        self.project.local.commit()
        self.project.push("main")
        return self.forge.run(WORKFLOW, "push", {"before": "0" * 40}, "refs/heads/main", sha)

    def asked(self, workflow: Path = WORKFLOW, owner: str = "acme") -> dict[str, Job]:
        """What is in the workspace is asked for by a pull request, whose merge GitHub makes."""
        local = self.project.local
        local.git("fetch", "-q", "origin")
        local.git("checkout", "-q", "-B", BRANCH)
        head = local.commit("change")
        local.git("checkout", "-q", "--detach", "origin/main")
        local.git("merge", "-q", "--no-ff", "-m", "merge", head)
        self.project.push("pull/7/merge")
        local.git("checkout", "-q", BRANCH)
        pull: dict[str, Any] = {"number": 7, "base": {"ref": "main"}}
        pull["head"] = {"ref": BRANCH, "repo": {"full_name": f"{owner}/models"}}
        return self.forge.run(workflow, "pull_request", {"pull_request": pull, "before": head}, "refs/pull/7/merge")

    def changes(self) -> list[str]:
        return [text for text in self.project.comments.all.values() if text.startswith("<!-- buildrules")]


@pytest.fixture
def github(project: Project) -> GitHub:
    return GitHub(project)


def results(jobs: dict[str, Job]) -> dict[str, str]:
    return {name: job.result for name, job in jobs.items()}


@needs_docker
def test_a_pull_request_and_its_merge(github: GitHub) -> None:
    """It builds and tests the one package that it touches, and says so in one comment; the merge is pushed."""
    space, comments = github.project.space, github.project.comments
    first, old = github.merged()["push"], github.project.head()
    assert (first.result, comments.asked) == ("success", []), first.said
    assert github.project.tags("app") == {old, "main"}

    space.append("src/score", "# more\n")
    jobs = github.asked()
    assert results(jobs) == {"affected": "success", "1 of 4": "success", "comment": "success", "packages": "success"}
    assert '"labels": "//:app", "tests": "//:app_test"}]' in jobs["affected"].summary
    said = jobs["1 of 4"].said
    assert "2 built, 5 reused" in said and "1 passed in" in said and "//:other" not in said
    assert not list(space.folder.rglob("pwned")), "what a branch is called is no command"
    (comment,) = github.changes()
    assert "-> `//:app`**" in comment.replace("→", "->") and "~ srv/cgi-bin/score  157 -> 164 bytes" in comment
    assert comments.asked[-1] == "POST /repos/acme/models/issues/7/comments"

    comments.all |= dict.fromkeys(range(3, 150), "no")
    comments.all[150] = comments.all.pop(2)
    again = github.asked()["1 of 4"].said
    assert "0 built, 7 reused" in again and "1 cached in" in again, again
    assert github.changes() == [comment]
    assert comments.asked[-1] == "PATCH /repos/acme/models/issues/comments/150", "it is found behind a hundred others"

    github.project.merge()
    pushed = github.merged()["push"]
    assert "0 B sent" not in pushed.said and github.project.head() in github.project.tags("app"), pushed.said
    again = github.merged()["push"]
    assert "  built  " not in again.said and "0 B sent, 2 tags moved" in again.said, again.said
    assert "app:main  all there" in again.said
    late = github.merged(old)["push"]
    assert f"app:{old}  all there" in late.said and "app:main" not in late.said, "the branch's tag is of the newest"


@needs_docker
def test_a_fork_and_a_shallow_clone(github: GitHub, tmp_path: Path) -> None:
    """A fork gets no token and fills no cache; a failed test fails its job, and what differs is told all the same. What
    is built on main is kept where it fails."""
    project, shallow = github.project, tmp_path / "packages.yml"
    shallow.write_text(WORKFLOW.read_text().replace("fetch-depth: 0", "fetch-depth: 1", 1))
    project.space.edit("src/score", "1.0, 2.5", "1.0, 2.6")
    before = project.cached()
    jobs = github.asked(shallow, owner="eve")
    assert "the clone is shallow: the rest of its history is fetched" in jobs["affected"].said
    assert results(jobs) == {"affected": "success", "1 of 4": "failure", "comment": "success", "packages": "failure"}
    assert "wrong answer: $.numbers[1]: off by 0.1" in jobs["1 of 4"].said
    assert "~ srv/cgi-bin/score" in jobs["comment"].summary
    assert (project.comments.asked, project.cached()) == ([], before)
    project.merge()
    jobs = github.merged()
    assert results(jobs) == {"push": "failure", "packages": "failure"}
    assert "//:app_test failed" in jobs["push"].said
    assert list(project.space.folder.glob("forge/caches/*/*")), "what was built is kept"


@pytest.mark.parametrize("package", ["buildrules==9.1", ""])
def test_setting_up_installs_what_is_asked_for(package: str, tmp_path: Path) -> None:
    """Or else the repository that the action is in; and nothing where the runner has it, which the other tests show."""
    actions = tmp_path / "actions"
    shutil.copytree(ROOT / "integrations", actions / "integrations")
    name, data = wheel("buildrules", "9.1" if package else "9.2")
    wheels = tmp_path / "wheels" if package else actions
    wheels.mkdir(exist_ok=True)
    (wheels / name).write_bytes(data)
    (actions / "pyproject.toml").write_text(PROJECT)
    (actions / "backend.py").write_text(BACKEND)
    path = ":".join(one for one in PATH.split(":") if not Path(one, "buildrules").exists())
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "PATH": path}
    forge = Forge(tmp_path, tmp_path, env, actions=actions)
    given = {"package": package, "shared-cache": "https://cache.example.com", "restore": "false"}
    machine = Machine(forge, {"github": {"sha": "1234", "ref": "", "repository": ""}})
    machine.job({"steps": [{"uses": "OWNER/buildrules/integrations/github/setup@REV", "with": given}]})
    assert machine.found.result == "success", machine.found.said
    program = Path(machine.path[0]) / "buildrules"
    assert program.exists() and list(program.parents[1].glob(f"lib/*/site-packages/{name.split('-py')[0]}.dist-info"))
    assert machine.env["BUILDRULES_CACHE"] == "https://cache.example.com"
    assert machine.env["BUILDRULES_CACHE_DIR"] == f"{machine.home}/.cache/buildrules"


def test_what_was_there_before_a_forced_push(new_space: Callable[..., Space], tmp_path: Path) -> None:
    """It is fetched; where it is gone what counts is where the branches parted."""
    space = new_space()
    local = Repository(space.root)
    main = local.commit()
    space.append("src/score.py", "# one\n")
    one = local.commit()
    local.git("reset", "-q", "--hard", main)
    space.append("src/score.py", "# two\n")
    two = local.commit()
    remote = Repository(tmp_path / "remote")
    remote.git("config", "uploadpack.allowAnySHA1InWant", "true")  # as GitHub has it
    for sha, branch in ((main, "base"), (one, "late"), (two, "topic")):
        local.git("push", "-q", f"file://{remote.root}", f"{sha}:refs/heads/{branch}")
    remote.git("update-ref", "-d", "refs/heads/late")
    env = {"PATH": f"{Path(sys.executable).parent}:{PATH}"}

    def asked(before: str, sha: str) -> Job:
        forge = Forge(tmp_path, remote.root, env)
        event = {"before": before, "repository": {"default_branch": "base"}}
        github = {"event_name": "push", "event": event, "sha": sha, "ref": "", "repository": "", "base_ref": ""}
        steps: list[dict[str, Any]] = [
            {"uses": "actions/checkout@v4", "with": {"fetch-depth": "0"}},
            {"id": "ask", "uses": "OWNER/buildrules/integrations/github/affected@REV"},
        ]
        outputs = {name: f"${{{{ steps.ask.outputs.{name} }}}}" for name in ("since", "any")}
        return Machine(forge, {"github": github}).job({"steps": steps, "outputs": outputs})

    found = asked(one, two)
    assert found.outputs == {"since": one, "any": "true"}, found.said
    found = asked("1" * 40, two)
    assert found.outputs == {"since": main, "any": "true"}, found.said
    assert "is gone: what counts is where the branch and base parted" in found.said
    found = asked("1" * 40, main)
    assert found.result == "failure"
    assert "nothing is left to compare with" in found.said
