"""How many bytes a registry keeps of a hundred models, beside a layer for each wheel: `python -m benchmarks layers`.

The models of `benchmarks.environments` are resolved by uv as of the day each was locked, which reads metadata only.
Their wheels are put into layers as a plan does it. Nothing is fetched or built: a layer of wheels has the size of their
files, since their compressed members are passed through. `buildrules layers` says the same of packages that were built.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.common import table, verdict
from benchmarks.environments import Model, models
from buildrules.cli.shared_layers import Held, SharedLayers
from buildrules.plan.partition import HEAVY, partition

GOAL = 1.10
LARGE = ("language", "vision", "tensorflow")  # whose few large wheels are nearly all bytes there are
Wheel = dict[str, Any]


def resolve(model: Model, folder: Path) -> tuple[list[Wheel], list[Wheel]] | None:
    """The wheels of an environment, and those that the server adds; None where they do not go together."""
    try:
        own = _wheels(_locked(folder, model.name, model.requirements, model.day))
        pins = folder / f"{model.name}.pins"
        pins.write_text("".join(f"{wheel['name']}=={wheel['version']}\n" for wheel in own))
        both = _locked(folder, f"{model.name}-server", model.requirements + model.server, model.day, pins)
    except subprocess.CalledProcessError:
        return None
    known = {wheel["name"] for wheel in own}
    return own, [wheel for wheel in _wheels(both) if wheel["name"] not in known]


def _locked(folder: Path, name: str, requirements: Sequence[str], day: str, pins: Path | None = None) -> Path:
    """A lock for Python 3.11 on Linux. Raises CalledProcessError where there is none."""
    asked, lock = folder / f"{name}.in", folder / f"pylock.{name}.toml"
    if lock.exists():
        return lock
    asked.write_text("\n".join(requirements) + "\n")
    command = [sys.executable, "-m", "uv", "pip", "compile", str(asked), "--quiet", "--format", "pylock.toml"]
    command += ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:"]
    command += ["--exclude-newer", day, "--output-file", str(lock), *(["--constraints", str(pins)] if pins else [])]
    subprocess.run(command, check=True, capture_output=True)
    return lock


def _wheels(lock: Path) -> list[Wheel]:
    found = []
    for package in tomllib.loads(lock.read_text())["packages"]:
        wheel = package["wheels"][0]
        found.append(
            {
                "name": package["name"],
                "version": package["version"],
                "size": wheel["size"],
                "sha256": wheel["hashes"]["sha256"],
            }
        )
    return found


def layers(parts: Sequence[Sequence[Wheel]], split: Callable[[Sequence[Wheel]], Any] = partition) -> list[Held]:
    """The layers of one image: of its environment and of what its server adds."""
    found = []
    for part in parts:
        for title, group in split(part):
            wheels = {wheel["sha256"]: wheel["size"] for wheel in group}
            found.append(Held("+".join(sorted(wheels)), sum(wheels.values()), title, wheels))
    return found


def row(title: str, images: dict[str, list[Held]], goal: float | None = None) -> tuple[str, str, str]:
    """A row of the table."""
    shared = SharedLayers(images)
    most = max(map(len, images.values()))
    measured = (
        f"{shared.ratio:.3f} x: {shared.stored / 1e6:,.0f} MB in {len(shared.rows)} layers, "
        f"{shared.apart / 1e6:,.0f} MB with a layer for each wheel; {shared.unshared / 1e6:,.0f} MB unshared; "
        f"at most {most} layers of wheels in an image"
    )
    return title, measured, "" if goal is None else f"{goal:.2f} x: {verdict(shared.ratio <= goal)}"


def main(arguments: Sequence[str]) -> None:
    """Resolve, count and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks layers", description=__doc__)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the locks are kept for another run")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="buildrules-layers-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        # what does not go together nobody has: there are some more to take its place
        asked = models(options.models + options.models // 10, options.seed)
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda model: resolve(model, folder), asked))
    parts = {model: wheels for model, wheels in zip(asked, found, strict=True) if wheels is not None}
    chosen = list(parts)[: options.models]
    rows = []
    for limit in (HEAVY, HEAVY >> 2):

        def split(wheels: Sequence[Wheel], limit: int = limit) -> Any:
            return partition(wheels, heavy=limit)

        images = {model.name: layers(parts[model], split) for model in chosen}
        small = {model.name: images[model.name] for model in chosen if model.family not in LARGE}
        alone = "" if limit == HEAVY else f", if wheels of {limit >> 10} KiB stood alone"
        rows.append(row(f"{len(images)} models{alone}", images, GOAL if limit == HEAVY else None))
        rows.append(row(f"the {len(small)} without torch and TensorFlow{alone}", small))
    table("Layers that models share", rows)
