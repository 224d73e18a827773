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


LATE = """
import sys, threading, time
from buildrules.sha256 import new_hash
loading, go = threading.Event(), threading.Event()
class Slow:
    def find_spec(self, name, *_):
        if name == "_hashlib":
            loading.set()
            go.wait()
sys.meta_path.insert(0, Slow())
first = threading.Thread(target=new_hash)
first.start()
loading.wait()
second = threading.Thread(target=lambda: print(new_hash().name))
second.start()
time.sleep(0.1)
go.set()
"""


def test_a_thread_waits_for_another_that_loads_openssl() -> None:
    said = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == ("sha256\n", "")


def test_short_things_are_hashed_without_openssl() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.split()
    contents = [*(b"x" * size for size in (0, 1, 55, 56, 64, SHORT)), b"abcdef", b"x" * (SHORT + 1), b""]
    assert said == ["False", "True", *("sha256:" + hashlib.sha256(content).hexdigest() for content in contents)]
