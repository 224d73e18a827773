"""Plans the layers of code and files, and the image that joins everything."""

import hashlib
import os
from typing import Any

from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import Goal, Plan
from buildrules.errors import LoadError
from buildrules.plan.base import Base, BasePlanner
from buildrules.plan.environment import Environment, EnvironmentPlanner
from buildrules.plan.info import package_info, routes_of
from buildrules.plan.linting import plan_lints
from buildrules.plan.model import ModelPlanner, launcher
from buildrules.plan.overlap import Laid, check_overlap, paths_of
from buildrules.plan.sources import globbed, literal
from buildrules.rules.contribution import Contribution
from buildrules.rules.package import PackageParts
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.labels import Label
from buildrules.workspace.settings import Settings


class PackagePlanner:
    """Plans model packages. Everything two packages share is planned once."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        bases: BasePlanner,
        environments: EnvironmentPlanner,
        models: ModelPlanner,
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._bases = bases
        self._environments = environments
        self._models = models
        self.tests: dict[Label, list[ResolvedTarget]] = {}  # targets that test a package, which its lints look at

    def package(self, parts: PackageParts, platform: str) -> Goal:
        """The image of a package. Raises what locking raises, LoadError for what cannot be placed."""
        base = self._bases.base(parts.base, platform)
        parts = self._environments.completed(parts, base)
        env = Environment({}, None)
        name = parts.base.label.name
        if parts.env is not None:
            env = self._environments.environment(parts.env, base, platform)
            name = parts.env.label.name
        server = self._environments.server(parts.server, parts.server_part, base, env, name, platform)
        deps = dict.fromkeys(base.actions, "base")
        deps |= env.holds | server.holds
        deps |= self._extra_layers(parts.server, parts.server_part, platform)
        if parts.server_part.files:
            deps[self._generated(parts.server, parts.server_part.files)] = "server files"
        files = self._files(parts.package)
        self._check_overlap(parts)
        models = self._models.actions(parts.placed, parts.package)
        code = self._code(parts)
        deps |= dict.fromkeys(files, "files") | models | dict.fromkeys(code, "scoring code")
        deps |= dict.fromkeys(self._script(parts, base), "entry script")
        plan_lints(
            self._plan,
            parts,
            platform,
            base,
            (env, server),
            models=list(models),
            code=code,
            files=files,
            tests=self.tests.get(parts.package.label, ()),
        )
        label = str(parts.package.label)
        locks = {**base.locks, **env.locks, **server.locks, **self._models.locks.digests(parts.placed)}
        pins = {"base": base.pins, "environment": env.pins, "server": server.pins}
        action = Action(
            id=f"{label} {platform} image",
            target=label,
            kind="image",
            title=f"image of {label}",
            params=self._image(parts, base, pins, platform),
            deps=tuple(deps),
            roles=tuple(deps.values()),
            weight=0.01,
        )
        self._plan.add(action)
        return Goal(
            label,
            platform,
            action.id,
            "image",
            package_info(parts, self._settings.name, locks, self._models.locks.versions(parts.placed)),
        )

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
                id=f"{server.label} generated {' '.join(sorted(files))} {_digest(files)}",
                target=str(server.label),
                kind="inline_layer",
                title=f"{server.rule.name} files",
                params={"parts": parts},
            )
        )

    def _files(self, package: ResolvedTarget) -> list[str]:
        """Extra files, each place in the image a layer of its own."""
        actions = []
        for place, path in sorted((package.values["files"] or {}).items()):
            source, prefix = self._models.path_source(path, place.strip("/"), keep=False)
            actions.append(
                self._plan.add(
                    Action(
                        id=f"{package.label} file {place}",
                        target=str(package.label),
                        kind="files_layer",
                        title=f"files {place}",
                        params={"prefix": prefix},
                        sources=(source,),
                    )
                )
            )
        return actions

    def _code_source(self, parts: PackageParts) -> tuple[SourceSet, str] | None:
        """The files of the code, and the prefix they go below."""
        if parts.code is None or parts.server_part.code_directory is None:
            return None
        return globbed(parts.code), parts.server_part.code_directory.strip("/")

    def _code(self, parts: PackageParts) -> list[str]:
        found = self._code_source(parts)
        if found is None or parts.code is None:
            return []
        source, prefix = found
        return [
            self._plan.add(
                Action(
                    id=f"{parts.code.label} code {prefix}",
                    target=str(parts.code.label),
                    kind="files_layer",
                    title=f"code {parts.code.name}",
                    weight=0.02,
                    params={"prefix": prefix},
                    sources=(source,),
                )
            )
        ]

    def _check_overlap(self, parts: PackageParts) -> None:
        """Raise LoadError where two of models, inputs and code bring the same file."""
        laid = [self._models.laid(placed, parts.package) for placed in parts.placed]
        if len(parts.inputs) and (code := self._code_source(parts)) is not None and parts.code is not None:
            paths = paths_of(self._models.root, *code)
            laid.insert(0, Laid(f"code {parts.code.label}", code[1], paths, parts.package.position_of("code")))
        if len(laid) > 1:
            check_overlap(laid)

    def _script(self, parts: PackageParts, base: Base) -> list[str]:
        """A look into the entry script, if the server calls functions of it. It adds nothing to the image."""
        requires = parts.server.rule.file.requires
        script = parts.code.values["entry_script"] if parts.code is not None else None
        if parts.code is None or script is None or requires is None or not requires.functions:
            return []
        server = parts.server.rule.name
        python = ".".join(base.python.split(".")[:2]) if base.python else None
        return [
            self._plan.add(
                Action(
                    id=f"{parts.code.label} {script} for {server} on {python}",
                    target=str(parts.code.label),
                    kind="entry_script",
                    title=f"{script} for {server}",
                    weight=0.01,
                    params={"functions": requires.functions, "server": server, "python": python},
                    sources=(SourceSet(globbed(parts.code).directory, (literal(script),)),),
                )
            )
        ]

    def _image(self, parts: PackageParts, base: Base, pins: dict[str, str], platform: str) -> dict[str, Any]:
        part = parts.server_part
        config: dict[str, Any] = {
            "environment": parts.environment(base.variables),
            "ports": parts.ports,
            "labels": parts.labels,
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
        params: dict[str, Any] = {
            "config": config,
            "platform": platform,
            "routes": routes_of(parts),
            "labels": labels,
            "locks": {name: digest for name, digest in pins.items() if digest},
        }
        named = [f"{model.name}:{model.version}" for model in parts.models if model.values.get("name")]
        if named:  # a label's own name is a place in the workspace
            params["model"] = ",".join(named)
        if any(placed.mode == "download" for placed in parts.placed):
            params["launcher"] = launcher(base, parts.package)
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch:
            params["created"] = _epoch(epoch)
        return params


def _digest(files: dict[str, str]) -> str:
    """Tells apart what one server writes for different packages."""
    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:12]


def _epoch(text: str) -> int:
    if not text.isdigit():
        raise LoadError(f"SOURCE_DATE_EPOCH is not a number of seconds: {text!r}", hint="unset it, or set it to 0")
    return int(text)
