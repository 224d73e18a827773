"""Reading a blob of a registry without a file to keep it in: where the transfer breaks off it goes on from there."""

import time
from collections.abc import Callable, Iterator

from buildrules.oci.registry import Registry
from buildrules.oci.transport import TRIES, AnswerError
from buildrules.start.retry import pause


def read_blob(
    registry: Registry, digest: str, size: int, wait: Callable[[float], None] = time.sleep
) -> Iterator[bytes]:
    """What claims to be the blob: whoever reads it checks it. `size` is in bytes.

    Raises AnswerError where there is none, and where TRIES attempts in a row gave not a byte; RegistryError.
    """
    done = failures = 0
    while done < size:
        begun = done
        try:
            for chunk in registry.read(digest, done):
                done += len(chunk)
                yield chunk
            error = AnswerError(f"registry {registry} sent {done} bytes of {digest} instead of {size}", retry=True)
        except AnswerError as broken:
            error = broken
        if done >= size:
            return
        failures = 1 if done > begun else failures + 1
        if not error.retry or failures == TRIES:
            raise error
        wait(pause(failures) if error.wait is None else error.wait)
