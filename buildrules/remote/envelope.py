"""A record on its way: its body, whom it is from, and the signature over everything a reader acts on.

    {"version": 1, "key": hex, "namespace": n, "writer": id, "body": {...}, "signature": base64}

Signed is `buildrules-record-1\0` and the canonical JSON of all of it but the signature. What nobody signs has the
sha256 of that in its place, and the writer "": it keeps out what a disk has damaged, and nobody. The address under
which it is kept is a hash of namespace and key: one namespace cannot write where another one reads.
"""

import base64
import binascii

from buildrules.document.plain_json import read_json
from buildrules.sha256 import hex_digest
from buildrules.store.records import canonical
from buildrules.typed import Any, NamedTuple, Protocol

_VERSION = 1
_SIGNED = b"buildrules-record-1\0"


class Signer(Protocol):
    """Who writes: `writer` is the id of the public key."""

    writer: str

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`."""


class Envelope(NamedTuple):
    """What was sent. `body` is plain JSON; believed only as far as `signature` goes, see `remote.trust`."""

    key: str
    namespace: str
    body: dict[str, Any]
    writer: str = ""
    signature: bytes = b""

    def signed(self) -> bytes:
        """The bytes that the signature is over."""
        return _SIGNED + canonical(self._plain())

    def _plain(self) -> dict[str, Any]:
        fields = {"key": self.key, "namespace": self.namespace, "writer": self.writer, "body": self.body}
        return {"version": _VERSION, **fields}

    def seal(self, signer: Signer | None) -> bytes:
        """As it is sent, signed where there is somebody to sign it."""
        sent = self if signer is None else self._replace(writer=signer.writer)
        signature = _checksum(sent) if signer is None else signer.sign(sent.signed())
        return canonical({**sent._plain(), "signature": base64.b64encode(signature).decode()})


def address(namespace: str, key: str) -> str:
    """Where the record of a key is kept, 64 hex digits."""
    return hex_digest(f"buildrules-record-1\0{namespace}\0{key}".encode())


def read_envelope(data: bytes) -> Envelope:
    """Read what `seal` wrote. Raises ValueError on anything else."""
    try:
        value = read_json(data)
        if set(value) != {"version", "key", "namespace", "writer", "body", "signature"} or value["version"] != _VERSION:
            raise ValueError("not a record of this version")
        texts = [value[name] for name in ("key", "namespace", "writer", "signature")]
        if not all(isinstance(text, str) for text in texts) or not isinstance(value["body"], dict):
            raise ValueError("a field of a record has another type")
        signature = base64.b64decode(value["signature"], validate=True)
    except (TypeError, KeyError, AttributeError, RecursionError, binascii.Error) as error:
        raise ValueError("not a record") from error
    envelope = Envelope(value["key"], value["namespace"], value["body"], value["writer"], signature)
    if not envelope.writer and signature != _checksum(envelope):
        raise ValueError("a record is damaged")
    return envelope


def _checksum(envelope: Envelope) -> bytes:
    return bytes.fromhex(hex_digest(envelope.signed()))
