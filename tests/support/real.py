"""A workspace on the real Debian base: its packages stand on the package registries and run in Docker."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildrules.oci.docker_http import Engine
from buildrules.serving.container import Container
from buildrules.serving.probe import Route, wait_ready

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. `headers` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Running:
    """A started package."""

    def __init__(self, container: Container, routes: Mapping[str, str]) -> None:
        self.container = container
        self.routes = {name: Route.parse(text) for name, text in routes.items()}

    def wait(self, timeout: float = 120.0) -> "Running":
        wait_ready(self.container, self.routes["readiness"], timeout=timeout)
        return self

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
    ) -> Answer:
        """One request, to the scoring route's port unless told otherwise."""
        route = self.routes.get("scoring") or self.routes["readiness"]
        host, number = self.container.address(port or route.port)
        connection = http.client.HTTPConnection(host, number, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def logs(self, *texts: str) -> None:
        """Wait until these stand in the container's log, which the engine writes a moment later."""
        deadline = time.monotonic() + 20
        while missing := [text for text in texts if text not in (log := self.container.log(300))]:
            assert time.monotonic() < deadline, f"{missing} not in:\n{log}"
            time.sleep(0.1)

    def post(self, path: str, value: Any, **headers: str) -> Answer:
        """POST a value as JSON."""
        return self.ask("POST", path, json.dumps(value), {"Content-Type": "application/json", **headers})


class Real:
    """A workspace in `folder`, a store, and the names of its images in the engine."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.root = folder
        self.name = f"buildrules-test-{os.urandom(4).hex()}"
        self.env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "BUILDRULES_CACHE_DIR": str(store)}
        self.env.pop("SOURCE_DATE_EPOCH", None)
        bases = REPOSITORY / "examples" / "bases"
        for path in bases.iterdir():
            self.write(f"bases/{path.name}", path.read_bytes())

    def workspace(self, targets: str, head: str = "locks: {portable: true}", *, mirror: str = "") -> None:
        """Write the BUILD.yaml of the root. `mirror` is that of interpreters."""
        head += "\n  python: {bytecode: false"  # which takes a while, and none of these tests is about it
        head += f', mirror: "{mirror}"}}' if mirror else "}"
        text = f"workspace:\n  name: {self.name}\n  platforms: [linux/amd64]\n  {head}\ntargets:\n{targets}"
        self.write("BUILD.yaml", text)

    def write(self, path: str, content: str | bytes) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command, which must end with `code`."""
        done = subprocess.run(
            [sys.executable, "-m", "buildrules", *args],
            cwd=self.root,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"exit code {done.returncode}, not {code}:\n{done.stdout}{done.stderr}"
        return done

    def load(self, label: str) -> str:
        """Build a package and load it; returns its name in the engine."""
        out = self.run("load", label).stdout
        return next(word.rstrip(":") for word in out.split() if word.startswith(self.name))

    def config(self, engine: Engine, image: str) -> dict[str, Any]:
        """What the engine has as the image's configuration."""
        return dict(engine.call("GET", f"/images/{image}/json")["Config"])

    @contextlib.contextmanager
    def start(self, engine: Engine, label: str, **more: Any) -> Iterator[Running]:
        """A container of a package, started and not waited for. `more` goes to Container."""
        image = self.load(label)
        config = self.config(engine, image)
        routes = json.loads((config["Labels"] or {}).get("buildrules.routes", "{}"))
        ports = {int(port.partition("/")[0]): None for port in config.get("ExposedPorts") or {}}
        with Container(engine, image, ports=ports, title=label, grace=2.0, **more) as container:
            yield Running(container, routes)
