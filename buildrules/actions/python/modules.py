"""Which modules a wheel brings, from the names of its files."""

from collections.abc import Iterable

INIT = "/__init__.py"
_PKGUTIL = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)"
_SETUPTOOLS = b"__import__('pkg_resources').declare_namespace(__name__)"
NAMESPACES = (b"", b"\n", _PKGUTIL, _PKGUTIL + b"\n", _SETUPTOOLS, _SETUPTOOLS + b"\n")
"""Of an `__init__.py` that many distributions bring alike (packaging.python.org, "Packaging namespace packages")."""

_ENDINGS = (".py", ".so", ".pyd")


def modules_of(names: Iterable[str]) -> list[str]:
    """The modules that can be imported with the files `names` of a wheel installed, without those below a package.

    Packages that share their first name with others (without an `__init__.py`) are dotted: "google.cloud.storage".
    """
    files = [_installed(name).split("/") for name in names if name.endswith(_ENDINGS)]
    packages = {tuple(steps[:-1]) for steps in files if steps[-1].partition(".")[0] == "__init__"}
    found = set()
    for *folders, name in files:
        depth = next((count for count in range(1, len(folders) + 1) if tuple(folders[:count]) in packages), None)
        steps = folders[:depth] if depth is not None else [*folders, name.partition(".")[0]]
        if all(step.isidentifier() for step in steps):
            found.add(".".join(steps))
    return sorted(found)


def _installed(name: str) -> str:
    """Where a file of a wheel's data directory lands (binary distribution format, "The .data directory")."""
    top, _, rest = name.partition("/")
    if top.endswith(".data") and rest.startswith(("purelib/", "platlib/")):
        return rest.partition("/")[2]
    return name
