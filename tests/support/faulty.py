"""A TCP proxy in front of a real server that fails as told, or as a seed says.

Where `http` is true each request has a connection of its own, so that each can meet a fault; otherwise each connection
meets one, whatever is spoken there.
"""

import contextlib
import random
import re
import select
import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

RUN = 64 << 10  # bytes
_LENGTH = re.compile(rb"(\r\nContent-Length: *)(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Fault:
    """What happens to one connection once `at` bytes have passed, from the server or, where `up`, to it.

    reset    it is reset
    close    it is closed, as if that were all
    stall    nothing passes any more
    trickle  from the first byte on, each takes `at` milliseconds
    flip     one bit of the byte `at` is turned
    length   the answer's Content-Length is changed by `at`
    answer   `status` and `headers` are answered, and the server is not asked
    """

    kind: str
    at: int = 0
    up: bool = False
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()


def answer(status: int, **headers: str) -> Fault:
    """The fault of another answer; headers as `Retry_After="1"`."""
    return Fault(
        "answer", status=status, headers=tuple((name.replace("_", "-"), text) for name, text in headers.items())
    )


KINDS = ("reset", "close", "flip", "length", "answer")
"""What is drawn from a seed. What takes the client's patience is for those who ask for it."""


class Faulty:
    """A proxy to `target`, `host:port`; `host` and `port` are its own.

    `faults` meet the first connections, None is none; after them one in `rate` meets one that is drawn from `seed`.
    `applied` has those that were met; `up` and `down` count the bytes that passed, `connections` the connections.
    """

    def __init__(
        self,
        target: str,
        faults: Iterable[Fault | None] = (),
        *,
        seed: int | None = None,
        rate: float = 0.3,
        kinds: Sequence[str] = KINDS,
        largest: int = 1 << 20,
        http: bool = True,
    ) -> None:
        name, _, port = target.rpartition(":")
        self.faults = list(faults)
        self.applied: list[Fault] = []
        self.up = self.down = self.connections = 0
        self._target = name, int(port)
        self._random = None if seed is None else random.Random(seed)
        self._rate, self._kinds, self._largest, self._http = rate, kinds, largest, http
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Faulty":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Accept nothing any more, and close what is open."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _draw(self) -> Fault | None:
        """The fault of the next connection."""
        with self._lock:
            self.connections += 1
            if self.faults:
                fault = self.faults.pop(0)
            elif self._random is None or self._random.random() >= self._rate:
                fault = None
            else:
                fault = self._any(self._random)
            if fault is not None:
                self.applied.append(fault)
            return fault

    def _any(self, chance: random.Random) -> Fault:
        kind = chance.choice(self._kinds)
        if kind == "length":
            return Fault(kind, chance.choice((-1, 1, -100, 100, self._largest)))
        if kind == "answer":
            return answer(chance.choice((408, 429, 500, 502, 503, 504)), Retry_After="0")
        return Fault(kind, int(self._largest ** chance.random()) - 1, up=chance.random() < 0.3)

    def _serve(self, client: socket.socket) -> None:
        fault = self._draw()
        with client, contextlib.suppress(OSError):
            first = self._head(client) if self._http else b""
            if first is None:
                return
            if fault is not None and fault.kind == "answer":
                self._answer(client, fault)
                return
            with socket.create_connection(self._target) as server:
                _Passing(self, client, server, fault).run(first)

    def _head(self, client: socket.socket) -> bytes | None:
        """A request's head and what came with it, made to ask for a connection of its own; None where there is none."""
        found = b""
        while b"\r\n\r\n" not in found:
            run = client.recv(RUN)
            if not run:
                return None
            found += run
        head, _, rest = found.partition(b"\r\n\r\n")
        head = re.sub(rb"\r\nConnection:[^\r]*", b"", head, flags=re.IGNORECASE)
        return head + b"\r\nConnection: close\r\n\r\n" + rest

    def _answer(self, client: socket.socket, fault: Fault) -> None:
        lines = "".join(f"{name}: {text}\r\n" for name, text in fault.headers)
        client.sendall(f"HTTP/1.1 {fault.status} So\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        while client.recv(RUN):  # a reset would take the answer along
            pass

    def count(self, *, up: int = 0, down: int = 0) -> None:
        with self._lock:
            self.up += up
            self.down += down

    def pause(self, seconds: float) -> None:
        """Let time pass. Raises OSError where the proxy is closed meanwhile."""
        if self._closed.wait(seconds):
            raise OSError("the proxy is closed")

    @property
    def closed(self) -> bool:
        return self._closed.is_set()


class _Cut(Exception):
    """The connection is over."""


class _Passing:
    """One connection, both ways."""

    def __init__(self, proxy: Faulty, client: socket.socket, server: socket.socket, fault: Fault | None) -> None:
        self._proxy, self._client, self._server, self._fault = proxy, client, server, fault
        self._passed = {True: 0, False: 0}  # bytes by whether they go up
        self._stalled = False

    def run(self, first: bytes) -> None:
        ways = {self._client: (self._server, True), self._server: (self._client, False)}
        with contextlib.suppress(_Cut):
            self._pass(first, self._server, up=True)
            while ways and not self._proxy.closed:
                ready, _, _ = select.select(list(ways), [], [], 0.2)
                for source in ready:
                    target, up = ways[source]
                    run = source.recv(RUN)
                    if run:
                        self._pass(run, target, up=up)
                    elif up:
                        ways.pop(source)
                        target.shutdown(socket.SHUT_WR)
                    elif not self._stalled:
                        return

    def _pass(self, run: bytes, target: socket.socket, *, up: bool) -> None:
        fault, start = self._fault, self._passed[up]
        self._passed[up] += len(run)
        if self._stalled:
            return
        if fault is not None and fault.kind == "trickle" and fault.up == up:
            for byte in run:
                self._send(bytes([byte]), target, up=up)
                self._proxy.pause(fault.at / 1000)
            return
        if fault is not None and fault.kind == "length" and not up and start == 0:
            run = _LENGTH.sub(lambda found: found[1] + b"%d" % max(0, int(found[2]) + fault.at), run)
        elif fault is not None and fault.up == up and start <= fault.at < start + len(run):
            place = fault.at - start
            if fault.kind == "flip":
                run = run[:place] + bytes([run[place] ^ 4]) + run[place + 1 :]
            elif fault.kind in ("reset", "close", "stall"):
                self._send(run[:place], target, up=up)
                self._stalled = fault.kind == "stall"
                if fault.kind == "reset":
                    for one in (self._client, self._server):
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if not self._stalled:
                    raise _Cut
                return
        self._send(run, target, up=up)

    def _send(self, run: bytes, target: socket.socket, *, up: bool) -> None:
        target.sendall(run)
        self._proxy.count(**{"up" if up else "down": len(run)})
