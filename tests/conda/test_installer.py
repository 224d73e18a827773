"""What a layer holds is what the solver's own installer puts into a prefix."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from buildrules.oci import recipe
from buildrules.oci.assemble import stream
from buildrules.oci.local import Local
from buildrules.store.blobs import Blobs
from tests.support import rattler_install
from tests.support.conda import MINOR, PLACEHOLDER, Channel

LONG = PLACEHOLDER.encode()


def channel(folder: Path) -> Channel:
    made = Channel(folder)
    made.add(
        "python", f"{MINOR}.2", {f"bin/python{MINOR}": b"\x7fELF\0" + LONG + b"/lib\0", "bin/python": f"python{MINOR}"}
    )
    files = {
        "bin/tool": b"\x7fELF\0" + LONG + b"/share/a:" + LONG + b"/b\0rest\0",
        "bin/script": b"#!" + LONG + b"/bin/sh\necho " + LONG + b"\n",
        "lib/libt.so.1": b"\0" * 3 + LONG + b"\0\0" + LONG + b"/x\0",
        "lib/libt.so": "libt.so.1",
        "share/deep/er/plain.txt": b"plain\n",
        "share/up": "../lib/libt.so",
    }
    made.add("tool", "1.0", files)
    made.add("older", "1.0", {f"opt/{name}": data for name, data in files.items()}, ending=".tar.bz2")
    site = "site-packages"
    pure = {
        f"{site}/pure/__init__.py": b"def main(): ...\n",
        f"{site}/pure-1.0.dist-info/METADATA": b"Name: pure\n",
        "python-scripts/old": b"#!" + LONG + b"/bin/python\n",
    }
    made.add("pure", "1.0", pure, python=True, entry_points=["pure = pure:main"], depends=["python"])
    return made


def test_a_layer_holds_what_the_installer_installs(tmp_path: Path) -> None:
    folder, prefix, blobs = tmp_path / "channel", tmp_path / "prefix", Blobs(str(tmp_path / "store"))
    channel(folder)
    arguments = [folder.as_uri(), str(prefix), str(tmp_path / "cache"), "tool", "older", "pure"]
    done = subprocess.run([sys.executable, rattler_install.__file__, *arguments], stdout=subprocess.PIPE, check=True)
    parts = [
        recipe.conda(blobs.put(path.read_bytes()), path.name, "opt/conda", MINOR, [])
        for path in (next(folder.rglob(name)) for name in json.loads(done.stdout))
    ]
    ours: dict[str, bytes | str] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream(recipe.tar(parts), Local(blobs))))) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if not member.isdir():
                ours[member.name.removeprefix("opt/conda/")] = (
                    content.read() if content is not None else member.linkname
                )
    theirs = {
        str(path.relative_to(prefix)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in prefix.rglob("*")
        if path.is_symlink() or path.is_file()
    }
    assert {name for name in ours if not name.startswith("conda-meta/")} == {
        name for name in theirs if not name.startswith("conda-meta/") and not name.endswith((".pyc", "CACHEDIR.TAG"))
    }
    assert {name for name in theirs if name.startswith("conda-meta/") and name.endswith(".json")} == {
        name for name in ours if name.startswith("conda-meta/")
    }
    for name, content in ours.items():
        if name == "bin/pure":  # both their own words
            assert isinstance(content, bytes) and content.startswith(f"#!/opt/conda/bin/python{MINOR}\n".encode())
            assert theirs[name].startswith(b"#!/opt/conda/bin/python")  # type: ignore[arg-type]
        elif not name.startswith("conda-meta/"):
            assert content == theirs[name], name
    assert len(ours) == 22
