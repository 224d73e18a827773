"""The cache that a team runs: nginx with the files of `cache/nginx`, and a registry behind it where one is wanted."""

import base64
import contextlib
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.oci.registry.servers import certify, free_port

CONFIGURATION = Path(__file__).parents[2] / "cache" / "nginx"
WRITER, PASSWORD = "ci", "a writer's password"
LOGIN = {"Authorization": "Basic " + base64.b64encode(f"{WRITER}:{PASSWORD}".encode()).decode()}


@dataclass
class CacheServer:
    """A running one: everybody reads, WRITER with PASSWORD writes. Its records and content are below `data`.

    `log` has its errors, `writes` a line for each request that is not a read.
    """

    host: str
    data: Path
    log: Path
    writes: Path
    process: "subprocess.Popen[bytes]" = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = LOGIN) -> tuple[int, bytes]:
        """Status and body; `path` is sent as it is."""
        with contextlib.closing(http.client.HTTPConnection(self.host, timeout=30)) as connection:
            connection.request(method, path, body or None, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def cache_server(
    folder: Path,
    *,
    data: Path | None = None,
    registry: str | None = None,
    tls: bool = False,
    readers: bool = True,
) -> Iterator[CacheServer]:
    """Start it in `folder`, which must not be there; `registry` is the `host:port` of one to put layers into.

    `readers` is whether everybody reads; else only the writer does.
    """
    files = folder / "nginx"
    shutil.copytree(CONFIGURATION, files)
    host = f"127.0.0.1:{free_port()}"
    listen = files / "listen.conf"
    if tls:
        certify(files)
        shutil.copy(files / "optional" / "listen-tls.conf", listen)
    listen.write_text(re.sub(r"(?m)^listen \d+", f"listen {host}", listen.read_text()))
    if registry:
        shared = (files / "optional" / "registry.conf").read_text()
        (files / "registry.conf").write_text(shared.replace("registry:5000", registry))
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    (files / "writers").write_text(f"{WRITER}:{{SHA}}{digest}\n")
    if not readers:
        shutil.copy(files / "optional" / "readers.conf", files)
        shutil.copy(files / "writers", files / "readers")
    data = data or folder / "data"
    data.mkdir(exist_ok=True)
    log, writes = folder / "error.log", folder / "writes.log"
    command = ["/usr/sbin/nginx", "-e", "stderr", "-p", f"{data}/", "-c", str(files / "nginx.conf")]
    if os.getuid() == 0:  # else the workers are nobody, who may write nothing here
        command += ["-g", "user root;"]
    with log.open("ab") as errors, writes.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=errors)
    running = CacheServer(host, data, log, writes, process)
    try:
        _wait(running)
        yield running
    finally:
        process.terminate()
        process.wait()


def _wait(running: CacheServer) -> None:
    for _ in range(400):
        try:
            http.client.HTTPConnection(running.host).connect()
            return
        except OSError:
            assert running.process.poll() is None, running.log.read_text()
            time.sleep(0.025)
    raise AssertionError("nginx does not answer: " + running.log.read_text())
