"""What BUILD.yaml says of a project that its build back end would ask git or the environment for."""

import os
import re
from collections.abc import Iterable
from dataclasses import replace

from packaging.version import InvalidVersion, Version

from buildrules.actions.python.versions import VARIABLES
from buildrules.credentials.secret_names import seems_secret
from buildrules.errors import LoadError
from buildrules.locking.python.collector import Declared, Requirements
from buildrules.locking.python.requirement import local
from buildrules.rules.resolve import ResolvedTarget

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def add_projects(found: Requirements, root: str, env: ResolvedTarget, libraries: Iterable[ResolvedTarget]) -> None:
    """Add projects, each a `python_library`, that the python_env `env` installs to `found`. Raises LoadError."""
    for library in libraries:
        values = library.values
        with library.errors_at("project"):
            if not os.path.isdir(os.path.join(root, values["project"])):
                raise LoadError(f"there is no folder {values['project']!r}")
            item = local(values["project"], root, "", library.position_of("project"), extras=tuple(values["extras"]))
        found.items.append(replace(item, asker=f"the environment {env.label}"))
        found.files += [path for path in item.describing_files(root) if path not in found.files]
        declared = _declared(library, item.name)
        if not declared.environment():
            continue
        with library.errors_at("version"):
            if not item.name:
                raise LoadError(
                    f"the project in {item.text!r} has no name, so nothing more can be said of it",
                    hint="say its name in pyproject.toml, under [project]",
                )
            other = found.declared.setdefault(item.text, declared)
            if other != declared:
                raise LoadError(
                    f"{env.label} has the project in {item.text!r} with two versions or sets of variables",
                    hint="say them on one python_library, and name that in the others' `deps`",
                )


def _declared(library: ResolvedTarget, name: str) -> Declared:
    version, variables = library.values["version"] or "", library.values["variables"]
    for variable in variables:
        with library.errors_at("variables"):
            if not _NAME.fullmatch(variable) or (variable.startswith("UV_") and variable not in VARIABLES):
                raise LoadError(f"{variable!r} is no variable that a build back end can be given")
            if seems_secret(variable):
                raise LoadError(
                    f"{variable!r} seems to be a secret, and what a build sees may end in its wheel",
                    hint="give logins for package indexes to connections; a build gets them from there",
                )
    with library.errors_at("version"):
        try:
            return Declared(name, str(Version(version)) if version else "", dict(sorted(variables.items())))
        except InvalidVersion:
            raise LoadError(f"{version!r} is not a version", hint="write it like 1.4.0 (PEP 440)") from None
