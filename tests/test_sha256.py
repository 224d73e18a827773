"""SHA-256 of what is short and of what is long: the same digests, and OpenSSL only where it pays."""

import hashlib
import subprocess
import sys

from buildrules.sha256 import SHORT

CODE = """
import sys
from buildrules.sha256 import SHORT, digest_of, new_hash
found = [digest_of(b"x" * size) for size in (0, 1, 55, 56, 64, SHORT)]
pieces = new_hash(6)
pieces.update(b"abc")
pieces.update(b"def")
found.append("sha256:" + pieces.hexdigest())
loaded = "hashlib" in sys.modules
found.append(digest_of(b"x" * (SHORT + 1)))
found.append("sha256:" + new_hash().hexdigest())
print(loaded, "hashlib" in sys.modules, *found)
"""


def test_short_things_are_hashed_without_openssl() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.split()
    contents = [*(b"x" * size for size in (0, 1, 55, 56, 64, SHORT)), b"abcdef", b"x" * (SHORT + 1), b""]
    assert said == ["False", "True", *("sha256:" + hashlib.sha256(content).hexdigest() for content in contents)]
