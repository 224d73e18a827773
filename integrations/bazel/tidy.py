"""Makes a folder that pip filled the same on every machine: `tidy.py FOLDER VERSION`; VERSION gets a digest of it.

What says where pip ran goes, with the programs, and compiled files are written that hold no times.
"""

import compileall
import hashlib
import py_compile
import shutil
import sys
from pathlib import Path


def main(site: Path, version: Path) -> None:
    """Do it."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    for name in ("RECORD", "direct_url.json", "INSTALLER", "REQUESTED"):
        for path in site.glob(f"*.dist-info/{name}"):
            path.unlink()
    digest = hashlib.sha256()
    for path in sorted(site.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(site)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    version.write_text(f"{digest.hexdigest()}\n")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(site, quiet=2, stripdir=site, invalidation_mode=mode)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
