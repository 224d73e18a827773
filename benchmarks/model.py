"""A 1 GB model changed, to the new image digest, beside `openssl dgst -sha256` of the same file."""

import os
import subprocess
from pathlib import Path

from benchmarks.common import Place, disk_usage, medians, place, table, verdict

SIZE = 1_000_000_000
RUNS = 5
LABEL = "//models:iris"


def write_model(path: Path) -> None:
    """Weights do not compress, so the file is random."""
    block = os.urandom(10_000_000)
    with open(path, "wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)


def change(path: Path, number: int) -> None:
    """Another byte in the middle, as a new training run would change all of them."""
    with open(path, "r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"%08d" % (number + 1))


def warm(path: Path) -> None:
    """Bring the file into the page cache, for both."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def measure(where: Place) -> tuple[dict[str, float], int]:
    """Median seconds of each, and bytes the store grew by per build."""
    path = where.workspace / "models" / "iris" / "model" / "weights.bin"
    write_model(path)
    where.settle("build", LABEL)
    grew: list[int] = []

    def build() -> None:
        before = disk_usage(where.store)
        where.buildrules("build", LABEL)
        grew.append(disk_usage(where.store) - before)

    def before(name: str, number: int) -> None:
        if name == "buildrules":
            change(path, number)
        warm(path)

    found = medians(
        {
            "openssl": lambda: subprocess.run(
                ["openssl", "dgst", "-sha256", str(path)], check=True, stdout=subprocess.DEVNULL
            ),
            "buildrules": build,
        },
        runs=RUNS,
        before=before,
    )
    return found, max(grew)


def main() -> None:
    """Measure and print."""
    with place() as where:
        found, grew = measure(where)
    ratio = found["openssl"] / found["buildrules"]
    table(
        "Large model",
        [
            (
                "1 GB model changed, to the new image digest",
                f"{found['buildrules']:.2f} s, openssl {found['openssl']:.2f} s: {ratio:.2f} of its rate",
                f"0.85: {verdict(ratio >= 0.85)}",
            ),
            ("bytes written to the store for it", f"{grew:,}", f"nothing of the model: {verdict(grew < 1_000_000)}"),
        ],
    )


if __name__ == "__main__":
    main()
