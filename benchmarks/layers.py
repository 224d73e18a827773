"""How fast layers are made, as ratios against peers in the same run on the same machine.

    python benchmarks/layers.py [requirement ...]

Wheels, already fetched: both digests of one layer for each wheel, against `uv pip install --target` of the same files.
One large file: the digest of its layer, against `openssl dgst -sha256`. Medians of 7.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from buildrules.oci import recipe as recipes
from buildrules.oci.assemble import assemble, hash_file_layer, stream
from buildrules.oci.parts import Sources
from buildrules.store.blobs import Blobs

REQUIREMENTS = ["numpy==2.3.1", "scikit-learn==1.7.0", "scipy", "pandas", "flask", "pyarrow"]
ROUNDS = 7
LARGE = 1_000_000_000


def median(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> tuple[float, float]:
    """Median wall seconds and median CPU seconds of this process."""
    walls, cpus = [], []
    for _ in range(ROUNDS):
        before()
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def side_by_side(work: Callable[[recipes.Recipe], object], items: list[recipes.Recipe], threads: int = 2) -> None:
    todo = list(items)

    def run() -> None:
        while todo:
            try:
                item = todo.pop()
            except IndexError:
                return
            work(item)

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def wheels(folder: Path, requirements: list[str]) -> None:
    fetched = folder / "wheels"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(fetched)]
    subprocess.run([*command, *requirements], check=True)
    sources = Sources(str(folder), Blobs(str(folder / "store")))
    items = []
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    paths = sorted(fetched.glob("*.whl"), key=lambda path: path.stat().st_size)
    for path in paths:
        digest = sources.blobs.put(path.read_bytes())
        items.append(recipes.gzip([recipes.wheel(digest, path.name, "opt/venv", python)]))
    layers = [assemble(item, sources) for item in items]
    raw = sum(assemble(recipes.tar(item["parts"]), sources).size for item in items) / 1e6
    packed = sum(layer.size for layer in layers) / 1e6
    original = sum(path.stat().st_size for path in paths) / 1e6
    print(f"{len(items)} wheels, {original:.0f} MB, layers of {packed:.0f} MB holding {raw:.0f} MB")

    one, cpu = median(lambda: [assemble(item, sources) for item in items])
    two, _ = median(lambda: side_by_side(lambda item: assemble(item, sources), items))
    sent, _ = median(lambda: [sum(map(len, stream(item, sources))) for item in items])
    print(f"both digests, one after the other {one:6.2f} s   {raw / one:5.0f} MB/s, {raw / cpu:.0f} MB/s of CPU time")
    print(f"both digests, two at a time       {two:6.2f} s   {raw / two:5.0f} MB/s")
    print(f"streaming the blobs               {sent:6.2f} s   {raw / sent:5.0f} MB/s")
    target = folder / "target"
    for mode in ("copy", "hardlink"):
        command = [sys.executable, "-m", "uv", "pip", "install", "-q", "--no-deps", f"--link-mode={mode}"]
        command += ["--target", str(target), *map(str, paths)]
        subprocess.run(command, check=True)
        peer, _ = median(
            lambda command=command: subprocess.run(command, check=True),  # type: ignore[misc]
            lambda: shutil.rmtree(target, ignore_errors=True),
        )
        print(f"uv pip install, {mode:8}          {peer:6.2f} s   buildrules takes {two / peer:.2f} of it")


def large_file(folder: Path) -> None:
    path = folder / "model.bin"
    with path.open("wb") as file:
        for _ in range(LARGE // 1_000_000):
            file.write(os.urandom(1_000_000))
    ours, _ = median(lambda: hash_file_layer(str(path), "models/model.bin", LARGE, 0o644))
    command = ["openssl", "dgst", "-sha256", str(path)]
    peer, _ = median(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    print(f"digest of a 1 GB layer {ours:.2f} s, openssl dgst {peer:.2f} s: {peer / ours:.2f} of its rate")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheels(Path(folder), sys.argv[1:] or REQUIREMENTS)
        large_file(Path(folder))


if __name__ == "__main__":
    main()
