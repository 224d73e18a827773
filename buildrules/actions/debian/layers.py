"""The action `debian_layers`: locked packages become the layers of a root file system.

`places`: `packages` (sha256 -> archive, path and size), `suite`, `mirrors` (the Debian
settings), and `lock` (file name) and `label` for errors. Outputs: up to three layers, so that a change in one leaves
the others: "system" (libc, certificates, time zones, generated files), "python" (the interpreter and what only it
needs) and "packages" (the rest).

The blobs are kept in the store: unlike those of other layers they cannot be made again cheaply, because of xz.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from buildrules.actions.debian.locked import INTERPRETER, LockedPackage, locked_packages, python_of
from buildrules.actions.debian.tree import LayerTree, write_layer
from buildrules.actions.made import DebianMade
from buildrules.actions.params import DebianParams, read
from buildrules.engine.action import Outputs, stored_blobs
from buildrules.engine.kind import Context, Row, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError, IntegrityError

_SYSTEM = re.compile(
    r"base-files|base-passwd|ca-certificates|gcc-[0-9]+-base|libc6|libc-bin|libc-gconv-modules.*|libgcc-s1|libgomp1"
    r"|libstdc\+\+6|netbase|tzdata|zlib1g|zlib-ng.*"
)
_PYTHON = re.compile(
    r"(lib)?python3(\.[0-9]+)?(-minimal|-stdlib|-distutils|-venv|-lib2to3)?|libbz2-1\.0|libcrypt1|libdb5\.3.*|libexpat1"
    r"|libffi[0-9]+|libgdbm.*|liblzma5|libmpdec.*|libncursesw6|libnsl2|libreadline8.*|libsqlite3-0|libssl3.*"
    r"|libtinfo6|libtirpc.*|libuuid1.*|libzstd1|media-types|openssl-provider-.*"
)


def _content(step: Step) -> list[Row]:
    packages = read(DebianParams, step.params).packages
    return [
        {"kind": "deb", "name": name, "version": version, "digest": f"sha256:{sha256}"}
        for name, version, sha256 in packages
    ]


class DebianLayers:
    """See the module."""

    name = "debian_layers"
    version = 3  # 2: the home belongs to its user; 3: another form of params
    traits = Traits(content=_content)

    def run(self, step: Step, context: Context) -> Outputs:
        """Unpack, write the layers.

        Raises IntegrityError for a package that is malformed, ActionError where two hold the same file.
        """
        params = read(DebianParams, step.params)
        packages = _packages(params, step.places)
        trees = [LayerTree(name, held, packages, params.arch) for name, held in split(packages).items()]
        with ThreadPoolExecutor(len(trees), thread_name_prefix="debian") as pool:
            layers = list(pool.map(lambda tree: write_layer(tree, context), trees))
        _check_overlap(trees)
        short, full = python_of(packages) or (None, None)
        return Outputs(
            layers=layers,
            blobs=stored_blobs(layers),
            values=DebianMade(short, full, [tree.name for tree in trees])._asdict(),
        )


def split(packages: list[LockedPackage]) -> dict[str, list[LockedPackage]]:
    """Packages by the name of their layer. It depends on a package's own name only, so that none moves when another
    comes; but without an interpreter there is no "python" layer."""
    found: dict[str, list[LockedPackage]] = {"system": [], "python": [], "packages": []}
    interpreter = any(INTERPRETER.fullmatch(package.name) for package in packages)
    for package in packages:
        if _SYSTEM.fullmatch(package.name):
            found["system"].append(package)
        else:
            found["python" if interpreter and _PYTHON.fullmatch(package.name) else "packages"].append(package)
    return {name: held for name, held in found.items() if held or name == "system"}


def _packages(params: DebianParams, places: Mapping[str, Any]) -> list[LockedPackage]:
    if params.arch not in ("amd64", "arm64"):
        raise ActionError(f"debian base for an unknown architecture: {params.arch!r}")
    packages = locked_packages(params.packages, places)
    packages.sort(key=lambda one: one.name)
    for one, two in pairwise(packages):
        if one.name == two.name:
            raise IntegrityError(f"debian package {one.name!r} is locked twice")
    return packages


def _check_overlap(trees: list[LayerTree]) -> None:
    """Raise ActionError where a file of one layer is hidden by another's."""
    owners: dict[str, str] = {}
    for tree in trees:
        for path, owner in tree.owners.items():
            if path in owners:
                raise ActionError(
                    f"the debian packages {owners[path]!r} and {owner!r} both hold {path!r}",
                    hint="leave one of them out of `packages`",
                )
        owners |= tree.owners
    for tree in trees:
        for path in tree.folders:
            if path in owners:
                raise ActionError(f"{path!r} is a folder in one debian package and a file in {owners[path]!r}")
