"""The lock of a base image: which manifest a tag named when somebody last looked.

`oci.<name>-<os>-<arch>.lock` beside the BUILD.yaml, TOML, one platform each, so that a moved tag is a
one-line change in a review. It holds the reference as written and no credential.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildrules.errors import LockError
from buildrules.oci.reference import DIGEST, Reference, hide_userinfo, parse_reference
from buildrules.store.lockfile import write_whole

if TYPE_CHECKING:
    from buildrules.net.download import Fetching

VERSION = 1
_HEAD = "# Written by 'buildrules lock'. Pins a base image; commit it.\n"


@dataclass(frozen=True, slots=True)
class ImageLock:
    """What a base image is pinned to. `digest` is the manifest's, or a Docker Engine's image ID."""

    reference: str  # as written in BUILD.yaml
    platform: str
    digest: str
    media_type: str
    inputs: str  # digest of what the lock was made from

    def stale(self, reference: str, platform: str) -> bool:
        """Whether the lock was made for another reference or platform, or edited by hand to look like it."""
        return self.inputs != inputs_digest(reference, platform) or self.inputs != inputs_digest(
            self.reference, self.platform
        )


def lock_name(name: str, platform: str) -> str:
    """The file name of the lock of target `name` for `os/arch[/variant]`."""
    return f"oci.{name}-{platform.replace('/', '-')}.lock"


def inputs_digest(reference: str, platform: str) -> str:
    """`sha256:<hex>` over everything a lock depends on besides what the tag names at the time."""
    data = json.dumps([VERSION, reference, platform], separators=(",", ":")).encode()
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_lock(
    reference: str,
    platform: str,
    context: "Fetching",
    *,
    root: str = "",
    default_registry: str | None = None,
    plain_http: bool | None = None,
) -> ImageLock:
    """Ask the source what `reference` is for `platform` now. `root` is where relative layout paths start.

    Manifest and config stay in the store. Raises UsageError where it cannot be a base image, RegistryError,
    DockerError, FetchError, IntegrityError.
    """
    from buildrules.oci.foreign import foreign_layers
    from buildrules.oci.origin import open_source
    from buildrules.oci.transport import ConnectionFailedError

    parsed = parse_reference(reference, default_registry)
    source = open_source(parsed, context, root=root, plain_http=plain_http)
    try:
        found = source.resolve(platform)
    except ConnectionFailedError as error:
        error.hint = error.hint or "an image that is at hand can stand for it: `docker: NAME` or `layout: DIR`"
        raise
    finally:
        source.close()
    foreign_layers(found.manifest, found.config, str(parsed))  # refuse now what a build could not use
    return ImageLock(reference, platform, found.digest, found.media_type, inputs_digest(reference, platform))


def pinned(reference: Reference, platform: str) -> ImageLock | None:
    """The lock a reference with a digest is by itself (no file is needed), or None for one that can move."""
    if reference.digest is None:
        return None
    return ImageLock(str(reference), platform, reference.digest, "", inputs_digest(str(reference), platform))


def changes(old: ImageLock, new: ImageLock) -> list[str]:
    """What a new lock says that the old one did not, one line each."""
    lines = [] if old.reference == new.reference else [f"image {old.reference} -> {new.reference}"]
    if old.digest != new.digest:
        lines.append(f"digest {old.digest[:19]} -> {new.digest[:19]}")
    return lines


def read_lock(path: str) -> ImageLock | None:
    """The lock in the file `path`, or None where there is none. Raises LockError where it is malformed."""
    import tomllib

    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise LockError(
            f"lock {path!r} cannot be read: {error}", hint="run 'buildrules lock' to write it anew"
        ) from error
    fields = ("reference", "platform", "digest", "media-type", "inputs")
    if data.get("version") != VERSION:
        raise LockError(
            f"lock {path!r} has version {data.get('version')!r}, and this buildrules reads {VERSION}",
            hint="run 'buildrules lock' to write it anew",
        )
    wrong = [name for name in fields if not isinstance(data.get(name), str)]
    wrong += [name for name in ("digest", "inputs") if name not in wrong and not DIGEST.fullmatch(data[name])]
    if wrong:
        raise LockError(f"lock {path!r} has no proper {wrong[0]!r}", hint="run 'buildrules lock' to write it anew")
    return ImageLock(*(data[name] for name in fields))


def write_lock(path: str, lock: ImageLock) -> bool:
    """Write the lock; False where the file already said so. Raises LockError, also where a credential would get in."""
    import tomli_w

    if hide_userinfo(lock.reference) != lock.reference:
        raise LockError(f"reference {hide_userinfo(lock.reference)!r} holds a user name or password and is not written")
    fields = {
        "version": VERSION,
        "reference": lock.reference,
        "platform": lock.platform,
        "digest": lock.digest,
        "media-type": lock.media_type,
        "inputs": lock.inputs,
    }
    return write_whole(path, _HEAD + tomli_w.dumps(fields))
