"""Runs packages directly from their root file system: no engine, no daemon, only Linux' namespaces.

The package has a network of its own with nothing but loopback, unless it says that it needs more: so there are no
conflicts of ports, and one that answers is proven to need nobody else. Its files are its own, and gone with it.
"""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from buildrules.errors import ServingError, UsageError
from buildrules.serving.clock import Clock
from buildrules.serving.platform import emulated, host_platform
from buildrules.serving.rootfs.log import LogTail
from buildrules.serving.rootfs.unpack import unpack
from buildrules.serving.rootfs.users import find_user
from buildrules.serving.runner import LARGEST, Package, State, Stopped, too_long, wait_end
from buildrules.store.private_folder import private_folder

HOSTNAME = "package"
PROCESSES = 4096
"""How many processes and threads a package may have: a server on many cores has hundreds."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_START_SECONDS = 60.0
_HINTS = {
    "program": "the image's entry point does not exist in it or is not a program; "
    "look at the server's rule and the base image",
    "too long": "its command and `environment` are longer than linux gives to a program",
    "image": "a package is given a file or folder there: look at the base image and at what lies over it",
}
_LAUNCHER = "import sys; sys.path.append(sys.argv.pop(1)); from buildrules.serving.rootfs.launcher import main; main()"
_REFUSED = (
    "use --runner docker or podman, be root, or let Linux give namespaces to users: "
    "kernel.unprivileged_userns_clone=1, user.max_user_namespaces above 0, and with AppArmor "
    "kernel.apparmor_restrict_unprivileged_userns=0 (sysctl)"
)


@dataclass(slots=True)
class RootfsRunner:
    """See the module. `folder` is the store's folder for what is being written."""

    folder: str
    name: str = field(default="rootfs", init=False)
    _refusal: str | None = None  # why Linux refuses namespaces; "" where it gives them

    @contextlib.contextmanager
    def start(self, package: Package) -> Iterator["RootfsProcess"]:
        """See `runner.Runner`. Raises ServingError where Linux refuses what it takes, saying what helps."""
        if package.platform != host_platform() and not emulated(package.platform):
            raise UsageError(
                f"{package.title!r} is built for {package.platform}, and this machine runs {host_platform()}",
                hint=f"test it with --platform {host_platform()}, or have Linux emulate the other",
            )
        if package.gpus:
            raise UsageError(
                f"{package.title!r} is to have GPUs, and its root file system alone gives it none",
                hint="use --runner docker, with NVIDIA's Container Toolkit",
            )
        if self._refusal is None:
            self._refusal = refusal()
        if self._refusal:
            raise _refused(package.title, self._refusal)
        with private_folder(self.folder) as folder:
            root = os.path.join(folder, "root")
            os.mkdir(root, 0o755)
            unpack(root, package.image.layers, package.stream)
            with RootfsProcess(package, root) as running:
                yield running


def launcher(argument: str, python: str = sys.executable, place: str = "") -> list[str]:
    """The command line of `launcher.main`, which runs without anybody's settings of Python. `place` is the folder that
    `buildrules` is in, this one's if left out."""
    place = place or os.path.abspath(__file__).rpartition("/buildrules/")[0]
    return [python, "-I", "-S", "-c", _LAUNCHER, place, argument]


def refusal() -> str:
    """Why Linux gives no namespaces here; "" where it does. Asked before anything is unpacked."""
    command = launcher("probe")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_START_SECONDS)
    except subprocess.TimeoutExpired:
        return f"to say within {_START_SECONDS:g} s whether it gives namespaces"
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()[-200:]


def _refused(title: str, what: str) -> ServingError:
    return ServingError(
        f"cannot start {title!r} from its root file system: linux refuses {what.lower()}", hint=_REFUSED
    )


class RootfsProcess:
    """A package's process, as a context manager that starts and stops it. See `runner.Running`."""

    def __init__(self, package: Package, root: str) -> None:
        self.title = package.title
        self.grace = 10.0
        self.clock = Clock(None)
        self.ports: Mapping[int, int | None] = dict.fromkeys(package.ports)
        self._package = package
        self._root = root
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._tail = LogTail()
        settings = package.image.settings.get("config") or {}
        self._settings: dict[str, Any] = settings
        self._signal = _signal_of(settings.get("StopSignal"))

    def __enter__(self) -> "RootfsProcess":
        """Start it. Where that fails nothing is left behind."""
        try:
            spec = self._spec()
            mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._control = mine
            with theirs, self._tail.input() as log:
                self._process = subprocess.Popen(
                    launcher(str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for us
                    cwd="/",
                )
            mine.settimeout(_START_SECONDS)
            with open(os.memfd_create("specification"), "w+b") as file:  # may be longer than a message, and is no file
                file.write(json.dumps(spec).encode())
                file.seek(0)
                self._check(self._ask({}, file.fileno()))
            self.clock = Clock(self._process.pid)
        except BaseException:
            self.kill()
            raise
        return self

    def _spec(self) -> dict[str, Any]:
        package, settings = self._package, self._settings
        argv = [*(settings.get("Entrypoint") or ()), *(settings.get("Cmd") or ())]
        if not argv:
            raise ServingError(f"cannot start {self.title!r}: its image has no command")
        user = find_user(self._root, settings.get("User") or "")
        environment = {"PATH": _PATH, "HOME": user.home, "HOSTNAME": HOSTNAME}
        environment.update(item.partition("=")[::2] for item in settings.get("Env") or ())
        environment.update(package.environment)
        return {
            "root": self._root,
            "argv": argv,
            "env": environment,
            "cwd": settings.get("WorkingDir") or "/",
            "uid": user.uid,
            "gid": user.gid,
            "groups": user.groups,
            "hostname": HOSTNAME,
            "share": package.network,
            "processes": PROCESSES,
        }

    def _check(self, reply: dict[str, Any]) -> None:
        """Raise the error that the answer to the first message tells of."""
        if "error" not in reply:
            return
        stage, text = reply.get("stage"), reply["error"]
        if stage == "program" and reply["errno"] == errno.E2BIG:
            stage = "too long"
        if stage in _HINTS:
            raise ServingError(f"cannot start {self.title!r}: {text}", hint=_HINTS[stage])
        raise _refused(self.title, text)

    def _ask(self, message: dict[str, Any], handle: int | None = None) -> dict[str, Any]:
        """Ask the launcher; a `handle` is given with the message, one that comes back is the answer's "handle".

        Raises ServingError where the launcher is gone.
        """
        with self._lock:
            if self._control is None:
                raise ServingError(f"{self.title!r} was not started")
            try:
                socket.send_fds(self._control, [json.dumps(message).encode()], [] if handle is None else [handle])
                data, handles, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
            except BaseException as error:
                self.kill()  # what still comes would be taken for the answer to the next question
                if not isinstance(error, OSError):
                    raise
                raise ServingError(f"{self.title!r} was ended from outside: {error}", log=self.log()) from error
            if not data:
                raise ServingError(f"{self.title!r} was ended from outside", log=self.log())
            reply: dict[str, Any] = json.loads(data)
            return reply | {"handle": next(iter(handles), None)}

    def connect(self, port: int, timeout: float) -> socket.socket:
        """A connection to one of its ports, made inside of its network. Raises OSError where nobody listens."""
        reply = self._ask({"connect": port})
        if "error" in reply:
            raise ConnectionRefusedError(reply["error"].lower())
        connection = socket.socket(fileno=reply["handle"])
        connection.settimeout(timeout)
        return connection

    def state(self) -> State:
        """Where it stands now."""
        reply = self._ask({"state": 1})
        return State(reply["running"], reply["code"], out_of_memory=False, error="")

    def log(self, lines: int = 50) -> str:
        """The last lines of what it wrote, both streams together."""
        return self._tail.text(lines)

    def read(self, path: str) -> bytes | None:
        """See `runner.Running`. No link is followed."""
        reply = self._ask({"open": path})
        if reply.get("missing"):
            return None
        if "error" in reply:
            raise ServingError(reply["error"])
        with open(reply["handle"], "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise too_long(path)
        return content

    def stop(self) -> Stopped | None:
        """Its stop signal, the grace period, SIGKILL."""
        if self._control is None:
            return None
        limit = self.clock.limit(self.grace)
        try:
            state = self.state()
            if state.running:
                self._ask({"signal": int(self._signal)})
                state = wait_end(self, limit)
            if state.running:
                return Stopped(128 + signal.SIGKILL, limit.told())
        finally:
            self.kill()
        return Stopped(state.exit_code)

    def kill(self) -> None:
        """End it at once, from any thread."""
        control, self._control = self._control, None
        if control is not None:
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)  # the launcher kills what runs; a waiting thread wakes up
            control.close()
        if self._process is not None:
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()  # and process 1 with it, which asked for that
                self._process.wait()

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        except ServingError:
            pass  # it is gone already
        finally:
            self.kill()


def _signal_of(name: str | None) -> signal.Signals:
    """The signal of an image's StopSignal: a name, with or without SIG, or a number. SIGTERM where it is none."""
    text = (name or "SIGTERM").upper()
    try:
        return signal.Signals(int(text)) if text.isdigit() else signal.Signals["SIG" + text.removeprefix("SIG")]
    except (KeyError, ValueError):
        return signal.SIGTERM
