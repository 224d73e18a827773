"""Runs packages as containers of Podman, through its command."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from buildrules.errors import ServingError, UsageError
from buildrules.oci.archive import stream_archive
from buildrules.serving import owner
from buildrules.serving.container import ADDRESS, LABEL
from buildrules.serving.copied import file_in
from buildrules.serving.docker import TAG
from buildrules.serving.platform import emulated, host_platform
from buildrules.serving.podman_variables import given
from buildrules.serving.runner import Package, State, Stopped

_HELPERS = ("slirp4netns", "pasta", "netavark", "cni", "network namespace", "newuidmap", "fuse-overlayfs", "conmon")
_MANY = 32768  # open files, and processes
_SECONDS = 120.0  # for a command that only looks or removes


class PodmanRunner:
    """Loads the image unless Podman has it, and starts a container."""

    name = "podman"

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._swept = False

    @contextlib.contextmanager
    def start(self, package: Package) -> Iterator["PodmanContainer"]:
        """See `runner.Runner`."""
        if package.platform != host_platform() and not emulated(package.platform):
            raise UsageError(
                f"{package.title!r} is built for {package.platform}, and this machine runs {host_platform()}",
                hint=f"test it with --platform {host_platform()}, or have Linux emulate the other",
            )
        with self._loading:
            if not self._swept:
                self._sweep()
                self._swept = True
            self._load(package)
        container = PodmanContainer(package)
        try:
            container.start()
            yield container
        finally:
            try:
                container.stop()
            finally:
                container.kill()

    def _sweep(self) -> None:
        """Remove the containers of tests whose process was killed."""
        form = f'{{{{.ID}}}} {{{{index .Labels "{owner.LABEL}"}}}}'
        found = podman("ps", "--all", "--filter", f"label={owner.LABEL}", "--format", form, check=False)
        for line in found.stdout.splitlines():
            container, _, value = line.partition(" ")
            if owner.abandoned(value):
                podman("rm", "--force", "--time", "0", "--volumes", container, check=False)

    def _load(self, package: Package) -> None:
        identity = package.image.config_digest.removeprefix("sha256:")
        if podman("image", "exists", identity, check=False).returncode == 0:
            return
        name = f"{package.name}:{TAG}"
        before = podman("image", "inspect", "--format", "{{.Id}}", f"localhost/{name}", check=False).stdout.strip()
        self._send(package, name)
        if before and before != identity:
            podman("image", "rm", before, check=False)  # unless it has another name, or somebody uses it

    def _send(self, package: Package, name: str) -> None:
        """Stream the image into `podman load`. Raises IntegrityError where a layer changed, ServingError."""
        process = subprocess.Popen(
            ["podman", "load", "--quiet"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        said: list[bytes] = []
        listener = threading.Thread(target=lambda: said.append(process.stdout.read() if process.stdout else b""))
        listener.start()
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin:
                for chunk in stream_archive(package.image, package.stream, names=[name]):
                    process.stdin.write(chunk)
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
            listener.join()
            process.stdout.close()
        if code != 0:
            raise ServingError(f"podman refused the image of {package.title!r}: {_last(b''.join(said))}")


class PodmanContainer:
    """A container of a package. See `runner.Running`."""

    def __init__(self, package: Package) -> None:
        self.title = package.title
        self.grace = 10.0
        self.ports: Mapping[int, int | None] = dict.fromkeys(package.ports)
        self._package = package
        self._name = f"buildrules-{os.urandom(6).hex()}"
        self._there = False
        self._addresses: dict[int, int] = {}

    def start(self) -> None:
        """Create and start it. Raises ServingError."""
        package = self._package
        command = ["run", "--detach", "--name", self._name, "--pull", "never", "--label", f"{LABEL}={self.title}"]
        command += ["--label", f"{owner.LABEL}={owner.owner()}"]
        command += _limits()
        for port in self.ports:
            command += ["--publish", f"{ADDRESS}::{port}"]
        with given(package.environment) as (options, own):
            self._there = True
            image = package.image.config_digest.removeprefix("sha256:")
            found = podman(*command, *options, image, check=False, environment=own)
        if found.returncode != 0:
            raise ServingError(
                f"cannot start {self.title!r}: {_last(found.stderr.encode())}", hint=_hint(found.stderr.lower())
            )
        ports = self._inspect()["NetworkSettings"]["Ports"] or {}
        for port in self.ports:
            for binding in ports.get(f"{port}/tcp") or ():
                self._addresses[port] = int(binding["HostPort"])

    def connect(self, port: int, timeout: float) -> socket.socket:
        """A connection to a container port. Raises OSError where nobody listens."""
        if port not in self._addresses:
            raise ConnectionRefusedError("no published port")
        return socket.create_connection((ADDRESS, self._addresses[port]), timeout=timeout)

    def state(self) -> State:
        """Where it stands now."""
        found = self._inspect()["State"]
        running = bool(found.get("Running"))
        code = None if running else int(found.get("ExitCode") or 0)
        return State(running, code, bool(found.get("OOMKilled")), found.get("Error") or "")

    def log(self, lines: int = 50) -> str:
        """The last lines of what it wrote, both streams together."""
        if not self._there:
            return ""
        try:
            done = subprocess.run(
                ["podman", "logs", "--tail", str(lines), self._name],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:  # what went wrong with the package is worth more than this
            return str(_hangs("logs", error))
        return done.stdout.decode(errors="replace")

    def read(self, path: str) -> bytes | None:
        """See `runner.Running`. Raises ServingError where the container is gone, or Podman hangs."""
        with tempfile.TemporaryFile() as copy:
            try:
                done = subprocess.run(
                    ["podman", "cp", f"{self._name}:{path}", "-"],
                    stdout=copy,
                    stderr=subprocess.PIPE,
                    stdin=subprocess.DEVNULL,
                    timeout=_SECONDS,
                    check=False,
                    start_new_session=True,
                )
            except subprocess.TimeoutExpired as error:
                raise _hangs("cp", error) from error
            if done.returncode != 0:
                self._inspect()
                return None
            copy.seek(0)
            return file_in(copy, path)

    def stop(self) -> Stopped | None:
        """Its stop signal, the grace period, SIGKILL; then remove it."""
        if not self._there:
            return None
        seconds = max(0, round(self.grace))
        try:
            began = time.monotonic()
            podman("stop", "--time", str(seconds), self._name, check=False, timeout=seconds + _SECONDS)
            took = time.monotonic() - began
            code = self.state().exit_code
            return Stopped(code, took, killed=code == 128 + signal.SIGKILL and took >= seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        """End and remove it at once, from any thread."""
        if self._there:
            self._there = False
            with contextlib.suppress(ServingError):
                podman("rm", "--force", "--time", "0", "--volumes", self._name, check=False)

    def _inspect(self) -> dict[str, Any]:
        found = podman("container", "inspect", self._name, check=False)
        if found.returncode != 0:
            raise ServingError(f"the container of {self.title!r} is gone: somebody else removed it")
        inspected: dict[str, Any] = json.loads(found.stdout)[0]
        return inspected


def podman(
    *args: str, check: bool = True, timeout: float | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a podman command. Raises ServingError where it hangs, or, with `check`, fails."""
    try:
        done = subprocess.run(
            ["podman", *args],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout or _SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
            env={**os.environ, **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise _hangs(args[0], error) from error
    if check and done.returncode != 0:
        raise ServingError(f"podman {args[0]} failed: {_last(done.stderr.encode())}")
    return done


def _hangs(what: str, error: subprocess.TimeoutExpired) -> ServingError:
    return ServingError(f"podman {what} did not end within {error.timeout:g} s")


def connect() -> PodmanRunner:
    """The runner. Raises UsageError where there is no Podman that works."""
    if shutil.which("podman") is None:
        raise UsageError("there is no podman here", hint="install it, or use --runner docker or rootfs")
    try:
        podman("info", "--format", "{{.Version.Version}}")
    except ServingError as error:
        raise UsageError(f"podman does not work: {error.message}", hint="use --runner docker or rootfs") from error
    return PodmanRunner()


def _limits() -> list[str]:
    """Limits as they are here: Podman's own are higher than a machine allows whose root may not raise them."""
    import resource

    words = []
    for name, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        hard = resource.getrlimit(number)[1]
        limit = _MANY if hard == resource.RLIM_INFINITY else min(hard, _MANY)
        words += ["--ulimit", f"{name}={limit}:{limit}"]
    return words


def _hint(said: str) -> str | None:
    """The way out where Podman cannot start a container."""
    if any(helper in said for helper in _HELPERS):
        return "Podman lacks a helper of its own: install it, or use --runner rootfs, which needs none"
    if "executable file" in said or "no such file" in said:
        return "the image's entry point does not exist in it; look at the server's rule and the base image"
    return None


def _last(text: bytes) -> str:
    """The last line a command wrote, without its "Error:"."""
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else "it said nothing"
