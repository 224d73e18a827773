"""What comes back from a worker: what the step made, or its error; and the content it left where it was fetched from.

    {"outputs": Outputs.to_dict()} or {"error": `told`}, with
    {"blobs": {digest: bytes}, "warnings": [...], "seconds": s}

It travels in the envelope of a record (`remote.envelope`), for the key of the task, signed where the worker has a key.
"""

from collections.abc import Callable, Mapping, Sequence

from buildrules.engine.action import Outputs
from buildrules.errors import BuildrulesError, IntegrityError
from buildrules.executors.told import in_line, raised
from buildrules.oci.descriptor import is_digest, is_size
from buildrules.remote.envelope import read_envelope
from buildrules.remote.trust import Trust
from buildrules.typed import Any, NamedTuple

_WARNINGS = 100
_LONGEST = 1e8  # seconds, of a step: three years
LARGEST = 64 << 10
"""Bytes of an answer; what is longer is a blob that a short one names, as of records (`engine.parcel`)."""


class Answer(NamedTuple):
    """One of `outputs` and `error` is None. `blobs` are sizes in bytes by digest, of what was made there."""

    outputs: Outputs | None
    error: BuildrulesError | None
    blobs: Mapping[str, int]
    warnings: Sequence[str]
    seconds: float

    @classmethod
    def of(cls, body: Any, fits: Callable[[Outputs], bool]) -> "Answer":
        """Read the body of an answer. Raises ValueError for anything else."""
        try:
            error = raised(body["error"]) if "error" in body else None
            outputs = None if error is not None else Outputs.from_dict(body["outputs"])
            blobs, seconds = dict(body["blobs"]), body["seconds"]
            warnings = list(map(in_line, body["warnings"][:_WARNINGS]))
        except (KeyError, TypeError, AttributeError) as wrong:
            raise ValueError(f"a part of it is something else: {wrong}") from None
        if not all(is_digest(digest) and is_size(size) for digest, size in blobs.items()):
            raise ValueError("it names content by no digest")
        if type(seconds) not in (int, float) or not 0 <= seconds < _LONGEST:
            raise ValueError("it took a time that is none")
        if outputs is not None and not fits(outputs):
            raise ValueError("it is not what a step of this kind makes")
        return cls(outputs, error, blobs, warnings, float(seconds))


def opened(data: bytes, key: str, namespace: str, trust: Trust, worker: str) -> dict[str, Any]:
    """The body of an answer that may be believed. Raises IntegrityError that names the worker."""
    try:
        envelope = read_envelope(data)
    except ValueError as error:
        raise IntegrityError(f"worker {worker} answered with what is no answer: {error}") from None
    verdict = trust.judge(envelope, key, namespace)
    if not verdict.accepted:
        raise IntegrityError(
            f"the answer of worker {worker} is refused: it is {verdict.why}",
            hint="the workspace requires signatures: give the worker a key that workspace.cache.public_keys names, "
            "or say that this executor is trusted, in workspace.executor",
        )
    return envelope.body
