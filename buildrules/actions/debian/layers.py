"""The action `debian_layers`: locked packages become the layers of a root file system.

`params`: `DebianParams`. `places`: `packages` (sha256 -> archive, path and size), `suite`, `mirrors` (the Debian
settings), and `lock` (file name) and `label` for errors. Outputs: up to three layers, so that a change in one leaves
the others: "system" (libc, certificates, time zones, generated files), "python" (the interpreter and what only it
needs) and "packages" (the rest); `values` `python` ("3.11" or None), `python_version` ("3.11.2" or None) and `layers`.

The blobs are kept in the store: unlike those of other layers they cannot be made again cheaply, because of xz.
"""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from buildrules.actions.debian.locked import LockedPackage, package_of, python_of
from buildrules.actions.debian.tree import LayerTree, write_layer
from buildrules.actions.params import DebianParams, read
from buildrules.engine.action import Outputs, kept
from buildrules.engine.kind import Context, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError, GoneError, IntegrityError

_SYSTEM = re.compile(
    r"base-files|base-passwd|ca-certificates|gcc-[0-9]+-base|libc6|libc-bin|libc-gconv-modules.*|libgcc-s1|libgomp1"
    r"|libstdc\+\+6|netbase|tzdata|zlib1g|zlib-ng.*"
)
_PYTHON = re.compile(
    r"(lib)?python3(\.[0-9]+)?(-minimal|-stdlib|-distutils|-venv|-lib2to3)?|libbz2-1\.0|libcrypt1|libdb5\.3.*|libexpat1"
    r"|libffi[0-9]+|libgdbm.*|liblzma5|libmpdec.*|libncursesw6|libnsl2|libreadline8.*|libsqlite3-0|libssl3.*"
    r"|libtinfo6|libtirpc.*|libuuid1.*|libzstd1|media-types|openssl-provider-.*"
)
_INTERPRETER = re.compile(r"python3\.[0-9]+-minimal")


class DebianLayers:
    """See the module."""

    name = "debian_layers"
    version = 1
    traits = Traits(network=True)

    def run(self, step: Step, context: Context) -> Outputs:
        """Fetch what the store lacks, unpack, write the layers.

        Raises GoneError where the archive no longer has a locked package, IntegrityError for one that is not what was
        locked or is malformed, ActionError where two packages hold the same file, FetchError.
        """
        params = read(DebianParams, step.params)
        packages = _packages(params, step.places)
        fetch_packages(packages, step.places, context)
        trees = [
            LayerTree(name, held, packages, params.arch, params.generated) for name, held in split(packages).items()
        ]
        with ThreadPoolExecutor(len(trees), thread_name_prefix="debian") as pool:
            layers = list(pool.map(lambda tree: write_layer(tree, context), trees))
        _check_overlap(trees)
        python = python_of(packages)
        return Outputs(
            layers=layers,
            blobs=kept(layers),
            values={
                "python": python[0] if python else None,
                "python_version": python[1] if python else None,
                "layers": [tree.name for tree in trees],
            },
        )


def split(packages: list[LockedPackage]) -> dict[str, list[LockedPackage]]:
    """Packages by the name of their layer. It depends on a package's own name only, so that none moves when another
    comes; but without an interpreter there is no "python" layer."""
    found: dict[str, list[LockedPackage]] = {"system": [], "python": [], "packages": []}
    interpreter = any(_INTERPRETER.fullmatch(package.name) for package in packages)
    for package in packages:
        if _SYSTEM.fullmatch(package.name):
            found["system"].append(package)
        else:
            found["python" if interpreter and _PYTHON.fullmatch(package.name) else "packages"].append(package)
    return {name: held for name, held in found.items() if held or name == "system"}


def fetch_packages(packages: list[LockedPackage], places: Mapping[str, Any], context: Context) -> None:
    """Bring the packages into the store, in parallel. No network and no configuration is touched if all are there."""
    missing = [one for one in packages if not context.blobs.has(one.sha256, one.size or None)]
    if not missing:
        return
    from buildrules.actions.debian.mirrors import base_uris
    from buildrules.actions.debian.transport import Wanted, fetch

    bases = base_uris(places["suite"], places.get("mirrors") or {})
    wanted = []
    for one in missing:
        # apt escapes the plus sign as well: there are servers that read it as a space.
        urls = [(f"{base}/{quote(one.path, safe='/~:')}", by_apt) for base, by_apt in bases[one.archive]]
        wanted.append(Wanted(urls, f"sha256:{one.sha256}", one.size, f"{one.name} {one.version}"))
    lock = str(places.get("lock") or "the lock")
    label = str(places.get("label") or "")
    try:
        fetch(wanted, context)
    except GoneError as error:
        raise GoneError(
            f"a debian package of {lock} is gone from the archive: {error.message}",
            hint=f"run 'buildrules lock{' ' + label if label else ''}' to lock today's versions, or set "
            "workspace.debian.snapshot or workspace.debian.mirror to a mirror that keeps old ones",
        ) from None
    except IntegrityError as error:
        raise IntegrityError(
            f"a debian package is not the one in {lock}: {error.message}",
            hint="the mirror is broken or not to be trusted; use another one",
        ) from None


def _packages(params: DebianParams, places: Mapping[str, Any]) -> list[LockedPackage]:
    if params.arch not in ("amd64", "arm64"):
        raise ActionError(f"debian base for an unknown architecture: {params.arch!r}")
    try:
        packages = [package_of(row, places.get("packages") or {}) for row in params.packages]
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"a locked debian package is not what it should be: {error}") from None
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
                    hint="leave one of them out with 'without'",
                )
        owners |= tree.owners
    for tree in trees:
        for path in tree.folders:
            if path in owners:
                raise ActionError(f"{path!r} is a folder in one debian package and a file in {owners[path]!r}")
