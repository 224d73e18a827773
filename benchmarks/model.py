"""A 1 GB model as 1, 8 and 5,000 files, all of them changed, to the new image digest.

The peer is `openssl dgst -sha256` of the same files: nobody can name the model without reading and hashing it once.
Compared is processor time, and wall time as well, because several files can use two cores.
"""

import os
import tempfile
from pathlib import Path

from benchmarks.common import disk_usage, table, verdict
from benchmarks.process import sample, spend
from benchmarks.scale import Scene
from benchmarks.workspace import name_of

SIZE = 1_000_000_000
GOALS = {1: 1.1, 8: 1.1, 5_000: 1.5}
RUNS = 5
LABEL = f"//{name_of(0)}"


def write_model(path: Path, size: int = SIZE) -> None:
    """Weights do not compress, so the file is random."""
    with open(path, "wb") as file:
        for start in range(0, size, 10_000_000):
            file.write(os.urandom(min(10_000_000, size - start)))


def write_models(folder: Path, files: int) -> list[Path]:
    """A model of SIZE bytes in so many files, 100 to a folder."""
    paths = [folder / f"{number // 100:02}" / f"part-{number:04}.bin" for number in range(files)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_model(path, SIZE // files)
    return paths


def change(paths: list[Path], number: int) -> None:
    """Other bytes in the middle of each, as a new training run would change all of them; and all into memory."""
    for path in paths:
        with open(path, "r+b", buffering=0) as file:
            file.seek(path.stat().st_size // 2)
            file.write(b"%08d" % (number + 1))
            file.seek(0)
            while file.read(1 << 20):
                pass


def measure(folder: Path, files: int) -> tuple[str, str, str]:
    """One row."""
    scene = Scene(folder, 1, 1, RUNS)
    paths = write_models(scene.root / name_of(0) / "model", files)
    scene.settle(LABEL)
    grew: list[int] = []

    def build_grows(number: int) -> None:
        change(paths, number)
        grew.append(disk_usage(scene.store))

    names = [str(path) for path in paths]
    peer = sample(lambda: spend(["openssl", "dgst", "-sha256", *names], scene.root, scene.env), runs=RUNS)
    found = sample(lambda: scene.build("build", LABEL), runs=RUNS, before=build_grows)
    growth = max(after - before for before, after in zip(grew, [*grew[1:], disk_usage(scene.store)], strict=True))
    ratio = found.cost.processor / peer.cost.processor
    text = f"processor {found.cost.processor:.2f} s, openssl {peer.cost.processor:.2f} s: {ratio:.2f} x"
    text += f"; wall {found.cost.wall:.2f} s, openssl {peer.cost.wall:.2f} s; the store grew by {growth:,} bytes"
    return f"1 GB in {files:,} files", text, f"{GOALS[files]} x: {verdict(ratio <= GOALS[files])}"


def main() -> None:
    """Measure and print."""
    rows = []
    for files in GOALS:
        with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as folder:
            rows.append(measure(Path(folder), files))
    table("Large model, all of it changed, to the new image digest", rows)


if __name__ == "__main__":
    main()
