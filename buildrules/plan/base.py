"""Plans bases: Debian roots and images of others."""

import os
from dataclasses import dataclass, field
from typing import Any

from buildrules.engine.action import Action
from buildrules.engine.plan import Plan
from buildrules.errors import BuildrulesError, ResolutionError
from buildrules.locking.keeper import LockKeeper, moves
from buildrules.rules.resolve import ResolvedTarget
from buildrules.workspace.settings import Settings

_GLIBC_OF_OTHERS = "2.28"  # what wheels for an image whose C library nobody declared may need at most


@dataclass(slots=True)
class Base:
    """A planned base: its action and what an environment on it has to know."""

    target: ResolvedTarget
    actions: list[str]
    python: str | None  # "3.11.2", or "3.11" where no more is known
    interpreter: str  # absolute path in the image
    glibc: str
    pins: str  # digest of what its lock pins it to, wherever the lock lies
    locks: dict[str, str] = field(default_factory=dict)  # workspace-relative path -> digest of the file
    variables: dict[str, str] = field(default_factory=dict)  # of the image it is, if it is one


class BasePlanner:
    """Plans the bases of one plan, each once per platform."""

    def __init__(self, plan: Plan, keeper: LockKeeper, settings: Settings) -> None:
        self._plan = plan
        self._keeper = keeper
        self._settings = settings
        self._done: dict[tuple[str, str], Base] = {}

    def base(self, target: ResolvedTarget, platform: str) -> Base:
        """The base `target` for `platform`. Raises what locking raises."""
        key = (str(target.label), platform)
        if key not in self._done:
            self._done[key] = (
                self._debian(target, platform)
                if target.rule.implementation == "debian_base"
                else self._image(target, platform)
            )
        return self._done[key]

    def _debian(self, target: ResolvedTarget, platform: str) -> Base:
        from buildrules.locking.debian import lock as locks
        from buildrules.locking.debian.request import Request

        settings = self._settings.debian
        values = target.values
        request = Request(
            name=target.label.name,
            suite=values["suite"] or settings.suite or "bookworm",
            architecture=platform.partition("/")[2],
            packages=tuple(values["packages"]),
            python=values["python"],
            snapshot=settings.snapshot,
        )
        mirrors = settings.model_dump(include={"mirror", "security_mirror", "keyring", "snapshot"})
        path = os.path.join(target.label.package, locks.lock_name(target.label.name, platform))
        absolute = os.path.join(self._keeper.root, path)
        lock = self._keeper.obtain(
            path,
            str(target.label),
            read=lambda: locks.read_lock(absolute),
            stale=lambda found: "what it is asked to hold has changed" if found.is_stale(request) else None,
            make=lambda _: locks.make_lock(request, mirrors, self._keeper.context),
            write=lambda made: locks.write_lock(made, absolute),
            describe=lambda old, new: moves(old.versions(), new.versions()),
        )
        action = Action(
            id=f"{target.label} {platform} base",
            target=str(target.label),
            kind="debian_layers",
            title=f"base {target.label.name}",
            params=locks.layer_params(lock),
            places=locks.layer_places(mirrors, path, str(target.label)),
            weight=3.0,
        )
        python = locks.python_version(lock)
        libc = next((one.version for one in lock.packages if one.name == "libc6"), "2.36")
        return Base(
            target=target,
            actions=[self._plan.add(action)],
            python=python[1] if python else None,
            interpreter=f"/usr/bin/python{python[0]}" if python else "",
            glibc=_numbers(libc),
            pins=locks.pins(lock),
            locks={path: self._keeper.digest(path)},
        )

    def _image(self, target: ResolvedTarget, platform: str) -> Base:
        from buildrules.locking.oci import lock as locks
        from buildrules.oci.reference import parse_reference

        values = target.values
        reference = self._reference(values)
        registry = self._settings.default_registry
        parsed = parse_reference(reference, registry)
        if values["digest"]:
            parsed = parsed.at(values["digest"])
        reference = str(parsed)  # with the host that default_registry gives it: another one is another image
        lock = locks.pinned(parsed, platform)
        used: dict[str, str] = {}
        if lock is None:
            path = os.path.join(target.label.package, locks.lock_name(target.label.name, platform))
            absolute = os.path.join(self._keeper.root, path)
            lock = self._keeper.obtain(
                path,
                str(target.label),
                read=lambda: locks.read_lock(absolute),
                stale=lambda found: "it is for another image" if found.stale(reference, platform) else None,
                make=lambda _: locks.make_lock(
                    reference,
                    platform,
                    self._keeper.context.blobs,
                    self._keeper.session,
                    root=self._keeper.root,
                    default_registry=registry,
                ),
                write=lambda made: locks.write_lock(absolute, made),
                describe=locks.changes,
            )
            used[path] = self._keeper.digest(path)
        action = Action(
            id=f"{target.label} {platform} base",
            target=str(target.label),
            kind="oci_base",
            title=f"base {target.label.name}",
            params={"digest": lock.digest, "platform": platform, "python": values["python"]},
            places={"reference": reference, "default_registry": registry},
            weight=1.0,
        )
        python, variables, declared = self._look_inside(action, values["python"])
        interpreter = values["interpreter"]
        if interpreter is None:
            interpreter = f"/usr/local/bin/python{'.'.join(python.split('.')[:2])}" if python else ""
            if values["python"] is not None and not declared:
                self._keeper.context.warn(
                    f"{target.label}: {interpreter} is taken to be its Python; nothing in the image says so, and"
                    " without it no environment on it works. `interpreter:` names another, or this one"
                )
        return Base(
            target, [self._plan.add(action)], python, interpreter, _GLIBC_OF_OTHERS, lock.digest, used, variables
        )

    def _reference(self, values: dict[str, Any]) -> str:
        if values["layout"] is not None:
            return f"oci-layout:{values['layout']}"
        return f"docker-daemon:{values['docker']}" if values["docker"] else str(values["image"])

    def _look_inside(self, action: Action, python: str | None) -> tuple[str | None, dict[str, str], bool]:
        """The image's Python, from its own config where the target does not say, its variables, and whether the config
        names a Python, as that of an image with one in the usual place does.
        """
        from buildrules.actions.oci_base import OciBase

        values = OciBase().run(action, [], [], self._keeper.context).values
        variables = dict(str(item).split("=", 1) for item in values["config"].get("Env") or () if "=" in str(item))
        return python or values["python_version"] or values["python"], variables, bool(values["python_version"])


def _numbers(version: str) -> str:
    """The first two numbers of a Debian version: "2.36" of "2.36-9+deb12u14"."""
    return ".".join(version.rpartition(":")[2].split("-")[0].split(".")[:2])


def need_python(base: Base, env: ResolvedTarget) -> str:
    """The base's Python. Raises ResolutionError where it has none."""
    if base.python is None:
        error: BuildrulesError = ResolutionError(
            f"the base {base.target.label} of {env.label} has no Python",
            hint='set `python: true` on a debian_base, or `python: "3.12"` on an oci_base',
            position=env.position_of("base"),
        )
        raise error
    return base.python
