"""Action "conda_layer": conda packages become one layer, straight from the archives.

    params  `CondaParams`
    places  {"urls": {filename: [url, ...]}, "sizes": {filename: bytes}}

The layer's bytes are not kept: its recipe makes them again from the packages.
"""

import re
from collections.abc import Mapping
from typing import Any

from buildrules.actions.compressible import FAST
from buildrules.actions.made import CondaMade
from buildrules.actions.params import CondaParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Row, Traits
from buildrules.engine.step import Step
from buildrules.errors import ActionError, GoneError, IntegrityError
from buildrules.sha256 import hex_digest

_SITE = re.compile(r"(?:lib/python3\.[0-9]+t?/)site-packages/(.+)")
_INFO = re.compile(r"([^/]+?)-([^/-]+)(?:-py3[^/]*)?\.(?:dist-info/METADATA|egg-info(?:/PKG-INFO)?)")
_UNRUN = re.compile(r"bin/\.[^/]+-post-link\.sh")


def _content(step: Step) -> list[Row]:
    rows = read(CondaParams, step.params).packages
    return [{"kind": "conda", "filename": filename, "digest": f"sha256:{sha256}"} for filename, sha256, _ in rows]


class CondaLayer:
    """See the module's documentation."""

    name = "conda_layer"
    version = 2
    traits = Traits(content=_content)

    def run(self, step: Step, context: Context) -> Outputs:
        """One layer. Raises IntegrityError naming the package that is not sound, GoneError, ActionError."""
        from buildrules.actions.pack import progress_of
        from buildrules.actions.python.modules import INIT, NAMESPACES, modules_of
        from buildrules.oci import recipe
        from buildrules.oci.assemble import assemble
        from buildrules.oci.local import Local
        from buildrules.oci.parts.conda import installed
        from buildrules.oci.parts.conda_package import read_package

        packages, prefix = read(CondaParams, step.params)
        if not packages:
            raise ActionError(f"{step.title!r} has no packages")
        local = Local(context.blobs)
        try:
            brought = {
                filename: installed(read_package(local.checked(f"sha256:{sha256}"), filename), python)
                for filename, sha256, python in packages
            }
            drop = _doubles(brought, context)
            parts = [
                recipe.conda(f"sha256:{sha256}", filename, prefix, python, drop[filename])
                for filename, sha256, python in packages
            ]
            layer = assemble(recipe.gzip(parts, FAST), local, progress_of(context, step.title))
        except FileNotFoundError as error:
            raise GoneError(f"a package of {step.title!r} vanished from the store", hint="build again") from error
        except IntegrityError as error:
            error.hint = error.hint or "the package is broken: choose another build, or tell its channel"
            raise
        paths = [path for files in brought.values() for path in files]
        for path in sorted(path for path in paths if _UNRUN.fullmatch(path)):
            context.warn(f"{step.title}: the script {path} of a conda package is not run; what it does is missing")
        modules: list[str] = []
        owners: dict[str, str] = {}
        distributions: set[tuple[str, str]] = set()
        shared = {hex_digest(text) for text in NAMESPACES}
        for filename, files in brought.items():
            below = {match[1]: sha256 for path, sha256 in files.items() if (match := _SITE.fullmatch(path))}
            distributions |= {(match[1], match[2]) for path in below if (match := _INFO.fullmatch(path))}
            modules += below
            own = (path for path, sha256 in below.items() if not (path.endswith(INIT) and sha256 in shared))
            owners |= dict.fromkeys(modules_of(own), filename)
        rows: Any = [list(row) for row in sorted(distributions)]  # as JSON has them
        return Outputs(layers=[layer], values=CondaMade(modules_of(modules), rows, owners)._asdict())


def _doubles(brought: Mapping[str, Mapping[str, str]], context: Context) -> dict[str, list[str]]:
    """What each package leaves to a later one, which brings the same path: conda lets the later win as well."""
    owners = {path: filename for filename, files in brought.items() for path in files}
    found: dict[str, list[str]] = {}
    for filename, files in brought.items():
        found[filename] = sorted(path for path in files if owners[path] != filename)
        other = [path for path in found[filename] if files[path] != brought[owners[path]][path]]
        if other:
            context.warn(
                f"conda packages {filename} and {owners[other[0]]} both bring {other[0]!r}"
                f"{f' and {len(other) - 1} more files' if len(other) > 1 else ''}; the files of the second are used"
            )
    return found
