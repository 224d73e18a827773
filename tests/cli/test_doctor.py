"""`doctor` says what is wrong under the conditions themselves, and how to mend it."""

import email.utils
import json
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support.space import Space


def found(space: Space, code: int = 0, **env: str) -> dict[str, list[dict[str, Any]]]:
    """The findings by what they are about."""
    out = space.run("doctor", "--json", code=code, env=env).out
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(out)["findings"]:
        rows.setdefault(row["about"], []).append(row)
    return rows


def _section(space: Space, lines: str) -> None:
    space.edit("BUILD.yaml", "  name: acme\n", f"  name: acme\n{lines}")


@pytest.fixture
def late() -> Iterator[str]:
    """The address of a cache with nothing in it, whose clock is an hour ahead."""

    class Handler(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return email.utils.formatdate(time.time() + 3600, usegmt=True)

        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_sound_workspace(workspace: Space) -> None:
    rows = found(workspace)
    for about in ("buildrules", "store", "uv", "git", "namespaces", "certificates", "workspace"):
        assert [row["state"] for row in rows[about]] == ["good"], rows[about]
    assert "6 targets in 1 packages" in rows["workspace"][0]["text"]


def test_an_engine_that_is_not_there_is_a_note(workspace: Space) -> None:
    (row,) = found(workspace, DOCKER_HOST="unix:///nowhere")["docker"]
    assert row["state"] == "lacking"
    assert "DOCKER_HOST" in row["remedy"]


def test_a_store_without_room(workspace: Space, small_disk: Path) -> None:
    rows = found(workspace, 1, BUILDRULES_CACHE_DIR=str(small_disk / "store"))["store"]
    assert [row["state"] for row in rows] == ["broken"]
    assert "free at" in rows[0]["text"] or "no space" in rows[0]["text"]
    assert "BUILDRULES_CACHE_DIR" in rows[0]["remedy"]


def test_a_store_that_cannot_be_written(workspace: Space, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (row,) = found(workspace, 1, BUILDRULES_CACHE_DIR=str(tmp_path / "file" / "store"))["store"]
    assert row["state"] == "broken"


def test_errors_of_the_workspace_are_listed_with_their_places(workspace: Space) -> None:
    workspace.edit("BUILD.yaml", "rule: model,", "rule: modl,")
    workspace.edit("BUILD.yaml", "rule: scoring_code,", "rule: scoring_cod,")
    rows = found(workspace, 1)["workspace"]
    assert [row["state"] for row in rows[:2]] == ["broken", "broken"]
    assert rows[0]["text"].startswith("BUILD.yaml:")
    assert rows[0]["remedy"] == "did you mean 'model'?"


@pytest.mark.parametrize(
    ("setting", "clash"),
    [
        ("", True),
        ('# build_patterns = ["BUILD"]', True),
        ('build_patterns = ["BUILD", "BUILD.*"]', True),
        ('build_patterns = ["BUILD", "BUILD.pants"]', False),
        ('build_patterns.remove = ["BUILD.*"]', False),
        ('build_patterns.add = ["BUILD.pants"]', True),
        ('build_ignore = ["**/BUILD.yaml"]', False),
        ('build_ignore = ["dist/"]', True),
        ('pants_ignore.add = ["models/"]', True),
    ],
)
def test_pants_takes_our_files_for_its_own(workspace: Space, setting: str, clash: bool) -> None:
    (workspace.folder / ".git").mkdir()
    workspace.write("../pants.toml", f'[GLOBAL]\npants_version = "2.30.0"\n{setting}\n')
    rows = found(workspace, int(clash)).get("pants", [])
    assert [row["state"] for row in rows] == ["broken"] * clash
    assert all('build_patterns = ["BUILD", "BUILD.pants"]' in row["remedy"] for row in rows)


def test_a_damaged_file_of_pants_is_a_note(workspace: Space) -> None:
    workspace.write("pants.toml", "[GLOBAL\n")
    (row,) = found(workspace)["pants"]
    assert row["state"] == "lacking"


def test_a_cache_with_another_clock(workspace: Space, late: str) -> None:
    rows = found(workspace, BUILDRULES_CACHE=late)
    assert rows["cache"][0]["state"] == "good"
    assert "later than this machine does" in rows["clock"][0]["text"]


@pytest.mark.parametrize(
    ("url", "said"), [("http://127.0.0.1:9", "127.0.0.1:9"), ("foo://x", "schemes:"), ("file:///nowhere", "nowhere")]
)
def test_a_cache_that_does_not_answer(workspace: Space, url: str, said: str) -> None:
    (row,) = found(workspace, 1, BUILDRULES_CACHE=url)["cache"]
    assert row["state"] == "broken"
    assert said in row["text"] + row["remedy"]


def test_conda_by_whatever_rule(workspace: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rattler", None)
    assert "conda" not in found(workspace)
    workspace.write("conda.yaml", "channels: [conda-forge]\ndependencies: [numpy]\n")
    workspace.edit("BUILD.yaml", "    requirements: [numlib==1.0]\n", "    conda_file: conda.yaml\n    solver: conda\n")
    (row,) = found(workspace, 1)["conda"]
    assert "buildrules[conda]" in row["remedy"]


def test_secrets_that_cannot_be_read(workspace: Space) -> None:
    feed = '{type: python_feed, target: "https://127.0.0.1:9/simple", credentials: {pat: {env: NO_SUCH_TOKEN}}}'
    _section(workspace, f"  connections:\n    feed: {feed}\n")
    (row,) = found(workspace, 1)["connection feed"]
    assert "NO_SUCH_TOKEN" in row["text"]
    (row,) = found(workspace, NO_SUCH_TOKEN="hunter22hunter22")["connection feed"]
    assert row["state"] == "good"


def test_a_registry_that_does_not_answer(workspace: Space) -> None:
    _section(workspace, "  default_registry: 127.0.0.1:9/models\n")
    (row,) = found(workspace, 1)["registry"]
    assert row["state"] == "broken"
    assert "127.0.0.1:9" in row["text"]


def test_certificates_that_are_none(workspace: Space) -> None:
    workspace.write("ca.pem", "nothing\n")
    _section(workspace, "  tls: {certificates: ca.pem}\n")
    rows = found(workspace, 1)["certificates"]
    assert rows[0]["state"] == "broken"


def test_it_says_it_in_lines(workspace: Space) -> None:
    workspace.write("pants.toml", "")
    out = workspace.run("doctor", code=1).out
    assert "BROKEN  pants: by " in out
    assert "ok      uv: " in out


def test_an_executor_that_is_not_there_is_broken(workspace: Space) -> None:
    assert "executor" not in found(workspace)
    (row,) = found(workspace, code=1, BUILDRULES_EXECUTOR="grpc://127.0.0.1:1")["executor"]
    assert row["state"] == "broken"
    assert "grpc://127.0.0.1:1 does not answer" in row["text"]
    assert "--executor local" in row["remedy"]
