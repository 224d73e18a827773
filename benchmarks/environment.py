"""Wheels already fetched, the examples' environment to layer descriptors, cold, beside `uv pip install --target`.

uv installs the same wheel files, by path. Three ways: with an empty cache (it has to unpack them, as a machine that has
only fetched them), with what it unpacked before and copying, and with what it unpacked before and hard links.
"""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from benchmarks.common import Place, medians, of_wheels, place, table, verdict

RUNS = 5
LABEL = "//models:sklearn_env"


def wheel_files(where: Place) -> list[Path]:
    """The environment's wheels under their own names, out of the store."""
    lock = tomllib.loads((where.workspace / "models" / "pylock.sklearn_env-linux-amd64.toml").read_text())
    folder = where.folder / "wheels"
    folder.mkdir(exist_ok=True)
    found = []
    for package in lock["packages"]:
        (wheel,) = package["wheels"]
        digest = wheel["hashes"]["sha256"]
        target = folder / wheel["name"]
        if not target.exists():
            shutil.copyfile(where.store / "blobs" / "sha256" / digest[:2] / digest, target)
        found.append(target)
    return found


def forget_wheel_layers(where: Place) -> None:
    """Drop the records of the environment's layers and the state; the base below it is no part of uv's work."""
    where.forget_state()
    where.forget_records(of_wheels)


def measure(where: Place) -> tuple[dict[str, float], int]:
    """Median seconds of each contender, and bytes of the wheels."""
    where.buildrules("build", LABEL)
    wheels = wheel_files(where)
    cache = where.folder / "uv-cache"
    target = where.folder / "target"

    def uv(mode: str) -> None:
        command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
        command += ["--target", str(target), "--link-mode", mode, "--cache-dir", str(cache), *map(str, wheels)]
        subprocess.run(command, check=True)

    def before(name: str, _number: int) -> None:
        shutil.rmtree(target, ignore_errors=True)
        if name == "buildrules":
            forget_wheel_layers(where)
        elif name == "uv, empty cache":
            shutil.rmtree(cache, ignore_errors=True)

    found = medians(
        {
            "buildrules": lambda: where.buildrules("build", LABEL),
            "uv, empty cache": lambda: uv("hardlink"),
            "uv, unpacked before, copy": lambda: uv("copy"),
            "uv, unpacked before, hardlink": lambda: uv("hardlink"),
        },
        runs=RUNS,
        before=before,
    )
    return found, sum(path.stat().st_size for path in wheels)


def main() -> None:
    """Measure and print."""
    with place() as where:
        found, size = measure(where)
    ours = found.pop("buildrules")
    rows = [("environment to layer descriptors, cold", f"{ours:.2f} s for {size / 1e6:.0f} MB of wheels", "")]
    for name, value in found.items():
        want = f"faster: {verdict(ours < value)}" if name == "uv, empty cache" else ""
        rows.append((f"`uv pip install --target`: {name}", f"{value:.2f} s: {value / ours:.2f} x", want))
    table("Environment", rows)


if __name__ == "__main__":
    main()
