"""An unchanged `build //...` with 1,000 and with 10,000 input files, beside a bare interpreter."""

import subprocess
from pathlib import Path

from benchmarks.common import PYTHON, SCRIPT, Place, medians, milliseconds, place, table, verdict

RUNS = 21


def fill(workspace: Path, files: int) -> None:
    """Give the model of one example this many files."""
    folder = workspace / "models" / "iris" / "model" / "parts"
    folder.mkdir(exist_ok=True)
    for number in range(files):
        (folder / f"part-{number:05}.bin").write_bytes(b"%d" % number)


def measure(where: Place, files: int) -> tuple[float, float]:
    """Median seconds of the unchanged build and of the bare interpreter."""
    fill(where.workspace, files)
    where.settle("build", "//...")
    environment = where.environment()
    command = [str(SCRIPT), "build", "//..."]
    found = medians(
        {
            "build": lambda: subprocess.run(
                command, cwd=where.workspace, env=environment, check=True, stdout=subprocess.DEVNULL
            ),
            "bare": lambda: subprocess.run([PYTHON, "-c", "pass"], check=True),
        },
        runs=RUNS,
    )
    return found["build"], found["bare"]


def main() -> None:
    """Measure and print."""
    rows = []
    with place() as where:
        for files, milliseconds_allowed in ((1_000, 25), (10_000, 60)):
            build, bare = measure(where, files)
            limit = milliseconds_allowed / 1000
            if files == 1_000:
                limit = max(limit, 2.5 * bare)
            rows.append(
                (
                    f"unchanged `build //...`, {files:,} input files",
                    f"{milliseconds(build)}; {build / bare:.2f} x bare python ({milliseconds(bare)})",
                    f"{milliseconds(limit)}: {verdict(build <= limit)}",
                )
            )
    table("Unchanged build", rows)


if __name__ == "__main__":
    main()
