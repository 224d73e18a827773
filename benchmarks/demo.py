"""`make demo` from a fresh clone with an empty store and empty caches: time, peak memory, what the store grew by."""

import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.common import ROOT, disk_usage, table, verdict


def measure(folder: Path) -> tuple[float, int, int, int]:
    """Seconds, peak memory in bytes of the largest process, bytes of the store, bytes it grew by in a second run."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    environment = {
        **os.environ,
        "BUILDRULES_CACHE_DIR": str(folder / "store"),
        "PIP_CACHE_DIR": str(folder / "pip"),
        "UV_CACHE_DIR": str(folder / "uv"),
    }
    began = time.perf_counter()
    subprocess.run(["make", "demo"], cwd=clone, env=environment, check=True)
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    size = disk_usage(folder / "store")
    subprocess.run(["make", "demo"], cwd=clone, env=environment, check=True)
    return took, peak, size, disk_usage(folder / "store") - size


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as folder:
        took, peak, size, grew = measure(Path(folder))
    table(
        "`make demo` on a fresh machine",
        [
            ("time, with setup and downloads", f"{took:.0f} s", f"180 s: {verdict(took <= 180)}"),
            ("peak memory of one process", f"{peak / 1e6:.0f} MB", f"400 MB: {verdict(peak <= 400e6)}"),
            ("store after it", f"{size / 1e6:.0f} MB", ""),
            ("the store grew in a second run by", f"{grew:,} bytes", f"a snapshot: {verdict(grew < 1_000_000)}"),
        ],
    )


if __name__ == "__main__":
    main()
