"""A program: installs packages of a channel as rattler does, as if the prefix were /opt/conda, and prints their names.

Arguments: the channel's address, prefix, folder for caches, names of packages. A process of its own, as the solver is.
"""

import asyncio
import json
import os
import sys
from pathlib import Path


async def install(channel: str, prefix: str, cache: str, *names: str) -> list[str]:
    import rattler

    gateway = rattler.Gateway(cache_dir=Path(cache, "data"))
    found = await rattler.solve([channel], list(names), gateway=gateway, platforms=["linux-64", "noarch"])
    await rattler.install(
        found,
        target_prefix=prefix,
        cache_dir=Path(cache, "packages"),
        platform=rattler.Subdir("linux-64"),
        show_progress=False,
        alternative_target_prefix="/opt/conda",
    )
    return [record.file_name for record in found]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(install(*sys.argv[1:]))), flush=True)
    os._exit(0)
