"""Starts a program in namespaces of its own, on a root file system of its own. Runs as a process of its own.

Imports nothing but the standard library and its neighbours. The other end of the socket given by number sends one JSON
message at a time, and gets one back. With the first comes a file (SCM_RIGHTS) that says what to start, as JSON:

    root        folder with the root file system        processes    how many there may be, threads included
    argv, env, cwd, uid, gid, groups, hostname          share    true: the machine's network; false: only loopback

    {}                  {"ok": true}, or {"error": text, "errno": number, "stage": "namespaces", "mount", "image" or
                        "program"}
    {"connect": port}   {"ok": true} with a connected socket (SCM_RIGHTS), or {"error": text}
    {"signal": number}  {"ok": true}
    {"state": 1}        {"running": bool, "code": exit code, or 128 + number of the signal that ended it}
    {"open": path}      {"ok": true} with the file, open for reading (SCM_RIGHTS); {"missing": true}, or {"error": text}

When the socket is closed everything is killed.

Three processes: the one that was started only waits. The second is process 1 of a namespace and answers. The third is
process 1 of another inside of it, and becomes the program. So whichever of the two is killed, Linux kills the program
and all it started, whatever they told it about being orphans.

Linux: namespaces(7), pid_namespaces(7), user_namespaces(7).
"""

import contextlib
import json
import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Iterable
from typing import Any, BinaryIO

from buildrules.serving.rootfs.confinement import confine, join, process_group
from buildrules.serving.rootfs.linux import CLONE_NEWNS, CLONE_NEWPID, PR_SET_PDEATHSIG, StageError, call
from buildrules.serving.rootfs.mounts import change_root, mount_root, mount_system
from buildrules.serving.rootfs.namespaces import (
    ADDRESS,
    ADDRESS6,
    LOOPBACK,
    LOOPBACK6,
    enter,
    loopback_up,
    write_names,
)

CONNECT_SECONDS = 2.0


def start(spec: dict[str, Any], user: bool, parent: socket.socket) -> None:
    """In the child, which is process 1 of its namespace: become the program. Only returns by raising.

    `parent` gets a handle of the root directory, for what is left there at the end.
    """
    resolver = ""
    if spec["share"]:
        try:
            with open("/etc/resolv.conf") as file:
                resolver = file.read()
        except OSError:
            pass
    try:
        call("unshare", CLONE_NEWNS)
        mount_root(spec["root"])
        mount_system()
        change_root()
        root = os.open("/", os.O_PATH | os.O_DIRECTORY)
        socket.send_fds(parent, [b"root"], [root])
        os.close(root)
        write_names(spec, resolver)
        confine(spec, user)
    except OSError as error:
        raise StageError("mount", "its file systems", error) from error
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):  # what Python changed
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - that is what it is for
    except OSError as error:
        raise StageError("program", spec["argv"][0], error) from error


class Supervisor:
    """The parent of the program: outside of its file system and processes, inside of its network.

    Itself process 1 of a namespace, in the namespaces that `enter` made. Raises StageError.
    """

    def __init__(self, control: socket.socket, spec: dict[str, Any], user: bool) -> None:
        self._control = control
        self._code: int | None = None
        self._own = () if spec["share"] else ((socket.AF_INET, ADDRESS), (socket.AF_INET6, ADDRESS6))
        if not spec["share"]:
            loopback_up()
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            call("unshare", CLONE_NEWPID)
        except OSError as error:
            raise StageError("namespaces", "unshare", error) from error
        self._pid = os.fork()
        if self._pid == 0:
            try:
                start(spec, user, theirs)
            except StageError as error:
                theirs.send(_problem(error))
            finally:
                os._exit(127)
        theirs.close()
        self._root = -1  # of the file system inside, which lives as long as this handle
        self.problem = b""
        with mine:  # closed by the program's start, or by the end
            while not self.problem:
                self.problem, handles, _, _ = socket.recv_fds(mine, 1 << 16, 1)
                if not handles:
                    break
                (self._root,) = handles
                self.problem = b""

    def serve(self) -> None:
        """Answer until the other end is closed; then kill what runs."""
        while True:
            select.select([self._control], [], [])
            message = self._control.recv(1 << 16)
            if not message:
                break
            reply, handle = self._answer(json.loads(message))
            data = json.dumps(reply).encode()
            if handle is None:
                self._control.send(data)
            else:
                socket.send_fds(self._control, [data], [handle.fileno()])
                handle.close()
        self.kill()

    def kill(self) -> None:
        """End everything in the namespaces."""
        self._signal(signal.SIGKILL)
        while self._code is None:
            self._wait(0)

    def _answer(self, message: dict[str, Any]) -> tuple[dict[str, Any], "socket.socket | BinaryIO | None"]:
        if "connect" in message:
            return self._connect(message["connect"])
        if "signal" in message:
            self._signal(message["signal"])
            return {"ok": True}, None
        if "open" in message:
            return self._open(message["open"])
        self._wait(os.WNOHANG)
        return {"running": self._code is None, "code": self._code}, None

    def _signal(self, number: int) -> None:
        self._wait(os.WNOHANG)
        if self._code is None:
            os.kill(self._pid, number)

    def _wait(self, flags: int) -> None:
        if self._code is None:
            pid, status = os.waitpid(self._pid, flags)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self._code = code if code >= 0 else 128 - code

    def _connect(self, port: int) -> tuple[dict[str, Any], socket.socket | None]:
        loopback = ((socket.AF_INET, LOOPBACK), (socket.AF_INET6, LOOPBACK6))
        found = _first(self._own or loopback, port)
        if not isinstance(found, OSError):
            return {"ok": True}, found
        text = str(found.strerror or found)
        inside = _first(loopback, port) if self._own else found
        if not isinstance(inside, OSError):
            inside.close()
            text += f" (it listens at {LOOPBACK} only, where nobody outside of the container reaches it: use 0.0.0.0)"
        return {"error": text}, None

    def _open(self, path: str) -> tuple[dict[str, Any], "BinaryIO | None"]:
        """A file of the root file system, whose processes are gone. Links could lead out of it: none is followed."""
        *above, name = path.strip("/").split("/")
        folder = os.dup(self._root)
        try:
            for step in above:
                inner = os.open(step, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except FileNotFoundError:
            return {"missing": True}, None
        except OSError as error:
            return {"error": f"{path} cannot be read: {error.strerror}"}, None
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            return {"error": f"{path} is not a file"}, None
        return {"ok": True}, open(handle, "rb")


def _first(places: Iterable[tuple[int, str]], port: int) -> socket.socket | OSError:
    """A connection to the first place where somebody listens, or the first error."""
    problem: OSError | None = None
    for family, host in places:
        try:
            connection = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue
        connection.settimeout(CONNECT_SECONDS)
        try:
            connection.connect((host, port))
        except OSError as error:
            connection.close()
            problem = problem or error
            continue
        connection.setblocking(True)
        return connection
    return problem or OSError("no network")


def _problem(error: StageError) -> bytes:
    return json.dumps({"error": str(error), "errno": error.number, "stage": error.stage}).encode()


def probe() -> None:
    """Say on standard output why there can be no namespaces; nothing where there can."""
    try:
        enter({"share": False, "uid": os.geteuid(), "gid": os.getegid()})
    except StageError as error:
        sys.stdout.write(str(error))


def supervise(control: socket.socket, spec: dict[str, Any], user: bool, group: str | None) -> None:
    """In the second process: start the program and answer until all is over."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # nothing of the package can take that back
    if group is not None:
        with contextlib.suppress(OSError):  # where it is another's: RLIMIT_NPROC is left
            join(group)
    try:
        supervisor = Supervisor(control, spec, user)
    except StageError as error:
        control.send(_problem(error))
        return
    control.send(supervisor.problem or b'{"ok": true}')
    if supervisor.problem:
        supervisor.kill()
    else:
        supervisor.serve()


def main() -> None:
    """Take the first message and do as it says."""
    if sys.argv[1] == "probe":
        probe()
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end decides when it is over
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    _, handles, _, _ = socket.recv_fds(control, 1 << 16, 1)
    if not handles:
        return  # the other end is gone
    with open(handles[0], "rb") as file:
        spec = json.load(file)
    with process_group(spec["processes"] + 1) as group:  # and the one who supervises them
        try:
            user = enter(spec)
        except StageError as error:
            control.send(_problem(error))
            return
        pid = os.fork()
        if pid == 0:
            try:
                supervise(control, spec, user, group)
            except BaseException:  # noqa: BLE001 - nobody else says it
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(0)
        control.close()  # so that the other end learns of the second's end
        os.waitpid(pid, 0)
