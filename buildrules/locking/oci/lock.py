"""The lock of a base image: which manifest a tag named when somebody last looked.

`oci.<name>-<os>-<arch>.lock` beside the BUILD.yaml, TOML, one platform each, so that a moved tag is a
one-line change in a review. It holds the reference as written and no credential.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildrules.errors import LockError
from buildrules.oci.descriptor import is_digest
from buildrules.oci.reference import Reference, hide_userinfo, parse_reference
from buildrules.store import lockfile

if TYPE_CHECKING:
    from buildrules.net.session import Fetching

VERSION = 1
_HEAD = "# Written by 'buildrules lock'. Pins a base image; commit it.\n"
_FIELDS = ("reference", "platform", "digest", "media-type", "inputs")


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
    return lockfile.inputs_digest([VERSION, reference, platform])


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
    from buildrules.oci.foreign import foreign_layers, open_source
    from buildrules.oci.transport import AnswerError

    parsed = parse_reference(reference, default_registry)
    source = open_source(parsed, context, root=root, plain_http=plain_http)
    try:
        found = source.resolve(platform)
    except AnswerError as error:
        if not error.status:
            error.hint = error.hint or "an image that is at hand can stand for it: `docker: NAME` or `layout: DIR`"
        raise
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


def read_lock(path: str) -> ImageLock:
    """The lock in the file `path`. Raises LockError where there is none or it is malformed."""
    data = lockfile.read_tables(path)
    lockfile.check_version(path, data, VERSION)
    wrong = [name for name in _FIELDS if not isinstance(data.get(name), str)]
    wrong += [name for name in ("digest", "inputs") if name not in wrong and not is_digest(data[name])]
    if wrong:
        raise lockfile.unreadable(path, f"it has no proper {wrong[0]!r}")
    return ImageLock(*(data[name] for name in _FIELDS))


def write_lock(path: str, lock: ImageLock) -> bool:
    """Write the lock; False where the file already said so. Raises LockError, also where a credential would get in."""
    import tomli_w

    if hide_userinfo(lock.reference) != lock.reference:
        raise LockError(f"reference {hide_userinfo(lock.reference)!r} holds a user name or password and is not written")
    fields = {name: getattr(lock, name.replace("-", "_")) for name in _FIELDS}
    return lockfile.write_whole(path, _HEAD + tomli_w.dumps({"version": VERSION, **fields}))
