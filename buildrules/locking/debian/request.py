"""What a Debian base is asked to hold, and the dependencies that an image without maintainer scripts can do without."""

import fnmatch
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from buildrules.errors import ResolutionError
from buildrules.store.lockfile import inputs_digest

if TYPE_CHECKING:
    from buildrules.locking.debian.packages import Universe

SCHEMA = 1
"""Part of every request's digest. Raise it when the tables below change, so that locks made before are stale."""

BASE = ("base-files", "ca-certificates", "libc6", "netbase", "tzdata")
"""In every base that asks for more than the packages it names."""

PYTHON = ("libgcc-s1", "libgomp1", "libstdc++6", "zlib1g")
"""Beside the interpreter: the shared libraries that wheels for manylinux expect on the system."""

UNNEEDED = (
    "adduser", "cdebconf", "debconf", "debconf-2.0", "dpkg", "init-system-helpers", "install-info",
    "libdebconfclient0", "passwd", "sensible-utils", "systemd", "systemd-sysv", "sysvinit-utils",
    "tzdata-legacy", "ucf", "update-inetd",
)  # fmt: skip
"""Needed only by maintainer scripts, which are never run here. Naming one in `packages` brings it back.
perl-base is not among them: nothing in a plain base asks for it once debconf is left out, and who does means it."""

UNNEEDED_BY = (
    ("base-files", "awk"),
    ("ca-certificates", "openssl"),
    ("libpython3.*-stdlib", "media-types"),
    ("libpython3.*-stdlib", "mime-support"),
    ("libpython3.*-stdlib", "libcrypt1"),
    ("libpython3.*-stdlib", "libdb5.3*"),
    ("libpython3.*-stdlib", "libgdbm*"),
    ("libpython3.*-stdlib", "libncursesw6*"),
    ("libpython3.*-stdlib", "libnsl2*"),
    ("libpython3.*-stdlib", "libreadline8*"),
    ("libpython3.*-stdlib", "libtinfo6*"),
    ("libpython3.*-stdlib", "libtirpc3*"),
    ("libssl3*", "openssl-provider-legacy"),
)
"""(who, what): dependencies of one package that a server does without; the standard library then lacks
crypt, readline, curses, nis and dbm.ndbm. Others that depend on the same package still get it."""

_EARLIER = {"without": [], "exact": False, "components": ["main"]}
"""What requests could once say as well: still in their digests, so that locks made before are not stale."""

_INTERPRETER = re.compile(r"python(3\.[0-9]+)-minimal")


@dataclass(frozen=True, slots=True)
class DebianRequest:
    """What to resolve. `python` is False, True for the suite's own version, or "3.11".

    `snapshot` is the time of the archive, 20250131T000000Z; which mirror has it does not matter, and is no part of the
    request.
    """

    name: str
    suite: str
    architecture: str = "amd64"
    packages: tuple[str, ...] = ()
    python: bool | str = True
    snapshot: str | None = None

    def inputs(self) -> dict[str, Any]:
        """Everything that can change the lock, as plain JSON types; the name of the lock is not among them."""
        return {
            **({"snapshot": self.snapshot} if self.snapshot else {}),
            "schema": SCHEMA,
            "suite": self.suite,
            "architecture": self.architecture,
            "packages": sorted(set(self.packages)),
            "python": self.python,
            **_EARLIER,
        }

    def digest(self) -> str:
        """`sha256:<hex>` over `inputs`: a lock that carries another one is stale."""
        return inputs_digest(self.inputs())

    def roots(self, universe: "Universe") -> dict[str, str]:
        """The packages to start from, each with who asked for it.

        Raises ResolutionError where the suite has no such Python or more than one that could be meant.
        """
        roots = dict.fromkeys(BASE, "the base")
        if self.python:
            version = self._python(universe)
            interpreter = (f"python{version}-minimal", f"libpython{version}-minimal", f"libpython{version}-stdlib")
            roots |= dict.fromkeys((*PYTHON, *interpreter), "python")
        return roots | dict.fromkeys(sorted(self.packages), self.name)

    def drops(self, who: str, what: str) -> bool:
        """Whether the dependency of package `who` on package `what` is left out."""
        return what in UNNEEDED or any(
            fnmatch.fnmatchcase(who, one) and fnmatch.fnmatchcase(what, two) for one, two in UNNEEDED_BY
        )

    def _python(self, universe: "Universe") -> str:
        held = [name.removeprefix("python").removesuffix("-minimal") for name in universe.matching(_INTERPRETER)]
        held.sort(key=lambda version: int(version.split(".")[1]))
        have = f"it has {', '.join(held)}" if held else "it has none"
        if isinstance(self.python, str):
            if self.python not in held:
                raise ResolutionError(
                    f"{self.suite}/{self.architecture} has no python {self.python!r}; {have}",
                    hint="choose a suite that has this version, or leave the version out",
                )
            return self.python
        for package in universe.named("python3-minimal"):
            for group in package.depends:
                if match := _INTERPRETER.fullmatch(group[0].name):
                    return match[1]
        if len(held) != 1:
            raise ResolutionError(
                f"{self.suite}/{self.architecture} does not say which python is its own; {have}",
                hint="give the version, such as python: '3.11'",
            )
        return held[0]
