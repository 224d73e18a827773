"""A small client of Execute, to ask the servers of the tests what they can; the product has its own."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from buildrules.net.session import Session
from buildrules.remote import reapi_messages as forms
from buildrules.remote.backend import Blob
from buildrules.remote.opening import open_backend
from buildrules.remote.protobuf import BYTES, NUMBER, TEXT, Field, Table, decode, encode
from buildrules.remote.rpc import Channel

_DIGEST = Field(1, forms.DIGEST)
_PAIR: Table = {"name": Field(1, TEXT), "value": Field(2, TEXT)}
_PLATFORM: Table = {"properties": Field(1, _PAIR, many=True)}
_DIRECTORY: Table = {
    "files": Field(
        1, {"name": Field(1, TEXT), "digest": Field(2, forms.DIGEST), "is_executable": Field(4, NUMBER)}, many=True
    ),
    "directories": Field(2, {"name": Field(1, TEXT), "digest": Field(2, forms.DIGEST)}, many=True),
}
_COMMAND: Table = {
    "arguments": Field(1, TEXT, many=True),
    "environment_variables": Field(2, _PAIR, many=True),
    "platform": Field(5, _PLATFORM),
    "output_paths": Field(7, TEXT, many=True),
}
_ACTION: Table = {
    "command_digest": _DIGEST,
    "input_root_digest": Field(2, forms.DIGEST),
    "salt": Field(9, BYTES),
    "platform": Field(10, _PLATFORM),
}
_EXECUTE: Table = {"skip_cache_lookup": Field(3, NUMBER), "action_digest": Field(6, forms.DIGEST)}
_ANY: Table = {"type_url": Field(1, TEXT), "value": Field(2, BYTES)}
_OPERATION: Table = {
    "name": Field(1, TEXT),
    "metadata": Field(2, _ANY),
    "done": Field(3, NUMBER),
    "error": Field(4, forms.STATUS),
    "response": Field(5, _ANY),
}
_STAGE: Table = {"stage": Field(1, NUMBER)}
_RESULT: Table = {
    "output_files": Field(2, {"path": Field(1, TEXT), "digest": Field(2, forms.DIGEST)}, many=True),
    "exit_code": Field(4, NUMBER),
    "stdout_raw": Field(5, BYTES),
    "stdout_digest": Field(6, forms.DIGEST),
    "stderr_raw": Field(7, BYTES),
    "stderr_digest": Field(8, forms.DIGEST),
    "execution_metadata": Field(9, {"worker": Field(1, TEXT)}),
}
_RESPONSE: Table = {"result": Field(1, _RESULT), "cached_result": Field(2, NUMBER), "status": Field(3, forms.STATUS)}
_SERVICE = "/build.bazel.remote.execution.v2.Execution"
_WAIT: Table = {"name": Field(1, TEXT)}
EXECUTING = 3
"""Of the enumeration ExecutionStage.Value."""


class Ran(NamedTuple):
    """What an action gave: its exit code, whether it was cached, what it wrote, the worker's name."""

    exit: int
    cached: bool
    outputs: dict[str, bytes]
    out: str
    err: str
    worker: str


class Client:
    """A client of the server at `url` (grpc://HOST:PORT)."""

    def __init__(self, url: str) -> None:
        self._channel = Channel(url, Session())
        self._content = open_backend(url, Session()).content
        self.operation = ""  # the name of the last one
        self.stages: list[int] = []

    def put(self, data: bytes) -> dict[str, Any]:
        """The digest of `data`, which is in the server's storage then."""
        name = hashlib.sha256(data).hexdigest()
        blob = Blob(f"sha256:{name}", len(data))
        if not self._content.holds([blob]):
            self._content.write(blob, lambda: [data])
        return {"hash": name, "size_bytes": len(data)}

    def tree(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        """The digest of a directory with these files, all of them executable."""
        below: dict[str, dict[str, bytes]] = {}
        here = []
        for path, data in sorted(files.items()):
            first, _, rest = path.partition("/")
            if rest:
                below.setdefault(first, {})[rest] = data
            else:
                here.append({"name": first, "digest": self.put(data), "is_executable": 1})
        folders = [{"name": name, "digest": self.tree(inside)} for name, inside in sorted(below.items())]
        return self.put(encode(_DIRECTORY, {"files": here, "directories": folders}))

    def run(
        self,
        files: Mapping[str, bytes],
        command: Sequence[str],
        outputs: Sequence[str] = (),
        *,
        salt: bytes = b"",
        properties: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run a command in an input root of these files. Raises CallError."""
        platform = {"properties": _pairs(properties or {})}
        order = {"arguments": command, "output_paths": sorted(outputs), "platform": platform}
        told = self.put(encode(_COMMAND, {**order, "environment_variables": _pairs(environment or {})}))
        action = {"command_digest": told, "input_root_digest": self.tree(files), "salt": salt, "platform": platform}
        asked = {"action_digest": self.put(encode(_ACTION, action))}
        return self._follow(f"{_SERVICE}/Execute", _EXECUTE, asked)

    def wait(self, operation: str) -> Ran:
        """What an operation gives that was begun before. Raises CallError."""
        return self._follow(f"{_SERVICE}/WaitExecution", _WAIT, {"name": operation})

    def _follow(self, method: str, form: Table, message: dict[str, Any]) -> Ran:
        self.stages = []
        for answer in self._channel.receive(method, (form, _OPERATION), message, size=300 << 20):
            self.operation = answer["name"]
            self.stages.append(decode(_STAGE, (answer["metadata"] or {"value": b""})["value"])["stage"])
            assert not answer["error"], answer["error"]
        done = decode(_RESPONSE, answer["response"]["value"])
        assert not (done["status"] and done["status"]["code"]), done["status"]
        result = done["result"]
        made = {file["path"]: self._read(b"", file["digest"]) for file in result["output_files"]}
        out, err = (
            self._read(result[f"{name}_raw"], result[f"{name}_digest"]).decode() for name in ("stdout", "stderr")
        )
        worker = (result["execution_metadata"] or {"worker": ""})["worker"]
        return Ran(result["exit_code"], bool(done["cached_result"]), made, out, err, worker)

    def _read(self, raw: bytes, digest: dict[str, Any] | None) -> bytes:
        if raw or not digest or not digest["size_bytes"]:
            return raw
        return b"".join(self._content.read(Blob(f"sha256:{digest['hash']}", digest["size_bytes"])))


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def runs(command: list[str]) -> bool:
    """Whether a process of this machine has this command, in whatever namespace."""
    wanted = "\0".join(command).encode() + b"\0"
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == wanted:
                return True
    return False


def wait_for(true: Callable[[], bool]) -> None:
    """Wait until something is true, for a minute at most."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
