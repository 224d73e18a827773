"""What goes wrong with a server of the Remote Execution API while steps are run there: builds end right, or say why."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from buildrules.executors.engine import EngineError, LostInputError
from buildrules.executors.reapi.failures import call_failed
from buildrules.net.session import Session
from buildrules.remote.reapi import open_server
from buildrules.remote.rpc import failed
from tests.executors.test_away import built
from tests.support.casd import Casd, casd_server
from tests.support.processes import wait_for
from tests.support.space import Report, Space
from tests.support.watched_engine import Watched, build_there, outputs

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("reapi")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Casd]:
    """A server of one test's own."""
    with casd_server(tmp_path / "casd" / "content", jobs=2) as one:
        yield one


def stopped(server: Casd) -> None:
    """Stop the first step that the server runs."""
    end = time.monotonic() + 60
    while not (found := steps(server)):
        assert time.monotonic() < end, "no step was run"
    os.kill(found[0], signal.SIGSTOP)


def steps(server: Casd) -> list[int]:
    """The processes that run steps for the server."""
    assert server.process is not None
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            here = int((path / "stat").read_text().rpartition(")")[2].split()[3]) == server.process.pid  # its session
            if here and (path / "cmdline").read_bytes().startswith(b"tool/lib/ld-"):  # no longer bwrap
                found.append(int(path.name))
    return found


def begun(space: Space, server: Casd, tools: Path) -> tuple[dict[str, str | None], Popen[str]]:
    """What a build makes here; and one by the server that has begun, of which a step is stopped."""
    here = space.build("//...").digests
    shutil.rmtree(space.store)
    space.store.mkdir()
    shutil.copytree(tools, space.store / "interpreters", copy_function=os.link)
    space.edit("BUILD.yaml", "targets:", f"  executor: {{url: '{server.url}', shortest: 0}}\ntargets:")
    process = space.start("build", "//...", "--json")
    stopped(server)
    return here, process


def test_a_server_that_is_killed_and_comes_back(workspace: Space, server: Casd, tools: Path) -> None:
    here, process = begun(workspace, server, tools)
    server.kill()
    server.start()
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert Report(json.loads(out)).digests == here


def test_ctrl_c_ends_what_runs_there(workspace: Space, server: Casd, tools: Path) -> None:
    _, process = begun(workspace, server, tools)
    time.sleep(1)  # until the build has heard what the operation is called
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    wait_for(lambda: not steps(server))


def test_content_that_a_server_lost_is_sent_and_made_again(workspace: Space, server: Casd, tools: Path) -> None:
    workspace.run("lock")
    engine = Watched(server.url)
    first = outputs(build_there(workspace, engine, tools))
    ran = sorted(engine.ran)
    assert outputs(build_there(workspace, engine, tools)) == first
    assert sorted(engine.cached) == ran
    made = {digest for outputs in first.values() for digest in outputs.blobs.values()}
    for lost in (made, None):
        for file in (server.folder / "cas" / "objects").glob("*/*"):
            if lost is None or f"sha256:{file.parent.name}{file.name}" in lost:
                file.unlink()
        assert outputs(build_there(workspace, engine, tools)) == first


def test_a_result_without_what_was_declared_is_not_believed(workspace: Space, server: Casd, tools: Path) -> None:
    workspace.run("lock")
    engine = Watched(server.url)
    first = outputs(build_there(workspace, engine, tools))
    results = [path for path in (server.folder / "actioncache" / "objects").rglob("*") if path.is_file()]
    for path in results:
        path.write_bytes(b"\x20\0")  # an ActionResult: exit code 0, and no outputs
    assert len(results) == len(engine.ran)
    assert outputs(build_there(workspace, engine, tools)) == first


def test_a_step_that_fails_says_what_it_says_here(workspace: Space, casd: Casd, tools: Path, tmp_path: Path) -> None:
    workspace.edit("rules/tiny.yaml", "model: optional}", "model: optional, functions: [nowhere]}")
    workspace.run("lock")
    engine = Watched(casd.url)
    (here,) = built(workspace, tmp_path / "here", None).errors
    for _ in range(2):
        (error,) = build_there(workspace, engine, tools).errors
        assert (type(error), error.message, error.hint) == (type(here), here.message, here.hint)
    assert "entry_script" in engine.ran
    assert "entry_script" not in engine.cached


def test_a_failure_that_the_server_kept_is_tried_again(workspace: Space, tools: Path, tmp_path: Path) -> None:
    workspace.edit("rules/tiny.yaml", "model: optional}", "model: optional, functions: [nowhere]}")
    workspace.run("lock")
    with casd_server(tmp_path / "casd" / "content", jobs=2, failures=True) as server:
        engine = Watched(server.url)
        for _ in range(2):
            (error,) = build_there(workspace, engine, tools).errors
            assert "nowhere" in error.message
    assert engine.cached.count("entry_script") == 1
    assert engine.ran.count("entry_script") == 3, "the second build has asked once more"


def test_an_address_where_nobody_answers_as_it_should(workspace: Space, casd: Casd, tools: Path) -> None:
    workspace.run("lock")
    for url, said in (
        (casd.url.replace("grpc:", "grpcs:"), "it speaks no TLS"),
        ("grpc://127.0.0.1:1", "is it running"),
    ):
        engine = Watched(url)
        (error,) = build_there(workspace, engine, tools).errors  # of all steps one
        assert isinstance(error, EngineError)
        assert not engine.ran
        assert error.message.startswith(url)
        assert said in (error.hint or "")


def test_a_server_that_executes_nothing(workspace: Space, tools: Path, tmp_path: Path) -> None:
    workspace.run("lock")
    with casd_server(tmp_path / "casd" / "content") as server:
        (error,) = build_there(workspace, Watched(server.url), tools).errors
        kept = [path for path in (server.folder / "cas" / "objects").rglob("*") if path.is_file()]
        assert not [path for path in kept if path.stat().st_size], "nothing is sent"
    assert isinstance(error, EngineError)
    assert "it is a cache only, and executes nothing" in error.message


@pytest.mark.parametrize(
    ("code", "text", "said", "lost"),
    [
        ("INVALID_ARGUMENT", "Invalid instance name: [x]", "the path of the address is the instance", False),
        ("FAILED_PRECONDITION", "Blob not found", "--executor local", True),
        ("FAILED_PRECONDITION", "the queue is closed", "--executor local", False),
        ("FAILED_PRECONDITION", "unknown property: pool", "workspace.executor.properties", False),
        ("PERMISSION_DENIED", "who are you", "workspace.executor.connection", False),
        ("UNAVAILABLE", "connection refused", "is it running, and does it want TLS (grpcs://)?", False),
    ],
)
def test_each_refusal_has_a_way_out(code: str, text: str, said: str, lost: bool) -> None:
    server = open_server("grpc://127.0.0.1:1/x", Session())
    error = call_failed("grpc://127.0.0.1:1/x", server, failed(code, text))
    assert text in error.message
    assert said in (error.hint or "")
    assert isinstance(error, LostInputError) == lost
