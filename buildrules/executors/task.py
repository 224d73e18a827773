"""What is sent to a worker: a step, and the content it needs, by digest.

    {"program": "0.1.0", "namespace": "main", "step": Step.to_dict(), "blobs": {digest: bytes}}

Files of the workspace stand in the step itself, with their digests. There is no address, path of a host or credential
in it, and two machines that want the same step send the same bytes.
"""

import json
from collections.abc import Mapping

from buildrules import __version__
from buildrules.engine.action import NOTHING
from buildrules.engine.step import Step
from buildrules.errors import UsageError
from buildrules.oci.descriptor import is_digest, is_size
from buildrules.remote.backend import Blob
from buildrules.remote.keys import is_namespace
from buildrules.sha256 import digest_of
from buildrules.store.records import canonical
from buildrules.typed import NamedTuple


class Task(NamedTuple):
    """A step for a worker. `blobs` are sizes in bytes by digest: what has to be in the worker's store.

    `properties` are what the worker must have, as the engine names it: no part of what is sent.
    """

    step: Step
    blobs: Mapping[str, int]
    namespace: str
    program: str = __version__
    properties: Mapping[str, str] = NOTHING

    @property
    def files(self) -> dict[str, Blob]:
        """What lies in the worker's workspace, by paths there, which lead nowhere else (`Step.from_dict`)."""
        return {file.path: Blob(file.digest, file.size) for file in self.step.files if file.plain and file.path}

    @property
    def content(self) -> list[Blob]:
        """What has to be in the worker's store."""
        return [Blob(*item) for item in self.blobs.items()]

    def data(self) -> bytes:
        """The bytes that are sent."""
        value = {"program": self.program, "namespace": self.namespace, "step": self.step.to_dict()}
        return canonical({**value, "blobs": dict(self.blobs)})

    @classmethod
    def read(cls, data: bytes) -> "Task":
        """Read what `data` gave. Raises UsageError for anything else."""
        try:
            value = json.loads(data)
            program, namespace, blobs = value["program"], value["namespace"], value["blobs"]
            step = Step.from_dict(value["step"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"what came is no task: {type(error).__name__}") from None
        sound = isinstance(program, str) and is_namespace(namespace) and isinstance(blobs, dict)
        if not sound or not all(is_digest(digest) and is_size(size) for digest, size in blobs.items()):
            raise UsageError("what came is no task: a field of it is something else")
        return cls(step, blobs, namespace, program)


def task_key(data: bytes) -> str:
    """What the answer to a task is signed for: 64 hex digits."""
    return digest_of(b"buildrules-task-1\0" + data).removeprefix("sha256:")
