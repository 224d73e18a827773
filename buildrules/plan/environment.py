"""Plans Python environments, and the packages of a server on top of one."""

import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from buildrules.actions.params import BuildWheelParams, InlineParams, InstalledParams, WheelParams
from buildrules.actions.python.target import minor_of
from buildrules.engine.action import Action, SourceSet
from buildrules.engine.plan import Plan
from buildrules.locking.conda.lock import PREFIX
from buildrules.locking.locks import LockedBase, LockedEnvironment
from buildrules.rules.contribution import VENV
from buildrules.rules.resolve import ResolvedTarget

if TYPE_CHECKING:
    from buildrules.locking.python.locked import LockedPackage

_PREFIX = VENV.strip("/")
_SMALL, _SMALL_SPEED, _SPEED = 12e6, 12e6, 80e6  # bytes, and bytes a second: of large wheels most is one library


class EnvironmentPlanner:
    """Plans the environments of one plan, each once. `root` is the workspace's, below which locks may have wheels."""

    def __init__(self, plan: Plan, root: str) -> None:
        self._plan = plan
        self._root = root
        self._done: dict[tuple[str, str, str], dict[str, str]] = {}
        self.preferred: set[str] = set()  # layers that are laid over all others of an image

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
        frame = {}
        if env.frame and env.conda is not None:
            from buildrules.plan.conda import conda_layers

            frame = {self._plan.add(action): action.title for action in conda_layers(env, env.conda.lock, self._root)}
        elif env.frame:
            frame = self._venv(env.target, env.base, platform, env.base.python or "")
        return frame | self._wheels(env, label, name, prefix)

    def installed(self, envs: "Sequence[LockedEnvironment]", layers: Sequence[str]) -> str:
        """A look at the wheels of `layers`, those of an environment and a server on it, as they are in one image."""
        from packaging.utils import canonicalize_name

        env, last = envs[0], envs[-1]
        found = [env.lock.places(self._root, env.feeds) for env in envs]
        exclude = sorted({canonicalize_name(name) for name in env.exclude})
        params = InstalledParams(last.lock.target.to_dict(), exclude, sorted(env.prefer))
        return self._plan.add(
            Action(
                id=f"{env.lock.folder}:{last.name} {env.target.label} {last.base.platform} installed",
                target=str(env.target.label),
                kind="installed",
                title=f"check of what is installed, {last.name}",
                params=params._asdict(),
                deps=tuple(name for name in layers if self._plan.actions[name].kind in ("wheel_layer", "conda_layer")),
                places={key: {**found[0][key], **found[-1][key]} for key in ("urls", "sizes")}
                | {"index": found[-1]["index"]},
                weight=0.5,
            )
        )

    def _venv(self, target: ResolvedTarget, base: LockedBase, platform: str, python: str) -> dict[str, str]:
        """The frame of the virtual environment (PEP 405): pyvenv.cfg and the links to the base's interpreter."""
        minor = minor_of(python)
        config = (
            f"home = {posixpath.dirname(base.interpreter)}\ninclude-system-site-packages = false\nversion = {python}\n"
        )
        links = ("python", "python3", f"python{minor}", *([f"python{minor}t"] if base.free_threaded else []))
        parts: list[dict[str, Any]] = [
            {"kind": "inline", "path": f"{_PREFIX}/pyvenv.cfg", "mode": 0o644, "text": config},
            {"kind": "symlink", "path": f"{_PREFIX}/lib64", "target": "lib"},
        ]
        parts += [{"kind": "symlink", "path": f"{_PREFIX}/bin/{link}", "target": base.interpreter} for link in links]
        title = "virtual environment"
        action = Action(
            id=f"venv {base.target.label} {platform}",
            target=str(target.label),
            kind="inline_layer",
            title=title,
            params=InlineParams(parts)._asdict(),
            weight=0.01,
        )
        return {self._plan.add(action): title}

    def _wheels(self, env: LockedEnvironment, label: str, name: str, prefix: str) -> dict[str, str]:
        """The layers of a lock's packages. `prefix` tells layers shared by small wheels apart, for people."""
        from buildrules.plan.partition import BUDGET, partition

        budget = BUDGET
        if env.conda is not None:
            from buildrules.plan.conda import LAYERS

            budget -= LAYERS
        packages = env.added
        places = env.lock.places(self._root, env.feeds)
        fetched = [package.params() for package in packages if package.kind == "wheel"]
        holds = {}
        groups = partition([wheel for wheel in fetched if wheel["name"] not in env.prefer], budget)
        groups += [(f"{it['name']} {it['version']}", [it]) for it in fetched if it["name"] in env.prefer]
        for words, group in groups:
            title = f"{prefix}{words}" if words.startswith("small") else words
            what = words if words.startswith("small") else group[0]["name"]
            action = self._wheel_layer(what, title, [dict(wheel) for wheel in group], label, name, env, places)
            holds[self._plan.add(action)] = words
            if group[0]["name"] in env.prefer:
                self.preferred.add(action.id)
        for package in packages:
            if package.kind != "wheel":
                action_id = self._built_wheel(package, label, name, env, places)
                holds[action_id] = f"{package.name} {package.version}".strip()
                if package.name in env.prefer:
                    self.preferred.add(action_id)
        return holds

    def _wheel_layer(
        self,
        what: str,
        title: str,
        wheels: list[dict[str, Any]],
        label: str,
        name: str,
        env: LockedEnvironment,
        places: dict[str, Any],
        *,
        deps: tuple[str, ...] = (),
    ) -> Action:
        """A layer of wheels. `what` tells it from others of its lock, also when versions are others."""
        return Action(
            id=f"{name} {what}",
            target=label,
            kind="wheel_layer",
            title=title,
            params=WheelParams(
                [(wheel["filename"], wheel["sha256"]) for wheel in wheels],
                PREFIX if env.conda is not None else _PREFIX,
                env.lock.target.python_name,
            )._asdict(),
            deps=deps,
            places={
                "urls": {wheel["filename"]: places["urls"].get(wheel["filename"], []) for wheel in wheels},
                "sizes": {wheel["filename"]: wheel["size"] for wheel in wheels},
                "index": places["index"],
            },
            weight=0.02 + sum(_seconds(wheel["size"] or 0) for wheel in wheels),
        )

    def _built_wheel(
        self, package: "LockedPackage", label: str, name: str, env: LockedEnvironment, places: dict[str, Any]
    ) -> str:
        """A wheel made of a source archive, or of a folder of the workspace, in a layer of its own."""
        title = f"{package.name} {package.version}".strip()
        target = env.lock.target
        params = BuildWheelParams(package.name, package.version, target.to_dict(), env.builder)
        params = params._replace(variables=dict(package.variables))
        sources: tuple[SourceSet, ...] = ()
        if package.kind == "sdist":
            found = package.params()
            del found["size"]
            params = params._replace(sdist=found)
        else:
            sources = (env.sources[package.directory or ""],)
        build = self._plan.add(
            Action(
                id=f"{name} {package.name} wheel",
                target=label,
                kind="build_wheel",
                title=f"{title} from source",
                params=params._asdict(),
                sources=sources,
                places={**places, "asked": package.direct},
                weight=20.0,
            )
        )
        return self._plan.add(self._wheel_layer(package.name, title, [], label, name, env, places, deps=(build,)))


def _seconds(size: int) -> float:
    """What laying a wheel of so many bytes takes, for weights."""
    return min(size, _SMALL) / _SMALL_SPEED + max(0.0, size - _SMALL) / _SPEED
