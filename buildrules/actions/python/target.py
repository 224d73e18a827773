"""What wheels are chosen for: the platform, Python and libc of the image, never of the host."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from buildrules.errors import UsageError

if TYPE_CHECKING:
    from packaging.markers import Environment
    from packaging.tags import Tag

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
# What uv's --python-platform offers; the choice of wheels below uses the real glibc.
_UV_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)


def minor_of(version: str) -> str:
    """A version without what follows its second number: "3.11" of "3.11.2"."""
    return ".".join(version.split(".")[:2])


def number_of(version: str) -> tuple[str, bool]:
    """A version in numbers alone, as markers have it, and whether it is the build without the global lock:
    "3.13.5" and True of "3.13.5t"."""
    return version.removesuffix("t"), version.endswith("t")


@dataclass(frozen=True, slots=True)
class Target:
    """`platform` is like "linux/arm64", `python` like "3.11.2", or "3.13.5t" without the global lock (free-threaded),
    `glibc` like "2.36"."""

    platform: str
    python: str
    glibc: str = "2.36"

    def __post_init__(self) -> None:
        os_name, _, arch = self.platform.partition("/")
        if os_name != "linux" or arch not in _MACHINES:
            raise UsageError(
                f"no Python environment can be made for the platform {self.platform!r}",
                hint="linux/amd64 and linux/arm64 are supported",
            )
        for name, value, parts in (("python", self.number, (2, 3)), ("glibc", self.glibc, (2,))):
            numbers = value.split(".")
            if len(numbers) not in parts or not all(number.isascii() and number.isdecimal() for number in numbers):
                raise UsageError(f"{name} of a platform must be like '3.11.2' or '2.36', not {value!r}")

    @property
    def machine(self) -> str:
        """As the kernel names it: x86_64 or aarch64."""
        return _MACHINES[self.platform.partition("/")[2]]

    @property
    def number(self) -> str:
        """The version of Python in numbers alone, as markers have it: "3.13.5"."""
        return number_of(self.python)[0]

    @property
    def free_threaded(self) -> bool:
        """Whether its Python runs without the global lock."""
        return number_of(self.python)[1]

    @property
    def python_minor(self) -> str:
        """Like "3.11"."""
        return minor_of(self.number)

    @property
    def python_name(self) -> str:
        """What its Python calls its own folders after: "3.11", "3.13t"."""
        return self.python_minor + ("t" if self.free_threaded else "")

    @property
    def version(self) -> tuple[int, int]:
        """Like (3, 11)."""
        major, minor = self.number.split(".")[:2]
        return int(major), int(minor)

    @property
    def glibc_version(self) -> tuple[int, int]:
        """Like (2, 36)."""
        major, minor = self.glibc.split(".")
        return int(major), int(minor)

    @property
    def uv_platform(self) -> str:
        """The nearest value of uv's --python-platform that asks for no newer glibc."""
        minor = max((known for known in _UV_GLIBC if known <= self.glibc_version[1]), default=17)
        return f"{self.machine}-manylinux_2_{minor}"

    def platform_tags(self) -> list[str]:
        """Platform tags, the best first, as `packaging.tags` would give them inside the image (PEP 600)."""
        oldest = 5 if self.machine == "x86_64" else 17
        tags = []
        for minor in range(self.glibc_version[1], oldest - 1, -1):
            tags.append(f"manylinux_2_{minor}_{self.machine}")
            if (2, minor) in _LEGACY:
                tags.append(f"{_LEGACY[2, minor]}_{self.machine}")
        return [*tags, f"linux_{self.machine}"]

    def tags(self) -> "tuple[Tag, ...]":
        """Wheel tags of CPython in the image, the best first."""
        return _tags(self)

    def environment(self) -> "Environment":
        """The values of environment markers in the image (PEP 508)."""
        full = self.number if self.number.count(".") == 2 else f"{self.number}.0"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": full,
            "platform_python_implementation": "CPython",
            "python_version": self.python_minor,
            "sys_platform": "linux",
        }

    def to_dict(self) -> dict[str, str]:
        """Plain JSON types, for parameters and locks."""
        return {"platform": self.platform, "python": self.python, "glibc": self.glibc}

    @classmethod
    def from_dict(cls, data: dict[str, str]) -> "Target":
        """Read what `to_dict` wrote."""
        return cls(platform=data["platform"], python=data["python"], glibc=data["glibc"])


@lru_cache(maxsize=64)
def _tags(target: Target) -> "tuple[Tag, ...]":
    """There are two thousand of them, and every lock that is read asks for them."""
    from packaging.tags import compatible_tags, cpython_tags

    platforms = target.platform_tags()
    interpreter = "cp" + "".join(map(str, target.version))
    abi = interpreter + ("m" if target.version < (3, 8) else "t" if target.free_threaded else "")  # PEP 3149, 703
    found = list(cpython_tags(target.version, abis=[abi], platforms=platforms))
    found.extend(compatible_tags(target.version, interpreter=interpreter, platforms=platforms))
    return tuple(dict.fromkeys(found))
