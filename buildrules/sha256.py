"""SHA-256 (FIPS 180-4), for what is short without loading OpenSSL.

Loading OpenSSL takes as long as hashing 400 kB with the function that Python brings along, which is slower after that.
"""

import sys

from buildrules.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from hashlib import _Hash

SHORT = 256 << 10

_short: "Callable[[], _Hash] | None"
try:
    _short = __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256").sha256
except ImportError:  # a Python may have been built without it
    _short = None


def new_hash(size: int | None = None) -> "_Hash":
    """A new hash, for about `size` bytes; None where nobody knows how many."""
    if "hashlib" not in sys.modules and size is not None and size <= SHORT and _short is not None:
        return _short()
    import hashlib  # waits for a thread that is loading it

    return hashlib.sha256()


def hex_digest(data: bytes) -> str:
    """The 64 hex digits of `data`."""
    found = new_hash(len(data))
    found.update(data)
    return found.hexdigest()


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of `data`."""
    return "sha256:" + hex_digest(data)
