"""`make online-check`: one real file of python-build-standalone, locked, fetched, laid and run; not for `make test`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from buildrules.locking.standalone.lock import read_lock
from buildrules.oci import recipe
from buildrules.oci.assemble import stream
from buildrules.oci.local import Local
from buildrules.oci.parts.python import DROP, PREFIX
from buildrules.store.store import Store
from tests.support.space import Space

FACTS = """
import bz2, ctypes, decimal, hashlib, json, lzma, sqlite3, ssl, sys, sysconfig, uuid, zlib
print(json.dumps([sys.version.split()[0], sysconfig.get_config_var("exec_prefix"), sysconfig.get_config_var("LIBDIR")]))
"""


def test_a_real_file_is_what_the_table_says(new_space: Callable[[], Space], tmp_path: Path) -> None:
    space = new_space()
    space.append("BUILD.yaml", '  py: {rule: python_standalone, version: "3.12", base: ":base"}\n')
    space.edit("BUILD.yaml", "  name: acme\n", "  name: acme\n  python: {bytecode: false}\n")
    space.run("lock", "//:py")
    space.build("//:py")
    lock = read_lock(str(space.root / "python.py-linux-amd64.lock"))
    part = recipe.python(f"sha256:{lock.sha256}", lock.python, PREFIX, DROP)
    store = Store(str(space.store))
    (tmp_path / "layer.tar").write_bytes(b"".join(stream(recipe.tar([part]), Local(store.blobs))))
    store.close()
    subprocess.run(["tar", "-xf", "layer.tar"], cwd=tmp_path, check=True)
    program = tmp_path / PREFIX / "bin" / "python3"
    done = subprocess.run([program, "-c", FACTS], check=True, capture_output=True, text=True, env={})
    assert json.loads(done.stdout) == [lock.python.removesuffix("t"), "/opt/python", "/opt/python/lib"]
