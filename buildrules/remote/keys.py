"""Keys that sign records: Ed25519 (RFC 8032), one for each writer.

The private half is one line, so that a variable or a secret of a CI system holds it:

    buildrules-signing-key-1:WRITER:<base64 of the 32 bytes>

The public half is a file of the workspace, in TOML, that also says what the writer may write:

    writer = "ci"
    namespaces = ["main"]
    ed25519 = "<base64 of the 32 bytes>"

A namespace that ends in `/*` stands for all below it. Imports cryptography, but only where a key is made, signs or
verifies.
"""

import base64
import binascii
import re

from buildrules.sha256 import hex_digest
from buildrules.typed import NamedTuple

MAIN = "main"
"""The namespace that everybody reads."""

_FIRST = "buildrules-signing-key-1"
_LENGTH = 32  # bytes of a half
_PART = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
_WRITER = re.compile(_PART)
_NAMESPACE = re.compile(rf"(?:{_PART}/){{0,7}}{_PART}")
_ID = re.compile(rf"{_PART}:[0-9a-f]{{16}}")


class PublicKey(NamedTuple):
    """What a workspace knows of a writer: its name, where it may write, and the public half (32 bytes)."""

    name: str
    namespaces: tuple[str, ...]
    half: bytes

    @property
    def writer(self) -> str:
        """The id that stands in records: the name, and what tells it from another key of that name."""
        return _id_of(self.name, self.half)

    def may_write(self, namespace: str) -> bool:
        """Whether the writer's records count in a namespace."""
        return any(
            namespace.startswith(one[:-1]) if one.endswith("/*") else namespace == one for one in self.namespaces
        )

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the writer signed `data`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.half).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def text(self) -> str:
        """The file, as `read_public` reads it."""
        names = ", ".join(f'"{one}"' for one in self.namespaces)
        return (
            "# Who signs records of the shared cache. Commit this file; the other half of the key stays secret.\n"
            f'writer = "{self.name}"\nnamespaces = [{names}]\ned25519 = "{base64.b64encode(self.half).decode()}"\n'
        )


class PrivateKey:
    """Signs as one writer, see `remote.envelope.Signer`. Prints without the key."""

    def __init__(self, name: str, half: bytes) -> None:
        """`half` are the 32 bytes of the private half. Raises ValueError for other than 32."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(half)
        self.name = name
        self.writer = _id_of(name, self.public((MAIN,)).half)

    def __repr__(self) -> str:
        return f"PrivateKey({self.writer!r})"

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`, 64 bytes."""
        signature: bytes = self._key.sign(data)
        return signature

    def public(self, namespaces: tuple[str, ...]) -> PublicKey:
        """The other half, for these namespaces."""
        half: bytes = self._key.public_key().public_bytes_raw()
        return PublicKey(self.name, namespaces, half)

    def text(self) -> str:
        """The line that `read_private` reads: a secret."""
        return f"{_FIRST}:{self.name}:{base64.b64encode(self._key.private_bytes_raw()).decode()}\n"


def new_key(name: str) -> PrivateKey:
    """A new key for the writer `name`. Raises ValueError for what is no name."""
    from os import urandom

    if not _WRITER.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a writer: use letters, digits and `_ . -`")
    return PrivateKey(name, urandom(_LENGTH))


def read_private(text: str) -> PrivateKey:
    """Read what `PrivateKey.text` wrote. Raises ValueError, which does not quote it."""
    first, _, rest = text.strip().partition(":")
    name, _, encoded = rest.partition(":")
    if first != _FIRST or not _WRITER.fullmatch(name):
        raise ValueError("it is no signing key")
    return PrivateKey(name, _half(encoded))


def read_public(text: bytes) -> PublicKey:
    """Read the file of a public key. Raises ValueError, which says what is wrong."""
    from buildrules.document.plain_toml import read_toml

    value = read_toml(text)
    if set(value) != {"writer", "namespaces", "ed25519"}:
        raise ValueError("a public key has `writer`, `namespaces` and `ed25519`, and nothing else")
    name, namespaces, encoded = value["writer"], value["namespaces"], value["ed25519"]
    if not isinstance(name, str) or not _WRITER.fullmatch(name):
        raise ValueError("`writer` is a name of letters, digits and `_ . -`")
    if not isinstance(namespaces, list) or not namespaces or not all(map(is_granted, namespaces)):
        raise ValueError("`namespaces` is a list of names such as main, pull-request/7 or pull-request/*")
    return PublicKey(name, tuple(namespaces), _half(encoded))


def is_namespace(value: object) -> bool:
    """Whether it is the name of a namespace: parts of letters, digits and `_ . -`, with `/` between them."""
    return isinstance(value, str) and _NAMESPACE.fullmatch(value) is not None


def is_writer(value: str) -> bool:
    """Whether it is an id that a key can have, and so safe to show."""
    return _ID.fullmatch(value) is not None


def is_granted(value: object) -> bool:
    """Whether a key can be for it: a namespace, or one and `/*` for all that are below it."""
    return is_namespace(value.removesuffix("/*")) if isinstance(value, str) else False


def _half(encoded: object) -> bytes:
    try:
        half = base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    except (binascii.Error, ValueError):
        half = b""
    if len(half) != _LENGTH:
        raise ValueError("a key of Ed25519 is 32 bytes in base64")
    return half


def _id_of(name: str, half: bytes) -> str:
    return f"{name}:{hex_digest(half)[:16]}"
