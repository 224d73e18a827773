"""What tests need of whatever runs a package: a Docker container, a Podman container, or a folder with namespaces."""

import socket
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from buildrules.errors import ServingError
from buildrules.oci.image import Image, LayerStream
from buildrules.serving.clock import Clock, Limit

_QUIET_SECONDS, _QUIET_TRIES = 0.4, 6
LARGEST = 256 << 20
"""Bytes of an answer or a file that are read; a longer one is an error."""


def too_long(path: str) -> ServingError:
    """The error for a file of more than LARGEST bytes."""
    return ServingError(f"{path} is longer than {LARGEST} bytes")


@dataclass(frozen=True, slots=True)
class State:
    """Where a started package stands. `exit_code` is None while it runs; 128 + n where signal n ended it."""

    running: bool
    exit_code: int | None
    out_of_memory: bool
    error: str

    @property
    def reason(self) -> str:
        """Why it does not run, in words."""
        return "ran out of memory" if self.out_of_memory else f"exited with code {self.exit_code}"


@dataclass(frozen=True, slots=True)
class Stopped:
    """How it ended when it was asked to. `killed` says what it did in the time it had, where it had to be killed."""

    exit_code: int | None
    killed: str | None = None


class Running(Protocol):
    """A started package. Methods raise ServingError, and what the tool behind them raises."""

    title: str  # what errors call it
    grace: float  # seconds it gets to stop by itself
    clock: Clock  # what its limits are measured by

    @property
    def ports(self) -> Mapping[int, int | None]:
        """Those that can be reached."""

    def connect(self, port: int, timeout: float) -> socket.socket:
        """A connection to one of its ports. Raises OSError where nobody listens."""

    def state(self) -> State:
        """Where it stands now."""

    def log(self, lines: int = 50) -> str:
        """The last lines of what it wrote."""

    def read(self, path: str) -> bytes | None:
        """The content of a file of its, by absolute path, once it has ended; None where there is none.

        Raises ServingError where it is no file, or longer than LARGEST bytes.
        """

    def stop(self) -> Stopped | None:
        """Its stop signal, `grace` seconds, SIGKILL; then nothing of it is left. None where it did not run.

        Raises BusyError as limits do; nothing is left then, either.
        """

    def kill(self) -> None:
        """End it at once, from any thread; the others' calls then fail. Never raises."""


def wait_end(running: Running, limit: Limit) -> State:
    """Where it stands when it has ended, or when the limit is over. Raises BusyError as that does."""
    pause = 0.005
    while (state := running.state()).running and not limit.over():
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
    return state


def quiet_log(running: Running, lines: int) -> str:
    """The end of its log once nothing more comes, for a moment: servers write why they failed after they have answered,
    and engines hand it on later still."""
    text = running.log(lines)
    for _ in range(_QUIET_TRIES):
        time.sleep(_QUIET_SECONDS)
        before, text = text, running.log(lines)
        if text == before:
            break
    return text


@dataclass(frozen=True, slots=True)
class Package:
    """What is to be run.

    `name` is the repository name engines keep the image under, `platform` os/architecture. `ports` are reached from
    here. `environment` is laid over the image's. With `network` the package may reach others than itself. `gpus` are
    those it gets, as `given.Gpus` reads them.
    """

    title: str
    name: str
    image: Image
    stream: LayerStream
    platform: str
    ports: tuple[int, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    gpus: str | None = None


class Runner(Protocol):
    """A way to run packages."""

    name: str  # "docker", "podman" or "rootfs"

    def start(self, package: Package) -> AbstractContextManager[Running]:
        """The package, started on entry and gone after exit, however that comes about.

        Raises ServingError where it cannot be started, UsageError where its platform is not this runner's,
        IntegrityError and FetchError where its layers cannot be had.
        """
