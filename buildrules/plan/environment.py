"""Plans Python environments, and the packages of a server on top of one."""

import posixpath
from typing import TYPE_CHECKING, Any

from buildrules.actions.params import BuildWheelParams, InlineParams, WheelParams
from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import Plan
from buildrules.locking.locks import LockedBase, LockedEnvironment
from buildrules.rules.contribution import VENV
from buildrules.rules.resolve import ResolvedTarget

if TYPE_CHECKING:
    from buildrules.actions.python.target import Target
    from buildrules.locking.python.locked import LockedPackage

_PREFIX = VENV.strip("/")
_BYTES_PER_SECOND = 60e6  # for weights only


class EnvironmentPlanner:
    """Plans the environments of one plan, each once. `root` is the workspace's, below which locks may have wheels."""

    def __init__(self, plan: Plan, root: str) -> None:
        self._plan = plan
        self._root = root
        self._done: dict[tuple[str, str, str], dict[str, str]] = {}

    def layers(self, env: LockedEnvironment) -> dict[str, str]:
        """The actions of the layers of an environment, or of what a server adds to one, in their order, with what they
        hold.
        """
        key = (env.path, str(env.target.label), str(env.base.target.label))
        if key not in self._done:
            self._done[key] = self._layers(env)
        return self._done[key]

    def _layers(self, env: LockedEnvironment) -> dict[str, str]:
        label, platform = str(env.target.label), env.base.platform
        if "+" in env.name:
            name, prefix = f"{env.lock.folder}:{env.name} {platform}", f"{env.target.rule.name}: "
        else:
            name, prefix = f"{label} {platform}", ""
        frame = self._venv(env.target, env.base, platform, env.base.python or "") if env.frame else {}
        return frame | self._wheels(env, label, name, prefix)

    def _venv(self, target: ResolvedTarget, base: LockedBase, platform: str, python: str) -> dict[str, str]:
        """The frame of the virtual environment (PEP 405): pyvenv.cfg and the links to the base's interpreter."""
        minor = ".".join(python.split(".")[:2])
        config = (
            f"home = {posixpath.dirname(base.interpreter)}\ninclude-system-site-packages = false\nversion = {python}\n"
        )
        links = ("python", "python3", f"python{minor}")
        parts: list[dict[str, Any]] = [
            {"kind": "inline", "path": f"{_PREFIX}/pyvenv.cfg", "mode": 0o644, "text": config},
            {"kind": "symlink", "path": f"{_PREFIX}/lib64", "target": "lib"},
        ]
        parts += [{"kind": "symlink", "path": f"{_PREFIX}/bin/{link}", "target": base.interpreter} for link in links]
        title = "virtual environment"
        action = Action(
            id=f"venv {base.interpreter} {python} {platform}",
            target=str(target.label),
            kind="inline_layer",
            title=title,
            params=InlineParams(parts)._asdict(),
            weight=0.01,
        )
        return {self._plan.add(action): title}

    def _wheels(self, env: LockedEnvironment, label: str, name: str, prefix: str) -> dict[str, str]:
        """The layers of a lock's packages. `prefix` tells layers shared by small wheels apart, for people."""
        from buildrules.plan.partition import partition

        packages, target = env.added, env.lock.target
        places = env.lock.places(self._root, env.feeds)
        fetched = [package.params() for package in packages if package.kind == "wheel"]
        holds = {}
        for words, group in partition(fetched):
            title = f"{prefix}{words}" if words.startswith("small") else words
            action = self._wheel_layer(title, [dict(wheel) for wheel in group], label, name, target, places)
            holds[self._plan.add(action)] = words
        for package in packages:
            if package.kind != "wheel":
                action_id = self._built_wheel(package, label, name, target, places, env.builder)
                holds[action_id] = f"{package.name} {package.version}".strip()
        return holds

    def _wheel_layer(
        self,
        title: str,
        wheels: list[dict[str, Any]],
        label: str,
        name: str,
        target: "Target",
        places: dict[str, Any],
        *,
        deps: tuple[str, ...] = (),
    ) -> Action:
        return Action(
            id=f"{name} {title}",
            target=label,
            kind="wheel_layer",
            title=title,
            params=WheelParams(
                [(wheel["filename"], wheel["sha256"]) for wheel in wheels], _PREFIX, target.python_minor
            )._asdict(),
            deps=deps,
            places={
                "urls": {wheel["filename"]: places["urls"].get(wheel["filename"], []) for wheel in wheels},
                "sizes": {wheel["filename"]: wheel["size"] for wheel in wheels},
                "index": places["index"],
            },
            weight=0.02 + sum(wheel["size"] or 0 for wheel in wheels) / _BYTES_PER_SECOND,
        )

    def _built_wheel(
        self, package: "LockedPackage", label: str, name: str, target: "Target", places: dict[str, Any], builder: str
    ) -> str:
        """A wheel made of a source archive, or of a folder of the workspace, in a layer of its own."""
        title = f"{package.name} {package.version}".strip()
        params = BuildWheelParams(package.name, package.version, target.to_dict(), builder)
        sources: tuple[SourceSet, ...] = ()
        if package.kind == "sdist":
            found = package.params()
            del found["size"]
            params = params._replace(sdist=found)
        else:
            sources = (SourceSet(package.directory or "", ("**",), (".venv/**", "dist/**", "build/**")),)
        build = self._plan.add(
            Action(
                id=f"{name} {title} wheel",
                target=label,
                kind="build_wheel",
                title=f"{title} from source",
                params=params._asdict(),
                sources=sources,
                places={**places, "asked": package.direct},
                weight=20.0,
            )
        )
        return self._plan.add(self._wheel_layer(title, [], label, name, target, places, deps=(build,)))
