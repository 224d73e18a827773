"""Whom a workspace trusts, and the key it signs with: `cache:` of its settings, opened.

`cache` below is that section as plain data, see `workspace.settings.Cache`.
"""

import os
from collections.abc import Mapping

from buildrules.errors import CredentialsError, UsageError
from buildrules.remote.keys import PrivateKey, PublicKey, read_private, read_public
from buildrules.remote.trust import Trust
from buildrules.typed import TYPE_CHECKING, Any
from buildrules.workspace.root import read_inside

if TYPE_CHECKING:
    from buildrules.credentials.secret import Secrets


def open_trust(cache: Mapping[str, Any], root: str) -> Trust:
    """The trust that a workspace's `cache:` asks for: its `signatures` and `public_keys`, paths below `root`.

    Raises UsageError for a file that holds no public key.
    """
    policy = cache.get("signatures", "off")
    files = cache.get("public_keys", ()) if policy != "off" else ()
    return Trust(policy, [read_key(root, name) for name in files])


def read_key(root: str, name: str) -> PublicKey:
    """The public key in a file of the workspace. Raises UsageError."""
    try:
        return read_public(read_inside(root, name))
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise UsageError(f"the public key {name!r} cannot be read: {reason}", hint="see workspace.cache") from None
    except ValueError as error:
        raise UsageError(
            f"{name!r} is no public key: {error}", hint="make a key: buildrules cache key new NAME"
        ) from None


def open_signer(cache: Mapping[str, Any], secrets: "Secrets", root: str) -> PrivateKey | None:
    """The key that the `signing_key` of a workspace's `cache:` refers to, read now; None where it names none.

    Raises CredentialsError where it cannot be read, is none, or is a file that others can read too.
    """
    reference = cache.get("signing_key")
    if not reference:
        return None
    if "file" in reference:
        _refuse_open(os.path.join(root, os.path.expanduser(reference["file"])), reference["file"])
    text = secrets.read(reference, "cache.signing_key")
    try:
        return read_private(text)
    except ValueError as error:
        raise CredentialsError(f"cache.signing_key: {error}", hint="buildrules cache key new NAME makes one") from None


def _refuse_open(path: str, name: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # whoever reads it says so
    if mode & 0o077:
        raise CredentialsError(
            f"cache.signing_key: the file {name!r} can be read by others, who could sign as you",
            hint=f"chmod 600 {name}",
        )
