"""What the environments of a workspace, and the servers on them, ask for on a base."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

from buildrules.actions.python.exclusion import NAME_OR_GLOB
from buildrules.actions.python.feeds import Feeds
from buildrules.actions.python.target import Target, number_of
from buildrules.actions.python.versions import VARIABLES
from buildrules.authoring.release import minor_of_patch
from buildrules.credentials.secret_names import seems_secret
from buildrules.errors import LoadError
from buildrules.locking.bases import need_python
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedBase, LockedConda, LockedEnvironment
from buildrules.locking.python.collector import Declared, Requirements
from buildrules.locking.python.conda import check_python
from buildrules.locking.python.models import ModelEnvironments
from buildrules.locking.python.projects import Projects
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.requirement import local
from buildrules.locking.python.requirements import collect, collect_target
from buildrules.rules.contribution import Contribution
from buildrules.rules.libraries import installed_projects
from buildrules.rules.resolve import Resolution, ResolvedTarget

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class AskedFor:
    """Reads requests. Methods raise LoadError, ResolutionError, and UsageError for a feed that there is not."""

    keeper: LockKeeper
    resolution: Resolution
    models: ModelEnvironments
    projects: Projects

    def by(
        self, target: ResolvedTarget, base: LockedBase, chosen: str, conda: LockedConda | None = None
    ) -> EnvironmentRequest:
        """What an environment on a base asks for; `chosen` says why it is on that, where it leaves it open."""
        python = need_python(base, target)
        on = _on(base, python)
        found = self.collect(target, on)
        if conda is None:
            self._check_python(target, base, python, found, chosen)
        names = target.values["connections"]
        feeds = Feeds(None if names is None else tuple(names), tuple(found.indexes), tuple(found.sources))
        with target.errors_at("connections"):
            assigned = feeds.assigned(self.keeper.session.connections)
        return EnvironmentRequest(
            name=target.lock_name,
            root=self.keeper.root,
            folder=target.label.package,
            target=on,
            asked=found,
            feeds=feeds,
            assigned=assigned,
            projects=self.projects,
            provided=conda.lock.distributions() if conda is not None else {},
        )

    def by_server(
        self,
        server: ResolvedTarget,
        part: Contribution,
        base: LockedBase,
        env: LockedEnvironment | None,
        folder: str,
        name: str,
    ) -> EnvironmentRequest:
        """What `server`, which contributes `part`, asks for on an environment, or on a base alone."""
        connections = self.keeper.session.connections
        python = need_python(base, server)
        found = collect(
            self.keeper.root,
            folder,
            requirements=part.requirements,
            constraints=part.constraints,
            exclude=env.exclude if env else (),
            connections=connections,
            asker=f"the server {server.rule.reference}",
            place=lambda attribute, _=None: server.position_of(attribute),
        )
        feeds = (env.feeds if env else None) or Feeds()
        return EnvironmentRequest(
            name=name,
            root=self.keeper.root,
            folder=folder,
            target=_on(base, python),
            asked=found,
            feeds=feeds,
            assigned=feeds.assigned(connections),
            base=env.lock if env else None,
            base_asker=f"the environment {(env or base).target.lock_name}",
            projects=self.projects,
            provided=env.conda.lock.distributions() if env and env.conda else {},
        )

    def collect(self, target: ResolvedTarget, on: Target | None) -> Requirements:
        """The requirements of an environment; `on` is what wheels have to fit, None before conda's Python is known."""
        root = self.keeper.root
        if target.deps.get("model"):
            found = self.models.collect(target)
        else:
            environment = on.environment() if on is not None else None
            found = collect_target(root, target, self.keeper.session.connections, environment)
        _add_projects(found, root, target, installed_projects(self.resolution, target))
        return found

    def _check_python(
        self, target: ResolvedTarget, base: LockedBase, python: str, found: Requirements, chosen: str
    ) -> None:
        """A base that was chosen has the minor version that is asked for, whatever patch release that is of."""
        asked = target.values["python"]
        if chosen and asked is not None:
            number, free_threaded = number_of(asked)
            minor = minor_of_patch(number if number[:1] == "=" else f"=={number}")
            asked = minor + ("t" if free_threaded else "") if minor else asked
        elif chosen and found.python is not None:
            asked = found.python.minor
        with target.errors_at("python"):
            check_python(found.python, python, asked, free_threaded=base.free_threaded)
            self.models.check_python(target, python)


def _add_projects(found: Requirements, root: str, env: ResolvedTarget, libraries: Iterable[ResolvedTarget]) -> None:
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


def check_attributes(target: ResolvedTarget) -> None:
    """Raise LoadError for what an environment says that makes no sense, or has no effect."""
    for number, name in enumerate(target.values["exclude"]):
        if not NAME_OR_GLOB.fullmatch(name):
            hint = 'write the name alone, without a version; or a glob of names, such as "nvidia-*"'
            raise target.error("exclude", f"{name!r} is not the name of a distribution", hint, number)
    for name in ("channels", "cuda"):
        if target.values.get(name) is not None and target.values["solver"] != "conda":
            raise target.error(name, f"'{name}' has no effect on wheels", "write `solver: conda`, or leave it out")
    if target.values.get("group") is not None and target.values["solver"] == "conda":
        hint = "leave out `group`, or take wheels: `solver: uv`"
        raise target.error("group", "locks of a group have wheels only", hint)


def _on(base: LockedBase, python: str) -> Target:
    """What wheels on a base, whose version of Python is `python`, have to fit."""
    return Target(base.platform, f"{python}t" if base.free_threaded else python, base.glibc)
