"""Two machines and the cache of `cache/nginx`: CI has the password and writes, a developer has none and reads."""

import shutil
from pathlib import Path

import pytest

from tests.support.cache_server import PASSWORD, cache_server
from tests.support.space import APP, Space

pytestmark = pytest.mark.network  # nginx is installed

SETTINGS = """\
  cache: {{remote: "{url}", connection: cache, signatures: "off"}}
  connections:
    cache: {{type: http, target: "{url}", credentials: {{username: ci, password: {{env: CACHE_PASSWORD}}}}}}
"""
CI = {"CI": "true", "CACHE_PASSWORD": PASSWORD}


def machine(space: Space, folder: Path) -> Space:
    """The same workspace elsewhere, with an empty store."""
    other = Space(folder, space.wheels)
    shutil.copytree(space.root, other.root)
    return other


def test_what_ci_built_is_not_built_again(workspace: Space, tmp_path: Path) -> None:
    with cache_server(tmp_path / "server") as server:
        workspace.edit("BUILD.yaml", "targets:\n", SETTINGS.format(url=server.url) + "targets:\n")
        first = workspace.build("//...", env=CI)
        assert first.executed > 0
        developer = machine(workspace, tmp_path / "developer")
        reads = developer.build("//...")
        assert (reads.executed, reads.digests) == (0, first.digests)
        assert "warning" not in reads.err
        developer.append("src/score.py", "# an idea\n")
        own = developer.build()
        assert 0 < own.executed < first.executed
        written = server.writes.read_text().splitlines()
        assert written and all(" ci " in line for line in written)


def test_a_cache_that_is_gone_costs_a_line(workspace: Space, tmp_path: Path) -> None:
    with cache_server(tmp_path / "server") as server:
        workspace.edit("BUILD.yaml", "targets:\n", SETTINGS.format(url=server.url) + "targets:\n")
        first = workspace.build(env=CI)
    alone = machine(workspace, tmp_path / "alone").run("build", APP)
    assert alone.err.count("warning") == 1
    assert "cannot be reached" in alone.err
    assert first.digest in alone.out
