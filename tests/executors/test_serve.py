"""`buildrules worker` with tasks on lines of its standard input: what it answers, and what becomes of its store."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from buildrules.actions.registry import Kinds
from buildrules.engine.action import SourceFile
from buildrules.engine.step import Step
from buildrules.errors import IntegrityError
from buildrules.executors.answer import LARGEST, opened
from buildrules.executors.serve import shrink
from buildrules.executors.task import Task, task_key
from buildrules.net.session import Session
from buildrules.remote.trust import Trust
from buildrules.sha256 import digest_of
from buildrules.store.store import Store
from tests.support.canary import Canary
from tests.support.service import free_ports


class Beside:
    """A worker, with a cache that is a folder unless `caches` says something else."""

    def __init__(self, folder: Path, caches: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        (self.cache).mkdir(parents=True, exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "BUILDRULES_CACHE_DIR": str(folder / "store")}
        env["BUILDRULES_CACHE"] = f"file://{self.cache}" if caches is None else caches
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "buildrules", "worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**env, "PYTHONPATH": str(Path(__file__).parents[2]), **(environment or {})},
        )

    def __enter__(self) -> "Beside":
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0

    def ask(self, request: Any) -> dict[str, Any]:
        return self.line(json.dumps(request).encode())

    def line(self, text: bytes) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(text + b"\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def keep(self, data: bytes) -> str:
        """Have content in the cache."""
        digest = digest_of(data)
        name = digest.removeprefix("sha256:")
        path = self.cache / "cas" / "sha256" / name[:2] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest


def inline(*parts: Mapping[str, Any], **fields: Any) -> Task:
    """A task that needs no content."""
    version = Session().own(Kinds).version("inline_layer")
    return Task(Step("inline_layer", version, "a step", {"parts": list(parts)}), {}, "main", **fields)


def folders(count: int) -> list[dict[str, Any]]:
    return [{"kind": "directory", "path": f"a/{number}", "mode": 0o755} for number in range(count)]


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    with Beside(tmp_path_factory.mktemp("beside")) as worker:
        yield worker


def test_what_was_made_is_in_the_cache_and_unsigned_without_a_key(beside: Beside) -> None:
    data = inline(*folders(1)).data()
    answer = beside.ask({"task": data.decode()})["answer"].encode()
    body = opened(answer, task_key(data), "main", Trust(), "w")
    for digest, size in body["blobs"].items():
        name = digest.removeprefix("sha256:")
        assert (beside.cache / "cas" / "sha256" / name[:2] / name).stat().st_size == size
    assert body["blobs"]
    with pytest.raises(IntegrityError, match="worker w is refused: it is unsigned"):
        opened(answer, task_key(data), "main", Trust("require"), "w")


def test_long_tasks_come_from_the_cache(beside: Beside) -> None:
    data = inline(*folders(3000)).data()
    assert len(data) > LARGEST
    answer = beside.ask({"digest": beside.keep(data), "size": len(data)})["answer"].encode()
    assert opened(answer, task_key(data), "main", Trust(), "w")["outputs"]


def test_what_is_no_task_is_refused_and_the_next_one_is_done(beside: Beside) -> None:
    def with_path(path: str) -> str:
        file = SourceFile(path, "name", 1, 0o644, beside.keep(b"x"))
        task = inline(*folders(1))
        return task._replace(step=task.step._replace(sources=[[file]])).data().decode()

    for line, said in (
        (b"what", "no request"),
        (b"[]", "no request"),
        (b"{}", "no request"),
        (b'{"task": "{}"}', "no task"),
        (json.dumps({"task": inline(program="0.0.9").data().decode()}).encode(), "is of buildrules 0.0.9"),
        (json.dumps({"task": with_path("../out")}).encode(), "leaves the workspace"),
        (json.dumps({"task": with_path("/out")}).encode(), "leaves the workspace"),
        (json.dumps({"task": with_path("task\0")}).encode(), "cannot do it"),
    ):
        assert said in beside.line(line)["failed"]
    assert "lost" in beside.ask({"digest": digest_of(b"nowhere"), "size": 7})
    assert "answer" in beside.ask({"task": inline(*folders(2)).data().decode()})


def test_a_cache_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    canary = Canary(plain=True)
    url = f"http://user:{canary.text}@127.0.0.1:{free_ports(1)[0]}"
    for place, asked, said in (
        ("", inline(), "knows no shared cache"),
        (url, inline(), "cannot be sent to http"),
        (url, inline()._replace(blobs={digest_of(b"x"): 1}), "cannot fetch what the task needs: cache http"),
    ):
        with Beside(tmp_path / str(len(said)), place) as worker:
            failed = worker.ask({"task": asked.data().decode()})["failed"]
        assert said in failed
        assert not canary.inside(failed.encode())


def test_the_store_of_a_worker_stays_within_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDRULES_CACHE_DIR", str(tmp_path / "store"))
    store = Store()
    kept = [store.blobs.put(os.urandom(1000)) for _ in range(3)]
    real = time.time
    for later, room, left in ((2 * 86400, 3000, 3), (300, 2000, 3), (2 * 86400, 2000, 0)):
        monkeypatch.setattr(time, "time", lambda later=later: real() + later)
        shrink(room)
        assert sum(map(store.blobs.has, kept)) == left  # what was used just now stays, and all where there is room


def test_what_no_client_sends_is_refused_in_words(beside: Beside) -> None:
    task = inline(*folders(1))
    for sent, said in (
        (task._replace(step=task.step._replace(kind="oci_base", version=2)), "'oci_base': they belong to the host"),
        (
            task._replace(step=task.step._replace(kind="plugin_kind", version="1+0123456789abcdef")),
            "no steps of plugins, such as 'plugin_kind'",
        ),
        (task._replace(namespace="main\n../other"), "no task"),
    ):
        assert said in beside.ask({"task": sent.data().decode()})["failed"]


def test_hostile_paths_end_neither_a_worker_nor_tell_where_it_lives(beside: Beside) -> None:
    task, digest = inline(*folders(1)), beside.keep(b"x")
    for path in ("a/" * 3000 + "a", "a" * 300):
        file = SourceFile(path, "name", 1, 0o644, digest)
        answer = beside.ask({"task": task._replace(step=task.step._replace(sources=[[file]])).data().decode()})
        assert "cannot do it" in answer["failed"]
        assert "Traceback" not in answer["log"]
        assert str(beside.folder) not in answer["failed"]


def test_a_full_worker_makes_room_and_says_so(tmp_path: Path) -> None:
    """A tmpfs is a real full disk; only root may mount one."""
    with Beside(tmp_path) as worker:
        small = tmp_path / "store"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(small)], check=True)
        try:
            files = [
                (worker.keep(data := os.urandom(size)), len(data)) for size in (1 << 20, 1 << 20, 1 << 20, 4 << 20)
            ]
            answers = []
            for digest, size in files:
                task = inline(*folders(1))._replace(blobs={digest: size})
                answers.append(worker.ask({"task": task.data().decode()}))
            last = json.loads(answers[2]["answer"])
            assert "what it held for other steps is gone" in json.dumps(last)
            assert "no space left" in answers[3]["failed"]
            assert "at the worker: free some space" in answers[3]["failed"]
            assert str(small) not in answers[3]["failed"]
        finally:
            subprocess.run(["umount", "-l", str(small)], check=True)
