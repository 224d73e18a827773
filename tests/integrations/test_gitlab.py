"""The component for GitLab, by the real bash: a push and merge requests, as far as a runner goes."""

from tests.integrations.conftest import Project, needs_docker
from tests.oci.registry.servers import PASSWORD, USER
from tests.support.github_runner import Job
from tests.support.gitlab_runner import Forge

BRANCH = "x$(touch${IFS}pwned)"


class GitLab:
    def __init__(self, project: Project) -> None:
        self.project = project
        secrets = {"BUILDRULES_TOKEN": PASSWORD, "CI_REGISTRY": project.host}
        secrets |= {"CI_REGISTRY_USER": USER, "CI_REGISTRY_PASSWORD": PASSWORD}
        folder = project.space.folder / "forge"
        self.forge = Forge(
            folder, project.remote, project.env, project.comments.url, secrets, {"shards": "2", "package": ""}
        )

    def pushed(self) -> Job:
        """What is in the workspace is pushed to main."""
        self.project.local.commit()
        self.project.push("main")
        jobs = self.forge.run("main", CI_PIPELINE_SOURCE="push", CI_COMMIT_BRANCH="main")
        assert list(jobs) == ["packages-push"]
        return jobs["packages-push"]

    def asked(self, source: str = "5") -> dict[str, Job]:
        """What is in the workspace is asked for by a merge request."""
        local = self.project.local
        local.git("checkout", "-q", "-B", BRANCH)
        local.commit("change")
        self.project.push(BRANCH)
        local.git("fetch", "-q", "origin")
        return self.forge.run(
            BRANCH,
            CI_PIPELINE_SOURCE="merge_request_event",
            CI_MERGE_REQUEST_IID="7",
            CI_MERGE_REQUEST_SOURCE_PROJECT_ID=source,
            CI_MERGE_REQUEST_DIFF_BASE_SHA=local.git("merge-base", "HEAD", "origin/main"),
        )


@needs_docker
def test_a_merge_request(project: Project) -> None:
    """It builds and tests the one package that it touches, and says so in one note; a fork has fewer rights."""
    gitlab, space, comments = GitLab(project), project.space, project.comments
    first = gitlab.pushed()
    assert first.result == "success" and project.tags("app") == {project.head(), "main"}, first.said

    space.append("src/score", "# more\n")
    jobs = gitlab.asked()
    assert list(jobs) == ["packages-affected", "1 of 2", "packages-comment"]
    said = jobs["1 of 2"].said
    assert "2 built, 5 reused" in said and "1 passed in" in said and "//:other" not in said
    assert not list(space.folder.rglob("pwned")), "what a branch is called is no command"
    assert "~ srv/cgi-bin/score  157 -> 164 bytes" in comments.all[2]
    assert comments.asked[-1] == "POST /projects/5/merge_requests/7/notes"

    space.edit("src/score", "1.0, 2.5", "1.0, 2.6")
    before = project.cached()
    jobs = gitlab.asked(source="6")
    assert {name: job.result for name, job in jobs.items()} == {
        "packages-affected": "success", "1 of 2": "failure", "packages-comment": "success",
    }  # fmt: skip
    assert "wrong answer: $.numbers[1]: off by 0.1" in jobs["1 of 2"].said
    assert project.cached() == before, "a fork fills no cache"
    assert comments.asked[-1] == "PUT /projects/5/merge_requests/7/notes/2" and len(comments.all) == 2

    space.edit("src/score", "# more\n", "")
    space.edit("src/score", "1.0, 2.6", "1.0, 2.5")
    jobs = gitlab.asked()
    assert [(name, job.result) for name, job in jobs.items()] == [
        ("packages-affected", "success"), ("nothing is affected", "success"), ("packages-comment", "success"),
    ]  # fmt: skip
    assert "No package differs." in comments.all[2]
