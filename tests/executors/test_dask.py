"""Steps on a cluster of Dask: a scheduler with TLS, and three workers that have a key and the address of a cache."""

import functools
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.registry import Kinds
from buildrules.engine.events import Stream
from buildrules.engine.executor import LocalExecutor
from buildrules.engine.step import Step
from buildrules.errors import Interrupted, UsageError
from buildrules.executors.answer import opened
from buildrules.executors.dask.engine import DaskEngine
from buildrules.executors.dask.tls import SilentError
from buildrules.executors.engine import EngineError, LostInputError, Ran
from buildrules.executors.opening import open_engine
from buildrules.executors.task import Task, task_key
from buildrules.net.session import Session
from buildrules.remote.backend import Blob
from buildrules.remote.keys import PrivateKey, new_key
from buildrules.remote.trust import Trust
from buildrules.sha256 import digest_of
from buildrules.store.store import Store
from tests.executors.test_away import built
from tests.support.canary import Canary
from tests.support.certificates import authority, signed
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.local import Local
from tests.support.processes import runs, wait_for
from tests.support.relay import Counted
from tests.support.service import free_ports
from tests.support.space import Space

pytestmark = pytest.mark.xdist_group("dask")

KINDS = '''\
"""Kinds of steps that show what becomes of them, for `buildrules worker`."""
import os, signal, subprocess, sys

if "worker" in sys.orig_argv:
    from buildrules.actions.registry import register
    from buildrules.engine.action import Outputs
    from buildrules.engine.kind import Traits

    class Shown:
        name, version, traits = "shown", 1, Traits()

        def run(self, step, context):
            with open(step.params["log"], "a") as file:
                file.write(f"{os.getpid()} {os.environ['BUILDRULES_CACHE_DIR']}\\n")
            os.write(2, b"the last line\\n")
            subprocess.run(["/bin/sleep", str(step.params["seconds"])])
            if step.params.get("takes_along"):  # the Dask worker, which has started what has started this
                with open(f"/proc/{os.getppid()}/stat") as file:
                    os.kill(int(file.read().rpartition(")")[2].split()[1]), signal.SIGKILL)
            if step.params.get("dies"):
                os.kill(os.getpid(), signal.SIGSEGV)
            return Outputs()

    register(Shown())
'''


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return new_key("workers")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, cache: Path, key: PrivateKey) -> Iterator[DaskCluster]:
    folder = tmp_path_factory.mktemp("dask")
    (folder / "sitecustomize.py").write_text(KINDS)
    (folder / "key").write_text(key.text())
    (folder / "key").chmod(0o600)
    given = {"BUILDRULES_CACHE": f"file://{cache}", "BUILDRULES_SIGNING_KEY": str(folder / "key")}
    with dask_cluster(folder / "cluster", environment={**given, "PYTHONPATH": str(folder)}) as running:
        yield running


@pytest.fixture
def engines(cluster: DaskCluster, cache: Path) -> Iterator[Callable[..., DaskEngine]]:
    """Open engines, which are closed after the test."""
    made: list[DaskEngine] = []

    def make(url: str = "", **tls: Path) -> DaskEngine:
        files = {"authority": cluster.authority, "certificate": cluster.certificate, "key": cluster.key, **tls}
        settings: dict[str, Any] = {"root": "/", "tls": {name: str(path) for name, path in files.items()}}
        settings["cache"] = {"remote": [f"file://{cache}"]}
        made.append(open_engine(url or cluster.url, Session(), settings, print))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def here(folder: Path) -> LocalExecutor:
    session = Session()
    return LocalExecutor("/", Store(str(folder / "here")).blobs, session, session.own(Kinds), Stream())


def shown(log: Path, seconds: float = 0.0, **params: object) -> Task:
    return Task(Step("shown", 1, "a step", {"log": str(log), "seconds": seconds, **params}), {}, "main")


def begun(log: Path) -> list[tuple[str, int]]:
    """What ran: the process, and the number of the worker."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(pid, int(Path(store).parent.name[1:])) for pid, store in map(str.split, lines)]


class Noting:
    """An engine, and what it ran."""

    def __init__(self, engine: DaskEngine) -> None:
        self._engine = engine
        self.ran: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run(self, task: Task, *more: Any, **options: Any) -> Ran:
        ran = self._engine.run(task, *more, **options)
        self.ran.append((task.step.kind, ran.worker))
        return ran


def test_workers_make_the_same_and_the_scheduler_sees_no_content_and_no_secret(
    workspace: Space,
    tmp_path: Path,
    cluster: DaskCluster,
    engines: Callable[..., DaskEngine],
    key: PrivateKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from distributed import Client, Security  # which every process that collects tests would wait for

    canary = Canary()
    monkeypatch.setenv("A_SECRET", canary.text)
    workspace.write("weights/large.bin", os.urandom(12 << 20))
    local = built(workspace, tmp_path / "one", None)
    with Counted(cluster.port) as relay:
        engine = Noting(engines(f"dask+tls://127.0.0.1:{relay.port}"))
        trust = Trust("require", [key.public(("main",))])
        away = built(workspace, tmp_path / "two", engine, trust)  # type: ignore[arg-type]
        assert not away.errors, [error.log for error in away.errors]
        assert {name: one.outputs for name, one in away.outcomes.items()} == {
            name: one.outputs for name, one in local.outcomes.items()
        }
        assert {"files_layer", "wheel_layer", "inline_layer", "image", "installed"} <= {kind for kind, _ in engine.ran}
        assert {worker for _, worker in engine.ran} <= {"w1", "w2", "w3"}
        assert relay.passed < 2 << 20
        files = {
            "tls_ca_file": cluster.authority,
            "tls_client_cert": cluster.certificate,
            "tls_client_key": cluster.key,
        }
        security = Security(require_encryption=True, **{name: str(path) for name, path in files.items()})
        with Client(cluster.address, security=security, set_as_default=False) as admin:
            everything.__module__ = "__main__"  # it is sent as it is: the scheduler need not find this file
            imported, seen = admin.run_on_scheduler(everything)
    assert not imported
    assert len(seen) >= len(engine.ran)
    for text in seen:
        assert not canary.inside(text)
        assert str(tmp_path).encode() not in text


def everything(dask_scheduler: Any) -> tuple[bool, list[bytes]]:
    """Whether a scheduler has needed buildrules, and all that it knows of its tasks."""
    import pickle
    import sys

    found = [pickle.dumps((task.key, task.run_spec, task.annotations)) for task in dask_scheduler.tasks.values()]
    return "buildrules" in sys.modules, found


def test_another_key_than_the_workspace_trusts_is_refused(
    tmp_path: Path, engines: Callable[..., DaskEngine], key: PrivateKey
) -> None:
    task = shown(tmp_path / "log")
    ran = engines().run(task, here(tmp_path))
    name = task_key(task.data())
    assert opened(ran.answer, name, "main", Trust("require", [key.public(("main",))]), ran.worker)["outputs"]
    with pytest.raises(Exception, match=rf"worker {ran.worker} is refused: it is by an unknown writer"):
        opened(ran.answer, name, "main", Trust("require", [new_key("other").public(("main",))]), ran.worker)


def test_what_cannot_be_done_names_the_worker_and_its_last_lines(
    tmp_path: Path, engines: Callable[..., DaskEngine]
) -> None:
    engine, context = engines(), here(tmp_path)
    with pytest.raises(EngineError, match=r"worker w\d: the process of the step was killed by signal 11") as died:
        engine.run(shown(tmp_path / "log", dies=True), context)
    assert "the last line" in str(died.value.log)
    assert len(begun(tmp_path / "log")) == 3
    foreign = shown(tmp_path / "other")._replace(program="0.0.9")
    with pytest.raises(EngineError, match=r"the task is of buildrules 0\.0\.9 .* and this worker has"):
        engine.run(foreign, context)
    digest = digest_of(b"nowhere")
    lost = shown(tmp_path / "other")._replace(blobs={digest: 7})
    with pytest.raises(LostInputError, match=r"worker w\d lacks what it needs: file:.* has no sha256:"):
        engine.run(lost, context)
    assert not (tmp_path / "other").exists()
    assert engine.depot.place.write(Blob(digest, 7), lambda: [b"nowhere"])
    engine.run(lost, context)
    assert len(begun(tmp_path / "other")) == 1
    engine.run(shown(tmp_path / "log", note="x" * 100_000), context)  # which no scheduler sees


@pytest.mark.slow
def test_a_step_that_kills_workers_is_given_up(tmp_path: Path, engines: Callable[..., DaskEngine]) -> None:
    task = shown(tmp_path / "log", takes_along=True)
    with pytest.raises(EngineError, match=r"the workers of dask.* die of it, the last one was tls://127"):
        engines().run(task, here(tmp_path))


def test_two_clients_have_each_step_run_once(tmp_path: Path, engines: Callable[..., DaskEngine]) -> None:
    both, context = [engines(), engines()], here(tmp_path)
    with ThreadPoolExecutor(24) as pool:
        asked = []
        for engine in both:
            for number in range(12):
                task = shown(tmp_path / str(number), 0.05)
                asked.append(pool.submit(engine.run, task, context))
            wait_for(functools.partial(begun, tmp_path / "0"))
        answers = [one.result().answer for one in asked]
    assert [len(begun(tmp_path / str(number))) for number in range(12)] == [1] * 12
    assert answers[:12] == answers[12:]


def test_a_build_outlives_a_worker_and_the_scheduler(
    tmp_path: Path, cluster: DaskCluster, engines: Callable[..., DaskEngine]
) -> None:
    engine, context = engines(), here(tmp_path)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(engine.run, shown(tmp_path / "one", 1.0), context)
        wait_for(lambda: bool(begun(tmp_path / "one")))
        ((_, killed),) = begun(tmp_path / "one")
        cluster.kill_worker(killed)
        assert asked.result().worker in {"w1", "w2", "w3"} - {f"w{killed}"}
        cluster.start_worker(killed)
        asked = pool.submit(engine.run, shown(tmp_path / "two", 1.0), context)
        wait_for(lambda: bool(begun(tmp_path / "two")))
        cluster.kill_scheduler()
        cluster.start_scheduler()
        assert asked.result().answer


def test_what_no_worker_has_is_not_waited_for(
    tmp_path: Path, engines: Callable[..., DaskEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildrules.executors.opening.QUEUED", 0)  # seconds, of all engines where no setting says so
    task = shown(tmp_path / "log")._replace(properties={"GPU": "1"})
    with pytest.raises(EngineError, match=r"no worker of dask.* has what the task asks for \(GPU=1\)"):
        engines().run(task, here(tmp_path))
    with pytest.raises(UsageError, match="resources of Dask are numbers"):
        engines().run(task._replace(properties={"GPU": "some"}), here(tmp_path))


def test_ctrl_c_ends_the_step_there(tmp_path: Path, engines: Callable[..., DaskEngine]) -> None:
    engine, context = engines(), here(tmp_path)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(engine.run, shown(tmp_path / "log", 250.0625), context)
        wait_for(lambda: runs(["/bin/sleep", "250.0625"]))
        context.cancel()
        with pytest.raises(Interrupted):
            asked.result()
    wait_for(lambda: not runs(["/bin/sleep", "250.0625"]))


def test_dask_logs_nothing_while_it_is_in_use(
    tmp_path: Path, engines: Callable[..., DaskEngine], caplog: pytest.LogCaptureFixture
) -> None:
    engine, dask = engines(), logging.getLogger("distributed")
    dask.addHandler(caplog.handler)
    dask.error("before")
    engine.run(shown(tmp_path / "log"), here(tmp_path))
    dask.error("meanwhile")
    engine.close()
    dask.error("afterwards")
    dask.removeHandler(caplog.handler)
    assert {"before", "afterwards"} <= {*caplog.messages} and "meanwhile" not in caplog.messages


def test_who_speaks_to_what_is_not_this_cluster_is_told_so_at_once(
    tmp_path: Path, engines: Callable[..., DaskEngine]
) -> None:
    context, task = here(tmp_path), shown(tmp_path / "log")
    for url in ("dask+tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"):
        with pytest.raises(UsageError, match="without TLS"):
            engines(url)
    with pytest.raises(UsageError, match="needs a shared cache: content of steps lies there"):
        open_engine("dask+tls://127.0.0.1", Session(), {"root": "/", "cache": {}}, print)
    other = authority(tmp_path, "other")
    with pytest.raises(EngineError, match="a certificate that is not of the cluster's authority"):
        engines(authority=other).run(task, context)
    stranger = signed(tmp_path, "stranger", other)
    with pytest.raises(EngineError, match="refuses the certificate of this client"):
        engines(certificate=stranger, key=stranger.with_suffix(".key")).run(task, context)
    nobody = free_ports(1)[0]
    with pytest.raises(EngineError, match="does not answer: connection refused"):
        engines(f"dask+tls://127.0.0.1:{nobody}").run(task, context)
    with Counted(nobody) as proxy, pytest.raises(SilentError):  # of a scheduler that is away
        engines(f"dask+tls://127.0.0.1:{proxy.port}").run(task, context)
    with Local(lambda request: request.send(200)) as plain, pytest.raises(EngineError, match="does not speak TLS"):
        engines(f"dask+tls://{plain.host}").run(task, context)
