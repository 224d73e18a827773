"""One container of a loaded image: start, look at, follow, stop. Nothing is printed here."""

import contextlib
import json
import os
import re
import signal
import socket
import tarfile
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from buildrules.errors import BuildrulesError, DockerError, Interrupted, ServingError
from buildrules.oci.docker_http import Engine, Reply, message_of
from buildrules.serving.clock import Clock
from buildrules.serving.given import HOST, LABEL, Given
from buildrules.serving.kernel_file import kernel_text
from buildrules.serving.podman import is_podman, limits_of
from buildrules.serving.runner import LARGEST, State, Stopped, too_long, wait_end

ADDRESS = "127.0.0.1"  # a package under test is nobody else's business
_BIRTH_SECONDS = 2.0
_PODMAN_HELPERS = re.compile(r"slirp4netns|pasta|netavark|cni|network namespace|newuidmap|fuse-overlayfs|conmon")
_PAUSES = (0.1, 0.4, 1.0)  # seconds before the engine is asked again for a file of which it sent nothing
_NOTHING = "empty file"  # tarfile's words for it
_STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


class Container:
    """A container of `image` (a name or ID), as a context manager: started on entry, removed on exit.

    `ports` maps container ports to ports of 127.0.0.1, None meaning any free one; in the network of the host they are
    its own. `environment` is laid over the image's; `labels` are the container's, `given` is what else it has. `title`
    is what errors call it, the image by default. On exit the container gets SIGTERM, `grace` seconds, then SIGKILL.
    Methods raise ServingError, and DockerError where the engine fails.
    """

    def __init__(
        self,
        engine: Engine,
        image: str,
        *,
        ports: Mapping[int, int | None] | None = None,
        environment: Mapping[str, str] | None = None,
        title: str | None = None,
        labels: Mapping[str, str] | None = None,
        given: Given | None = None,
        grace: float = 10.0,
    ) -> None:
        self.engine = engine
        self.image = image
        self.title = title or image
        self.id: str | None = None
        self.grace = grace
        self.clock = Clock(None)
        self.ports = dict(ports or {})
        self._environment = dict(environment or {})
        self._labels = {LABEL: self.title, **(labels or {})}
        self._given = given or Given()
        self._addresses: dict[int, int] = {}

    @classmethod
    def of(cls, engine: Engine, name: str, title: str) -> "Container":
        """One that is there already, by its name."""
        found = cls(engine, "", title=title)
        found.id = name
        return found

    def start(self) -> None:
        """Create and start it. Where that fails nothing is left behind."""
        try:
            # A name of our own, known before the engine answers: an interruption now leaves nothing behind.
            self.id = f"buildrules-{os.urandom(6).hex()}"
            try:
                self._create()
            except (KeyboardInterrupt, Interrupted):
                self._await_birth()
                raise
            self.engine.call("POST", f"/containers/{self.id}/start")
            self._addresses = self._published()
            state = self._inspect()["State"]
            if self._given.network and self.ports and not self._addresses and state.get("Running"):
                raise ServingError(
                    f"nobody reaches {self.title!r} from here: its network publishes no ports",
                    hint="name a network that is not internal",
                )
            self.clock = Clock(_seen_here(state.get("Pid")))
        except DockerError as error:
            self._remove_quietly()
            raise self._given.explained(self.engine, error) or self._explained(error) from error
        except BaseException:
            self._remove_quietly()
            raise

    def stop(self) -> Stopped | None:
        """Its stop signal, the grace period, SIGKILL; then remove it. A second Ctrl-C skips the grace period."""
        if self.id is None:
            return None
        try:
            limit = self.clock.limit(self.grace)
            found = self.engine.call("GET", f"/containers/{self.id}/json", missing_ok=True)
            if found is None:
                return None
            if found["State"].get("Running") and self.grace:
                with contextlib.suppress(DockerError):  # it has just ended
                    wanted = {"signal": found["Config"].get("StopSignal") or "SIGTERM"}
                    self.engine.call("POST", f"/containers/{self.id}/kill", query=wanted, missing_ok=True)
            try:
                state = wait_end(self, limit)
            except ServingError:
                return None  # somebody else has removed it
            return Stopped(128 + signal.SIGKILL, limit.told()) if state.running else Stopped(state.exit_code)
        finally:
            self._remove()

    def kill(self) -> None:
        """End and remove it now, from whichever thread. Never raises."""
        self._remove_quietly()

    def state(self) -> State:
        """What the engine says about it now. Raises ServingError where it is gone."""
        found = self._inspect()["State"]
        running = bool(found.get("Running"))
        return State(
            running, None if running else found.get("ExitCode"), bool(found.get("OOMKilled")), found.get("Error") or ""
        )

    def address(self, port: int) -> tuple[str, int]:
        """Host and port at which a container port is reached. Raises ServingError where there is none."""
        if port not in self.ports:
            raise ServingError(f"port {port} of {self.title!r} is not published")
        found = self.published(port)
        if found is None:
            raise ServingError(f"port {port} of {self.title!r} cannot be reached: the container does not run")
        return found

    def published(self, port: int) -> tuple[str, int] | None:
        """As `address`, but None for a port without one: not asked for, or the container has exited."""
        if port in self.ports and port not in self._addresses:
            self._addresses = self._published()
        host_port = self._addresses.get(port)
        return None if host_port is None else (ADDRESS, host_port)

    def connect(self, port: int, timeout: float) -> socket.socket:
        """A connection to a container port. Raises OSError where nobody listens, or nothing is published."""
        address = self.published(port)
        if address is None:
            raise ConnectionRefusedError("no published port")
        return socket.create_connection(address, timeout=timeout)

    def wait(self) -> int:
        """Wait, without limit, until it exits; returns the exit code."""
        answer = self.engine.call("POST", f"/containers/{self._known()}/wait", timeout=None)
        return int(answer["StatusCode"])

    def log(self, lines: int = 50) -> str:
        """The last lines of what it wrote, both streams together; where they cannot be had, why.

        It is asked for where something else went wrong, which is what the user must hear of.
        """
        query: dict[str, str | int] = {"stdout": 1, "stderr": 1, "tail": lines}
        try:
            with self.engine.open("GET", f"/containers/{self._known()}/logs", query=query) as reply:
                return "".join(text + "\n" for _, text in _lines(reply))
        except DockerError as error:
            return f"{error.message}\n"

    def read(self, path: str) -> bytes | None:
        """See `runner.Running`."""
        for pause in _PAUSES:
            with self.engine.open("GET", f"/containers/{self._known()}/archive", query={"path": path}) as reply:
                if reply.status == 404:
                    return None
                if reply.status >= 400:
                    raise ServingError(f"{path} could not be copied out of its container: {message_of(reply.read())}")
                content = _file_in(reply, path)
            if content is not None:
                return content
            time.sleep(pause)
        raise ServingError(f"{path} could not be copied out of its container: the engine sent nothing")

    def follow(self, *, tail: int | None = None, on: bool = True) -> Iterator[tuple[str, str]]:
        """("stdout" or "stderr", line) for everything it wrote, of which `tail` are the last lines, and writes until it
        exits; only what it wrote, without `on`.
        """
        query: dict[str, str | int] = {"stdout": 1, "stderr": 1, "follow": int(on)}
        if tail is not None:
            query["tail"] = tail
        with self.engine.open("GET", f"/containers/{self._known()}/logs", query=query, timeout=None) as reply:
            yield from _lines(reply)

    def __enter__(self) -> "Container":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except DockerError:
            if error is None:  # else the first error is the one worth reading
                raise

    def _create(self) -> None:
        ports = {f"{port}/tcp": [{"HostIp": ADDRESS, "HostPort": str(host or "")}] for port, host in self.ports.items()}
        given = self._given.host_config(self.engine)
        if self._given.network == HOST:
            ports = {}
        body: dict[str, Any] = {
            "Image": self.image,
            "Env": [f"{name}={value}" for name, value in self._environment.items()],
            "ExposedPorts": {port: {} for port in ports},
            "Labels": self._labels,
            "HostConfig": {"PortBindings": ports, "Ulimits": limits_of(self.engine), **given},
        }
        made = self.engine.call("POST", "/containers/create", query={"name": self._known()}, body=body)
        if self._given.name is not None:  # only now: what has that name already is not ours to remove
            self.id = str(made["Id"])
            self.engine.call("POST", f"/containers/{self.id}/rename", query={"name": self._given.name})
            self.id = self._given.name

    def _published(self) -> dict[int, int]:
        if self._given.network == HOST:
            return {port: port for port in self.ports}
        bindings = (self._inspect().get("NetworkSettings") or {}).get("Ports") or {}
        found = {}
        for port in self.ports:
            for binding in bindings.get(f"{port}/tcp") or ():
                found[port] = int(binding["HostPort"])
        return found

    def _inspect(self) -> dict[str, Any]:
        found = self.engine.call("GET", f"/containers/{self._known()}/json", missing_ok=True)
        if found is None:
            raise ServingError(f"the container of {self.title!r} is gone: somebody else removed it")
        inspected: dict[str, Any] = found
        return inspected

    def _known(self) -> str:
        if self.id is None:
            raise ServingError(f"the container of {self.title!r} was not started")
        return self.id

    def _await_birth(self) -> None:
        """Wait a little for what the engine was asked to create: before that it cannot be removed."""
        deadline = time.monotonic() + _BIRTH_SECONDS
        with contextlib.suppress(DockerError):
            while self.engine.call("GET", f"/containers/{self.id}/json", missing_ok=True) is None:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.05)

    def _remove(self) -> None:
        if self.id is not None:
            self.engine.call("DELETE", f"/containers/{self.id}", query={"force": 1, "v": 1}, missing_ok=True)
            self.id = None

    def _remove_quietly(self) -> None:
        with contextlib.suppress(BuildrulesError):
            self._remove()

    def _explained(self, error: DockerError) -> ServingError:
        text = error.message
        hint = error.hint
        if "already allocated" in text or "address already in use" in text:
            return self._taken([port for port in self.ports.values() if port])
        if "No such image" in text:
            hint = "load the image first"
        elif is_podman(self.engine) and _PODMAN_HELPERS.search(text.lower()):
            hint = "Podman lacks a helper of its own: install it, or use --runner rootfs, which needs none"
        elif "no such file or directory" in text.lower() or "executable file not found" in text:
            hint = "the image's entry point does not exist in it; look at the server's rule and the base image"
        return ServingError(f"cannot start {self.title!r}: {text}", hint=hint)

    def _taken(self, ports: list[int]) -> ServingError:
        """The error for a port in use, with the container of ours that has it, where it is one."""
        text = f"cannot start {self.title!r}: port {', '.join(map(str, ports))} of {ADDRESS} is in use"
        hint = "choose another port, or none to get a free one"
        others = None
        with contextlib.suppress(DockerError):
            others = self.engine.call("GET", "/containers/json", query={"filters": json.dumps({"label": [LABEL]})})
        for other in others or ():
            if any(item.get("PublicPort") in ports for item in other.get("Ports") or ()):
                name = next(iter(other.get("Names") or ()), other["Id"][:12]).lstrip("/")
                text += f" by container {name} of {other['Labels'][LABEL]!r}, which buildrules started"
                hint = f"stop that one with: buildrules stop {name}; or {hint}"
                break
        return ServingError(text, hint=hint)


def _seen_here(process: object) -> int | None:
    """The number of a container's first process, if it is one of this machine: it is process 1 of a namespace of its
    own (proc_pid_status(5), NSpid). Engines in virtual machines, or outside of our container, give numbers of theirs.
    """
    for line in kernel_text(f"/proc/{process}/status").splitlines():
        if line.startswith("NSpid:") and len(line.split()) > 2 and line.split()[-1] == "1":
            return int(line.split()[1])
    return None


def _file_in(stream: Any, path: str) -> bytes | None:
    """The content of the one file in a tar, as engines copy it out (Docker Engine API, ContainerArchive).

    None where nothing came at all, as from Podman while it tidies up a container that has just ended.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            member = archive.next()
            content = archive.extractfile(member) if member is not None and member.isreg() else None
            if member is None or content is None:
                raise ServingError(f"{path} is not a file")
            if member.size > LARGEST:
                raise too_long(path)
            return content.read()
    except (tarfile.TarError, EOFError) as error:
        if str(error) == _NOTHING:
            return None
        raise ServingError(f"{path} could not be copied out of its container: {error}") from error


def _lines(reply: Reply) -> Iterator[tuple[str, str]]:
    """Lines of a log stream without terminal (Docker Engine API, "Stream format": 8-byte frame headers)."""
    rests = {"stdout": b"", "stderr": b""}
    if reply.status >= 400:
        raise ServingError("the docker engine has no log of the container")
    while len(header := reply.read(8)) == 8:
        name = _STREAMS.get(header[0], "stdout")
        data = reply.read(int.from_bytes(header[4:], "big"))
        *whole, rests[name] = (rests.get(name, b"") + data).split(b"\n")
        for line in whole:
            yield name, line.rstrip(b"\r").decode(errors="replace")
    for name, line in rests.items():
        if line:
            yield name, line.decode(errors="replace")
