"""Plans the layers of code and files, and the image that joins everything."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from buildrules.actions.params import FilesParams, ImageParams, InlineParams, ScriptParams
from buildrules.actions.python.target import minor_of
from buildrules.analysis.loaded import Loaded
from buildrules.analysis.selection import tests_of
from buildrules.authoring.target import literal
from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import Goal, Plan
from buildrules.errors import LoadError
from buildrules.locking.locks import LockedBase, LockedEnvironment, Locks
from buildrules.locking.placing import code_files, globbed, path_source
from buildrules.plan.account import Account, account_of
from buildrules.plan.base import base_actions
from buildrules.plan.bytecode import BytecodePlanner, compiled, hiding
from buildrules.plan.environment import EnvironmentPlanner
from buildrules.plan.info import package_info, routes_of
from buildrules.plan.labels import card_labels, resource_label, standard_labels
from buildrules.plan.linting import plan_lints
from buildrules.plan.model import ModelPlanner, launcher
from buildrules.rules.contribution import Contribution
from buildrules.rules.package import PackageParts
from buildrules.rules.resolve import ResolvedTarget
from buildrules.sha256 import hex_digest
from buildrules.workspace.labels import Label

_HOLDS = {"code": "scoring code", "library": "library", "files": "files"}


class PackagePlanner:
    """Plans model packages. Everything two packages share is planned once."""

    def __init__(
        self, plan: Plan, loaded: Loaded, locks: Locks, models: ModelPlanner, root: str, epoch: str | None
    ) -> None:
        self._plan = plan
        self._settings = loaded.workspace.settings
        self._locks = locks
        self._root = root
        self._environments = EnvironmentPlanner(plan, root)
        self._bytecode = BytecodePlanner(plan)
        self._models = models
        self._epoch = epoch
        self._tests: dict[Label, list[ResolvedTarget]] = {}  # which a package's lints look at
        for test in tests_of(loaded):
            self._tests.setdefault(test.deps["package"][0], []).append(test)

    def base(self, base: LockedBase) -> dict[str, str]:
        """The actions of a base, the lowest first, and what they hold."""
        return {self._plan.add(action): role for action, role in base_actions(base, self._settings, self._root)}

    def environment(self, env: LockedEnvironment) -> dict[str, str]:
        """The actions of an environment that is a goal by itself, without its base, and what they hold."""
        layers = self._environments.layers(env)
        if not env.target.values.get("bytecode"):
            return layers
        found = self._bytecode.beside(env.base, [layers])
        return self._bytecode.library(env.base) | found[0] if found is not None else layers

    def package(self, label: Label, platform: str) -> Goal:
        """The image of a package. Raises LoadError for what cannot be placed."""
        locked = self._locks.packages[label, platform]
        parts, base = locked.parts, locked.base
        installed = [self._environments.layers(one) for one in locked.installed]
        account = account_of(parts, base)
        deps = self.base(base)
        user = {self._account(parts, base, account): "user"} if account.parts else {}
        preferred = self._environments.preferred  # they lie over those of the server
        wheels = [{name: holds for name, holds in one.items() if name not in preferred} for one in installed]
        wheels.append({name: holds for one in installed for name, holds in one.items() if name in preferred})
        above = self._extra_layers(parts.server, parts.server_part, platform)
        if parts.server_part.files:
            above[self._generated(parts.server, parts.server_part.files)] = "server files"
        files = self._files(parts.package)
        models = self._models.actions(parts.placed, parts.package, parts.groups)
        code = self._code(parts)
        above |= dict.fromkeys(files, "files") | models
        above |= {name: code[name] for name in reversed(code)}  # what the server starts changes most often
        self._check_conda(label, locked.installed, above)
        if installed and _wants_bytecode(parts):
            library, wheels = self._compiled(parts, base, wheels, below=[*deps, *user], above=list(above))
            deps |= library
        deps |= user
        for layers in wheels:
            deps |= layers
        deps |= above
        deps |= dict.fromkeys(self._script(parts, base), "entry script")
        if locked.installed:
            names = [name for one in wheels for name in one]
            deps[self._environments.installed(locked.installed, names)] = "installed"
        plan_lints(
            self._plan,
            locked,
            installed=[name for one in installed for name in one],
            models=list(models),
            code=list(code),
            files=files,
            tests=self._tests.get(label, ()),
        )
        name = str(label)
        locks = {**base.locks, **self._locks.of_models(parts.placed)}
        for env in locked.installed:
            locks |= env.locks
        action = Action(
            id=f"{name} {platform} image",
            target=name,
            kind="image",
            title=f"image of {name}",
            params=self._image(parts, base, account, locked.pins, platform)._asdict(),
            deps=tuple(deps),
            roles=tuple(deps.values()),
            weight=0.01,
        )
        self._plan.add(action)
        python = base.python
        if locked.env is not None:  # which may bring a Python of its own
            python, chosen = locked.env.base.python, locked.env.chosen
            python = f"{python} ({chosen})" if chosen else python
        uncompiled = locked.installed[0].base.uncompiled if installed and _wants_bytecode(parts) else ""
        info = package_info(parts, self._settings, locks, self._locks.origins(parts.placed), python, uncompiled)
        return Goal(name, platform, action.id, "image", info)

    def _check_conda(self, label: Label, installed: Sequence[LockedEnvironment], above: Iterable[str]) -> None:
        """Note what may lie over sources of conda packages: these bring bytecode of their own."""
        if any(one.conda is not None for one in installed):
            from buildrules.locking.conda.lock import PREFIX

            over = hiding((self._plan.actions[name] for name in above), [PREFIX])
            if over is not None:
                self._plan.notes.append(f"{label}: '{over.title}' may lie over conda packages, whose bytecode is used")

    def _compiled(
        self,
        parts: PackageParts,
        base: LockedBase,
        wheels: list[dict[str, str]],
        *,
        below: list[str],
        above: list[str],
    ) -> tuple[dict[str, str], list[dict[str, str]]]:
        """The bytecode of a base's library, and the layers of wheels with theirs, between others of the image.

        Where there can be none for this package, that is noted.
        """
        if base.bytecode is None:
            return {}, wheels
        over = hiding((self._plan.actions[name] for name in above), compiled(base))
        found = self._bytecode.beside(base, wheels, [*below, *above]) if over is None else None
        if found is not None:
            return self._bytecode.library(base), found
        why = f"'{over.title}' may lie over sources" if over is not None else "it has too many layers"
        self._plan.notes.append(f"{parts.package.label} has no bytecode: {why}; `bytecode: false` says it is meant")
        return {}, wheels

    def _extra_layers(self, target: ResolvedTarget, part: Contribution, platform: str) -> dict[str, str]:
        """The layers a rule contributes by naming kinds of actions: the actions, and what they hold."""
        return {
            self._plan.add(
                Action(
                    id=f"{target.label} {platform} {number} {layer['action']}",
                    target=str(target.label),
                    kind=layer["action"],
                    title=f"{target.label.name}: {layer['action']}",
                    params=layer["with"],
                )
            ): layer["action"]
            for number, layer in enumerate(part.layers)
        }

    def _generated(self, server: ResolvedTarget, files: dict[str, str]) -> str:
        parts = [
            {"kind": "inline", "path": path.strip("/"), "mode": 0o644, "text": text}
            for path, text in sorted(files.items())
        ]
        return self._plan.add(
            Action(
                id=f"{server.id} generated {' '.join(sorted(files))} {_digest(files)}",
                target=str(server.label),
                kind="inline_layer",
                title=f"{server.rule.name} files",
                params=InlineParams(parts)._asdict(),
                weight=0.01,
            )
        )

    def _files(self, package: ResolvedTarget) -> list[str]:
        """Extra files, each place in the image a layer of its own."""
        actions = []
        for place, path in sorted((package.values["files"] or {}).items()):
            source, prefix = path_source(path, place.strip("/"), self._locks.folders, keep=False)
            actions.append(
                self._plan.add(
                    Action(
                        id=f"{package.id} file {place}",
                        target=str(package.label),
                        kind="files_layer",
                        title=f"files {place}",
                        params=FilesParams(prefix)._asdict(),
                        sources=(source,),
                    )
                )
            )
        return actions

    def _code(self, parts: PackageParts) -> dict[str, str]:
        """The layers of the code and of libraries, that which the server starts first, and what they hold."""
        return {
            self._plan.add(
                Action(
                    id=f"{target.id} {target.provides} {prefix}",
                    target=str(target.label),
                    kind="files_layer",
                    title=f"{target.provides} {target.name}",
                    weight=0.02,
                    params=FilesParams(prefix)._asdict(),
                    sources=(source,),
                )
            ): _HOLDS[target.provides]
            for target, source, prefix in code_files(parts)
        }

    def _script(self, parts: PackageParts, base: LockedBase) -> list[str]:
        """A look into the entry script, if the server calls functions of it. It adds nothing to the image."""
        requires = parts.server.rule.file.requires
        script = parts.code.values["entry_script"] if parts.code is not None else None
        if parts.code is None or script is None or requires is None or not requires.functions:
            return []
        server = parts.server.rule.name
        python = minor_of(base.python) if base.python else None
        return [
            self._plan.add(
                Action(
                    id=f"{parts.code.id} {script} for {server} on {python}",
                    target=str(parts.code.label),
                    kind="entry_script",
                    title=f"{script} for {server}",
                    weight=0.01,
                    params=ScriptParams(requires.functions, server, python)._asdict(),
                    sources=(SourceSet(globbed(parts.code).directory, (literal(script),)),),
                )
            )
        ]

    def _account(self, parts: PackageParts, base: LockedBase, account: Account) -> str:
        return self._plan.add(
            Action(
                id=f"{parts.package.id} user {parts.user} on {base.target.label}",
                target=str(parts.package.label),
                kind="inline_layer",
                title=f"user {parts.user}",
                params=InlineParams(account.parts)._asdict(),
                weight=0.01,
            )
        )

    def _image(
        self, parts: PackageParts, base: LockedBase, account: Account, pins: Mapping[str, str], platform: str
    ) -> ImageParams:
        part, origins = parts.server_part, self._locks.origins(parts.placed)
        config: dict[str, Any] = {
            "environment": {**parts.environment(base.variables), **account.variables},
            "ports": parts.ports,
            "labels": {**standard_labels(parts, base, origins.values()), **parts.labels},
        }
        if part.entrypoint:
            config["entrypoint"] = part.entrypoint
        if part.cmd:
            config["cmd"] = part.cmd
        if part.working_dir:
            config["working_dir"] = part.working_dir
        if part.stop_signal:
            config["stop_signal"] = part.stop_signal
        if parts.user:
            config["user"] = parts.user
        labels = {f"buildrules.tag.{name}": value for name, value in (parts.package.values["tags"] or {}).items()}
        if parts.gpu is not None:
            labels["buildrules.gpu"] = parts.gpu
        labels |= card_labels(parts.placed, origins)
        labels |= resource_label(parts.package)
        named = [f"{model.name}:{model.version}" for model in parts.models if "name" in model.given]
        late = any(placed.mode == "download" for placed in parts.placed)
        return ImageParams(
            platform,
            config=config,
            labels=labels,
            routes=routes_of(parts),
            model=",".join(named) or None,  # a label's own name is a place in the workspace
            locks={name: digest for name, digest in pins.items() if digest},
            created=_epoch(self._epoch) if self._epoch else 0,
            launcher=launcher(base, parts.package) if late else (),
        )


def _wants_bytecode(parts: PackageParts) -> bool:
    """Whether bytecode is asked for in the image of a package."""
    return bool(parts.package.values["bytecode"] and (parts.env is None or parts.env.values.get("bytecode")))


def _digest(files: dict[str, str]) -> str:
    """Tells apart what one server writes for different packages."""
    return hex_digest(repr(sorted(files.items())).encode())[:12]


def _epoch(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise LoadError(f"SOURCE_DATE_EPOCH is not a number of seconds: {text!r:.100}", hint="unset it, or set it to 0")
    return int(text)
