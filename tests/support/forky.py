"""Programs of Debian forky, which run on older Debians by their own loader: unpacked, not installed."""

import fcntl
import os
import subprocess

from tests.support.venvs import cache_folder

_SOURCE = """Types: deb
URIs: {mirror}
Suites: forky
Components: main
Signed-By: /usr/share/keyrings/debian-archive-trixie-automatic.gpg
"""


def forky_program(package: str, name: str) -> list[str]:
    """The command of a program in /usr/bin of `package`, which is fetched once, with all it depends on, and kept in the
    user's cache directory. What it starts by itself must run here. MIRROR names another archive of Debian."""
    folder = cache_folder() / f"forky-{package}"
    root, complete = folder / "root", folder / "complete"
    root.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            source = folder / "apt" / "sources" / "forky.sources"
            for place in (source.parent, folder / "apt/lists/partial", folder / "apt/archives/partial"):
                place.mkdir(parents=True, exist_ok=True)
            source.write_text(_SOURCE.format(mirror=os.environ.get("MIRROR", "http://deb.debian.org/debian")))
            apt = ["apt-get", "-qq", "-o", f"Dir::State={source.parent.parent}", "-o", "Dir::State::status=/dev/null"]
            apt += ["-o", f"Dir::Cache={source.parent.parent}", "-o", "Dir::Etc::sourcelist=/dev/null"]
            apt += ["-o", f"Dir::Etc::sourceparts={source.parent}", "-o", "Acquire::Check-Valid-Until=false"]
            apt += ["-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root"]
            subprocess.run([*apt, "update"], check=True)
            subprocess.run([*apt, "install", "--download-only", "--no-install-recommends", "-y", package], check=True)
            for archive in source.parent.parent.glob("archives/*.deb"):
                subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
            complete.touch()
    libraries = root / "usr/lib/x86_64-linux-gnu"
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), str(root / "usr/bin" / name)]
