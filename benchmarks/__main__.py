"""Runs every benchmark, or those named: `python -m benchmarks unchanged edit`."""

import importlib
import os
import platform
import sys

NAMES = ("unchanged", "edit", "model", "environment", "cold", "shared", "demo")


def main() -> None:
    """Run and print."""
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    for name in sys.argv[1:] or NAMES:
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
