"""What a shared cache saves: a second machine with the examples, and a fresh clone of many generated packages.

    python -m benchmarks shared_cache [--packages 1000] [--runs 3] [--rows examples packages]

The server is nginx with the configuration of `cache/`, on loopback. The first machine builds and fills the cache; the
second one has another directory and an empty store.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.common import EXAMPLES, RACY, SCRIPT, run, table, verdict
from benchmarks.process import spend
from benchmarks.workspace import generate
from tests.support.cache_server import PASSWORD, WRITER, CacheServer, cache_server


class Machine:
    """A copy of a workspace, a store of its own, and the cache of the team."""

    def __init__(self, folder: Path, workspace: Path, server: CacheServer, *, writes: bool = False) -> None:
        self.root, self.folder = folder / "checkout", folder
        shutil.copytree(workspace, self.root)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BUILDRULES")},
            "BUILDRULES_CACHE": f"http://{WRITER}:{quote(PASSWORD)}@{server.host}" if writes else server.url,
            "BUILDRULES_CACHE_UPLOAD": "always" if writes else "never",
            "BUILDRULES_CACHE_DIR": str(folder / "store"),
        }

    def build(self, *options: str) -> dict[str, Any]:
        """`build //... --json`."""
        found: dict[str, Any] = json.loads(
            run([str(SCRIPT), "build", "//...", "--json", *options], cwd=self.root, env=self.env)
        )
        return found


def _examples(folder: Path, server: CacheServer) -> None:
    first = Machine(folder / "first", EXAMPLES, server, writes=True).build()
    second = Machine(folder / "second" / "elsewhere", EXAMPLES, server).build()
    same = [target["digest"] for target in first["targets"]] == [target["digest"] for target in second["targets"]]
    moved = second["bytes"]["moved"]
    other = sum(size for source, size in moved.items() if source != "cache")
    table(
        "A second machine, all examples",
        [
            (
                "actions executed",
                str(second["actions"]["executed"]),
                f"0: {verdict(not second['actions']['executed'])}",
            ),
            ("same digests", str(same), verdict(same)),
            ("bytes down, of layers; of records", f"{other:,}; {moved.get('cache', 0):,}", f"0: {verdict(not other)}"),
            ("requests", str(second["cache"]["requests"]), ""),
            ("seconds: first machine; second", f"{first['seconds']:.1f}; {second['seconds']:.1f}", ""),
        ],
    )


def _packages(folder: Path, server: CacheServer, packages: int, runs: int) -> None:
    workspace = folder / "workspace"
    generate(workspace, packages)
    first = Machine(folder / "writer", workspace, server, writes=True)
    made = first.build()
    costs, bare, found = [], [], made
    for number in range(runs):
        other = Machine(folder / f"reader{number}", workspace, server)
        time.sleep(RACY)
        cost = spend([str(SCRIPT), "build", "//...", "--json"], other.root, other.env)
        found = json.loads(cost.out[cost.out.index("{") :])
        costs.append(cost)
        beside = folder / f"beside{number}"  # the same with all records at hand: what is left is the cache
        shutil.copytree(workspace, beside)
        time.sleep(RACY)
        bare.append(spend([str(SCRIPT), "build", "//...", "--no-remote"], beside, first.env))
    wall, cache = min(cost.wall for cost in costs), found["cache"]
    processor = [min(cost.processor for cost in them) for them in (costs, bare)]
    table(
        f"A fresh clone of {packages:,} packages, warm cache",
        [
            ("seconds", f"{wall:.2f}", f"3 s: {verdict(wall <= 3)}" if packages == 1000 else ""),
            (
                "seconds and processor time of one whose store has all records",
                f"{min(cost.wall for cost in bare):.2f}; this one {processor[0] / processor[1]:.2f} x",
                "",
            ),
            ("actions executed", str(found["actions"]["executed"]), f"0: {verdict(not found['actions']['executed'])}"),
            ("records taken; requests", f"{cache['records']:,}; {cache['requests']:,}", ""),
            ("bytes down", f"{cache['bytes_in']:,}", ""),
            ("the first machine: seconds; requests", f"{made['seconds']:.1f}; {made['cache']['requests']:,}", ""),
        ],
    )


def main(arguments: Sequence[str] = ()) -> None:
    """Measure and print. Arguments are those of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks shared_cache")
    parser.add_argument("--packages", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", nargs="*", choices=("examples", "packages"), default=["examples", "packages"])
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="buildrules-benchmark-") as name:
        folder = Path(name)
        with cache_server(folder / "server") as server:
            if "examples" in options.rows:
                _examples(folder, server)
            if "packages" in options.rows:
                _packages(folder, server, options.packages, options.runs)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
