"""An engine whose images are in containerd's store, as far as loading into it goes.

It answers with what Docker 28.5.2 with containerd 2.1.9 said to the same requests, recorded word for word. That it
keeps blobs by digest, takes an archive that lacks some, and calls an image it cannot unpack no error, is what that
engine was seen to do. Set DOCKER_CONTAINERD_HOST to run the tests against a real one, that of
`benchmarks/second_engine.sh` for example.
"""

import contextlib
import io
import json
import os
import socketserver
import tarfile
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

from buildrules.oci.docker_connect import unix
from buildrules.oci.docker_http import Engine
from tests.support.dockerlab import body_of
from tests.support.local import Plain

_NOT_UNPACKED = (
    'Error unpacking image {name}: apply layer error for "docker.io/{name}": failed to extract layer {diff_id}: '
    "NotFound: failed to get reader from content store: content digest {digest}: not found\n"
)


class ContainerdStore:
    """Blobs by digest, images (names by the digest of their manifest), and the layers each load brought."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.images: dict[str, set[str]] = {}
        self.brought: list[set[str]] = []

    def load(self, archive: bytes) -> list[dict[str, str]]:
        """Take an image; the lines of the answer."""
        found: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            for member in files:
                if (file := files.extractfile(member)) is not None:
                    found[member.name] = file.read()
        blobs = {"sha256:" + name.rpartition("/")[2]: data for name, data in found.items() if name.startswith("blobs/")}
        entry = json.loads(found["index.json"])["manifests"][0]
        digest = entry["digest"]
        manifest = json.loads(blobs[digest])
        self.blobs.update(blobs)
        self.brought.append({layer["digest"] for layer in manifest["layers"]} & blobs.keys())
        names = json.loads(found["manifest.json"])[0]["RepoTags"]
        for name in names:
            for others in self.images.values():
                others.discard(name)
        self.images.setdefault(digest, set()).update(names)
        lines = [{"stream": f"Loaded image: {names[0]}\n"}]
        for layer, diff_id in zip(manifest["layers"], self._config(manifest)["rootfs"]["diff_ids"], strict=True):
            if layer["digest"] not in self.blobs:
                said = _NOT_UNPACKED.format(name=names[0], digest=layer["digest"], diff_id=diff_id)
                return [*lines, {"stream": said}]
        return lines

    def inspect(self, name: str) -> dict[str, Any] | None:
        """An image by name or digest."""
        digest = next((digest for digest, names in self.images.items() if name == digest or name in names), None)
        if digest is None:
            return None
        manifest = json.loads(self.blobs[digest])
        whole = all(layer["digest"] in self.blobs for layer in manifest["layers"])
        return {
            "Id": digest,
            "RepoTags": sorted(self.images[digest]),
            "GraphDriver": {"Data": None, "Name": "overlayfs"},
            "RootFS": {"Type": "layers", "Layers": self._config(manifest)["rootfs"]["diff_ids"]} if whole else {},
        }

    def remove(self, name: str) -> None:
        """Remove an image, and the blobs that no other has."""
        self.images.pop((self.inspect(name) or {}).get("Id", ""), None)
        used = set(self.images)
        for digest in self.images:
            manifest = json.loads(self.blobs[digest])
            used |= {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
        self.blobs = {digest: data for digest, data in self.blobs.items() if digest in used}

    def _config(self, manifest: dict[str, Any]) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.blobs[manifest["config"]["digest"]])
        return config


@contextlib.contextmanager
def containerd_engine() -> Iterator[tuple[Engine, ContainerdStore]]:
    """The engine, on a socket of its own, and what it has."""
    store = ContainerdStore()

    class Handler(Plain):
        def answer(self) -> None:
            path, _, query = self.path.partition("?")
            name = path.removeprefix("/images/").removesuffix("/json").removesuffix("/tag")
            if path.startswith("/images/load"):
                self._answer(200, *store.load(b"".join(body_of(self))))
            elif path == "/_ping":
                self._answer(200, "OK")
            elif path == "/info":
                self._answer(200, {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]})
            elif (found := store.inspect(name)) is None:
                self._answer(404, {"message": f"No such image: {name}"})
            elif self.command == "DELETE":
                store.remove(name)
                self._answer(200, [])
            elif path.endswith("/tag"):
                given = {key: value[0] for key, value in urllib.parse.parse_qs(query).items()}
                store.images[found["Id"]].add(f"{given['repo']}:{given['tag']}")
                self._answer(201, None)
            else:
                self._answer(200, found)

        def _answer(self, status: int, *rows: object) -> None:
            self.send(status, b"".join(json.dumps(row).encode() + b"\r\n" for row in rows))

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with tempfile.TemporaryDirectory() as folder, Server(os.path.join(folder, "s"), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        path = os.path.join(folder, "s")
        yield Engine(f"unix://{path}", unix(path)), store
        server.shutdown()
