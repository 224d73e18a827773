"""Execution engines on this machine, and clients that hand steps to them: the servers are those of the tests."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import SCRIPT, disk_usage
from tests.support.buildgrid import buildgrid_server
from tests.support.casd import casd_server
from tests.support.dask_cluster import dask_cluster
from tests.support.relay import Counted

Digests = dict[str, Any]
LOCAL = "local"


@dataclass
class Running:
    """An engine: `settings` are those of `workspace.executor`, `variables` of clients. Its parts can be killed."""

    name: str
    settings: Mapping[str, Any]
    variables: Mapping[str, str] = field(default_factory=dict)
    workers: int = 0  # that can be killed, numbered from 1
    kill_worker: Callable[[int], None] = lambda _: None
    start_worker: Callable[[int], None] = lambda _: None
    kill: Callable[[], None] = lambda: None
    start: Callable[[], None] = lambda: None
    passed: Callable[[], int] = lambda: 0  # bytes between clients and the scheduler, where that is another server
    content: Callable[[], int] = lambda: 0  # bytes of what lies in its storage


@contextlib.contextmanager
def casd(folder: Path, _: int) -> Iterator[Running]:
    """buildbox-casd, which runs two actions at a time itself."""
    with casd_server(folder, jobs=2) as server:
        yield Running("casd", {"url": server.url}, kill=server.kill, start=server.start)


@contextlib.contextmanager
def buildgrid(folder: Path, workers: int) -> Iterator[Running]:
    """BuildGrid."""
    with buildgrid_server(folder, workers) as server:
        parts = (server.kill_worker, server.start_worker, server.kill_scheduler, server.start_scheduler)
        yield Running("BuildGrid", {"url": server.url}, {}, workers, *parts)


@contextlib.contextmanager
def dask(folder: Path, workers: int) -> Iterator[Running]:
    """A Dask cluster with TLS, and a folder for its cache."""
    shared = folder.with_name("cache")
    shared.mkdir()
    cache = {"BUILDRULES_CACHE": f"file://{shared}"}
    with dask_cluster(folder, workers, cache) as cluster, Counted(cluster.port) as relay:
        tls = {"authority": cluster.authority, "certificate": cluster.certificate, "key": cluster.key}
        url = f"dask+tls://127.0.0.1:{relay.port}"
        settings = {"url": url, "tls": {name: str(path) for name, path in tls.items()}}
        parts = (cluster.kill_worker, cluster.start_worker, cluster.kill_scheduler, cluster.start_scheduler)
        variables = {**cache, "BUILDRULES_CACHE_UPLOAD": "never"}
        counts = (lambda: relay.passed, lambda: disk_usage(shared))
        yield Running("Dask", settings, variables, workers, *parts, *counts)


ENGINES = {"casd": casd, "buildgrid": buildgrid, "dask": dask}


class Client:
    """A copy of a workspace with a store of its own, whose steps are run by an engine; None: here.

    With another `namespace` no engine has answers. The store begins with the interpreters of `tools` alone.
    """

    def __init__(
        self,
        folder: Path,
        workspace: Path,
        engine: Running | None,
        tools: Path | None = None,
        *,
        namespace: str = "main",
        **settings: object,
    ) -> None:
        self.root, self.store = folder / "checkout", folder / "store"
        shutil.copytree(workspace, self.root)
        if engine is not None:
            row = json.dumps({"shortest": 0, **engine.settings, **settings})
            file = self.root / "BUILD.yaml"
            file.write_text(file.read_text().replace("workspace:\n", f"workspace:\n  executor: {row}\n", 1))
        self.store.mkdir(parents=True)
        if tools is not None and (tools / "interpreters").is_dir():
            shutil.copytree(tools / "interpreters", self.store / "interpreters", copy_function=os.link)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BUILDRULES")},
            **(engine.variables if engine is not None else {}),
            "BUILDRULES_CACHE_DIR": str(self.store),
            "BUILDRULES_CACHE_NAMESPACE": namespace,
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A command of buildrules."""
        return subprocess.Popen(
            [str(SCRIPT), *command],
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def build(self) -> Digests:
        """What a build of everything makes. Raises CalledProcessError, with the output shown."""
        return self.made(self.start("build", "//...", "--json", "--profile", str(self.profile)))

    def made(self, process: subprocess.Popen[str]) -> Digests:
        """What a build that was started makes, by label. Raises CalledProcessError with what it said."""
        out, said = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, "build", out, said)
        targets = json.loads(out)["targets"]
        return {one["label"]: (one["digest"], [layer["digest"] for layer in one["layers"]]) for one in targets}

    @property
    def profile(self) -> Path:
        """Where `build` writes what took how long."""
        return self.store.with_name("profile.json")

    def away(self) -> list[dict[str, Any]]:
        """The steps of the last build that an engine ran."""
        rows = [row for row in json.loads(self.profile.read_text())["traceEvents"] if row["ph"] == "X"]
        return [row for row in rows if "seconds" in row["args"].get("placed", {})]
