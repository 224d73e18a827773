"""A workspace of two packages with tests, in a repository with a remote; a registry, a shared cache, comments."""

import base64
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from buildrules.oci.docker_http import Engine
from tests.oci.registry.servers import PASSWORD, USER, htpasswd_auth, registry
from tests.support.comments import Comments
from tests.support.dockerlab import tidy
from tests.support.package_tests import TEST, answering
from tests.support.repository import Repository
from tests.support.space import Space

OTHER = """\
  other_code: {rule: scoring_code, srcs: ["other/**"], entry_script: score.py}
  other: {rule: model_package, model: ":m", base_env: ":env", server: ":server", code: ":other_code"}
"""


def needs_docker(test: Callable[..., None]) -> Callable[..., None]:
    """Packages are tested in it, and log in to a registry by it; the program in them is downloaded."""
    for mark in (pytest.mark.network, pytest.mark.docker, pytest.mark.xdist_group("docker")):
        test = mark(test)
    return test


class Project:
    """What a team has: `space` is where somebody works, `remote` the repository of all."""

    def __init__(self, space: Space, host: str, comments: Comments) -> None:
        self.space, self.host, self.comments = space, host, comments
        self.remote, self.cache = space.folder / "remote", space.folder / "cache"
        Repository(self.remote).git("config", "receive.denyCurrentBranch", "ignore")
        self.local = Repository(space.root)
        self.local.commit()
        self.local.git("remote", "add", "origin", f"file://{self.remote}")
        self.push("main")
        self.env = {key: value for key, value in space.env.items() if key not in ("HOME", "BUILDRULES_CACHE_DIR")}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{self.env['PATH']}"

    def push(self, ref: str) -> None:
        self.local.git("push", "-q", "-f", "origin", f"HEAD:refs/{ref}" if "/" in ref else f"HEAD:refs/heads/{ref}")

    def head(self) -> str:
        return self.local.git("rev-parse", "HEAD")

    def merge(self) -> None:
        """The branch that one is on is merged to main, which one is on then."""
        branch = self.local.git("branch", "--show-current")
        self.local.git("checkout", "-q", "main")
        self.local.git("merge", "-q", "--no-ff", "-m", "merge", branch)

    def tags(self, name: str) -> set[str]:
        """Those that a package has in the registry."""
        path = f"http://{self.host}/v2/team/{self.space.name}/{name}/tags/list"
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        with urlopen(Request(path, headers={"Authorization": f"Basic {login}"})) as answer:
            return set(json.load(answer)["tags"])

    def cached(self) -> set[Path]:
        """The files of the shared cache."""
        return {path for path in self.cache.rglob("*") if path.is_file()}


@pytest.fixture
def project(new_space: Callable[..., Space], busybox: bytes, engine: Engine, tmp_path: Path) -> Iterator[Project]:
    space = answering(new_space(), busybox)
    shutil.copytree(space.path("src"), space.path("other"))
    space.append("other/score", "# another\n")
    other = TEST.replace("app_test", "other_test").replace(":app", ":other")
    space.append("BUILD.yaml", OTHER + TEST + other)
    with registry(tmp_path / "registry", htpasswd_auth(tmp_path)) as host, Comments(PASSWORD) as comments:
        settings = f"default_registry: {host}/team\n  cache: {{remote: 'file://{space.folder}/cache'}}"
        space.edit("BUILD.yaml", f"  name: {space.name}\n", f"  name: {space.name}\n  {settings}\n")
        (space.folder / "cache").mkdir()
        space.run("lock", "//...")
        with tidy(engine, space.name):
            yield Project(space, host, comments)
