"""Runs every benchmark, or those named: `python -m benchmarks unchanged edit`; `scale --help` tells its options."""

import importlib
import os
import platform
import sys

NAMES = ("unchanged", "edit", "model", "environment", "cold", "shared", "demo", "bytecode")
WITH_OPTIONS = ("bazel", "guest", "scale", "shared_cache", "team", "push", "layers", "page", "workers", "executors")


def main() -> None:
    """Run and print."""
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    names = sys.argv[1:] or [*NAMES, *WITH_OPTIONS]
    if names[0] in WITH_OPTIONS:
        importlib.import_module(f"benchmarks.{names[0]}").main(names[1:])
        return
    for name in names:
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
