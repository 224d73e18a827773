"""OpenStack Swift with its S3 interface: a real server that checks signatures, with buckets and versions."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from buildrules.start.failure import Failure
from buildrules.start.s3 import Keys, sign
from buildrules.start.web import Web
from tests.support.service import Service, free_ports, run_folder, shared
from tests.support.venvs import environment

ACCESS_KEY, SECRET_KEY = "test:tester", "testing"

SWIFT_CONF = """\
[swift-hash]
swift_hash_path_prefix = prefix
swift_hash_path_suffix = suffix
[storage-policy:0]
name = only
default = yes
[swift-constraints]
max_header_size = 16384
"""

STORAGE = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
devices = {folder}/srv
mount_check = false
swift_dir = {folder}
log_name = {name}
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

PIPELINE = (
    "catch_errors gatekeeper cache listing_formats s3api tempauth copy slo dlo versioned_writes symlink proxy-server"
)
PROXY = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
[pipeline:main]
pipeline = {pipeline}
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
"""

RINGS = """\
import sys
from swift.common.ring.builder import RingBuilder
for number, argument in enumerate(sys.argv[1:]):
    name, port = argument.split(":")
    builder = RingBuilder(4, 1, 1)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1.0, "ip": "127.0.0.1", "port": int(port),
                     "replication_ip": "127.0.0.1", "replication_port": int(port), "device": "d1", "meta": ""})
    builder.rebalance()
    builder.get_ring().save(f"{name}.ring.gz")
"""


@dataclass
class Swift:
    """A running server; `environment` is what a client's process needs to know."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def request(self, method: str, path: str, body: bytes = b"", query: str = "") -> bytes:
        """A signed request; `path` begins with the bucket."""
        url = f"{self.endpoint}/{quote(path)}" + (f"?{query}" if query else "")
        headers = sign(method, url, "us-east-1", Keys(ACCESS_KEY, SECRET_KEY), body=body)
        headers["Content-Type"] = "application/octet-stream"
        return Web().ask(url, headers, method=method, body=body or None, ok=(200, 204, 409))[2]

    def bucket(self, name: str, *, versions: bool = False) -> str:
        """Make a bucket."""
        self.request("PUT", name)
        if versions:
            body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            self.request("PUT", name, body, "versioning=")
        return name

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Write an object."""
        self.request("PUT", f"{bucket}/{key}", content)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        self.request("DELETE", f"{bucket}/{key}")


@contextlib.contextmanager
def swift_server(factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """The server of this test run."""
    with shared(run_folder(factory) / "swift", _prepare) as facts:
        yield Swift(facts["endpoint"])


def _prepare(folder: Path) -> Service:
    tools = environment("swift", "swift", "setuptools")
    ports = dict(zip(("object", "container", "account", "proxy"), free_ports(4), strict=True))
    (folder / "srv" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(SWIFT_CONF)
    storage = {name: port for name, port in ports.items() if name != "proxy"}
    for name, port in storage.items():
        (folder / f"{name}.conf").write_text(STORAGE.format(name=name, port=port, folder=folder))
    (folder / "proxy.conf").write_text(PROXY.format(pipeline=PIPELINE, port=ports["proxy"], folder=folder))
    rings = [f"{name}:{port}" for name, port in storage.items()]
    subprocess.run([str(tools / "python"), "-c", RINGS, *rings], cwd=folder, check=True, capture_output=True)
    server = Swift(f"http://127.0.0.1:{ports['proxy']}")

    def ready() -> bool:
        try:
            server.bucket("ready")
            server.put("ready", "ready", b"yes")
        except Failure:
            return False
        return True

    commands = [
        [str(tools / "python"), str(tools / f"swift-{name}-server"), str(folder / f"{name}.conf")] for name in ports
    ]
    return Service(commands, ready, {"endpoint": server.endpoint})
