"""Wheels that were compiled for NumPy 1 and do not load with NumPy 2, although their metadata allows it.

Most of them were published before NumPy 2 and say `numpy>=1.17`. Conda's channels have corrected that in their index
since; the wheels' own metadata stays as it is, and so a resolver puts NumPy 2 beside them, which fails at import.
"""

from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from buildrules.locking.python.locked import LockedPackage

NUMPY_1 = "numpy<2"

_FIRST = {
    "bottleneck": "1.4.0",
    "catboost": "1.2.7",
    "h5py": "3.11.0",
    "matplotlib": "3.8.4",
    "numexpr": "2.10.0",
    "onnxruntime": "1.19.0",
    "pandas": "2.2.2",
    "pyarrow": "16.0.0",
    "pywavelets": "1.6.0",
    "scikit-image": "0.23.1",
    "scikit-learn": "1.4.2",
    "scipy": "1.13.0",
    "shapely": "2.0.4",
    "statsmodels": "0.14.2",
}
"""The first release of each whose wheels load with NumPy 2, by the projects' release notes."""


def compiled_for_numpy_1(packages: Iterable[LockedPackage]) -> list[str]:
    """The packages among `packages`, as `name version`, that do not load with the NumPy 2 among them."""
    versions = {}
    for package in packages:
        try:
            versions[package.name] = Version(package.version or "")
        except InvalidVersion:
            continue
    if "numpy" not in versions or versions["numpy"] < Version("2"):
        return []
    return [
        f"{name} {versions[name]}"
        for name, first in _FIRST.items()
        if name in versions and versions[name] < Version(first)
    ]
