"""Packages for GPUs that a lock puts on a base without CUDA: said before gigabytes are fetched for nobody."""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from buildrules.actions.python.exclusion import Exclusion
from buildrules.actions.python.feeds import Feeds, uv_environment
from buildrules.actions.python.uvtool import compile_arguments, run_uv
from buildrules.lints.finding import Finding
from buildrules.lints.gpu import cpu_wheels, cuda_asked, cuda_versions, has_gpu, is_for_gpu, megabytes, ways_out
from buildrules.locking.downloads import size_of, wheels
from buildrules.locking.keeper import LockKeeper
from buildrules.locking.locks import LockedBase, LockedEnvironment
from buildrules.net.session import Session
from buildrules.rules.package import PackageParts, gpu_of
from buildrules.state.location import store_root
from buildrules.store.private_folder import private_folder

_SHOWN = 3
_LINT = "gpu_wheels"
_PINNED = re.compile(r"([A-Za-z0-9._-]+)==")
_ASKS = re.compile(r"\s+#\s+(?:via\s+)?([A-Za-z0-9._-]+)$")


@dataclass(slots=True)
class GpuWarnings:
    """Warns once for each lock that was made now. `packages` are all of the workspace: they say what is meant so."""

    keeper: LockKeeper
    packages: Collection[PackageParts]
    _done: set[str] = field(default_factory=set)
    _told: set[Finding] = field(default_factory=set)

    def look(self, env: LockedEnvironment, base: LockedBase) -> None:
        """Warn where `env` does not go with the GPU that is meant. Where none is, warn where it, or what a server adds
        to one, has packages for GPUs, and neither `base` nor a package that is made of it has CUDA's variables.
        Packages that leave out the lint `gpu_wheels` are content.
        """
        if env.path in self._done or env.path not in self.keeper.made:
            return
        self._done.add(env.path)
        label = env.target.label
        packages = [
            parts
            for parts in self.packages
            if label in {one.label for one in (parts.env or parts.model, parts.server) if one is not None}
        ]
        said = [*(parts.gpu for parts in packages), gpu_of(env.target)]
        if gpu := next(filter(None, said), None):
            self._fits(env, gpu)
        found = [one for one in env.added if is_for_gpu(one.name, one.version)]
        meant = (
            _LINT in parts.package.values["lint_ignore"] or has_gpu(parts.environment(base.variables))
            for parts in packages
        )
        if not found or gpu or has_gpu(base.variables) or any(meant):
            return
        names = [one.name for one in sorted(found, key=lambda one: -(one.file.size or 0) if one.file else 0)]
        asking = sorted(_asking(env, names, self.keeper.root, self.keeper.session))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        because = f"; {', '.join(asking)} {'asks' if len(asking) == 1 else 'ask'} for them" if asking else ""
        hints = ways_out(env.lock.versions(), names, asking or None)
        self.keeper.warn(
            f"{megabytes(size_of(wheels(found)))} of packages for GPUs are locked for {env.target.label}, and"
            f" {base.target.label} has no CUDA: {', '.join(names[:_SHOWN])}{more}{because}\n  hint: {'; '.join(hints)}"
        )

    def _fits(self, env: LockedEnvironment, gpu: str) -> None:
        """Warn of what does not go with the GPU that is meant, before it is fetched."""
        rows = [(one.name, one.version) for one in env.lock.packages]
        for finding in {*cpu_wheels(rows), *cuda_versions(rows, cuda_asked(gpu))} - self._told:
            self._told.add(finding)
            self.keeper.warn(f"{env.target.label}: {finding.message}\n  hint: {finding.hint}")


def _asking(env: LockedEnvironment, names: Collection[str], root: str, session: Session) -> set[str]:
    """Those of the lock's other packages whose metadata asks for one of `names`, as uv says it; empty if it cannot."""
    feeds = env.feeds or Feeds()
    pins = {one.name: one.version for one in env.lock.packages if not one.direct}
    lines = [f"{name}=={version}" for name, version in pins.items()]
    with private_folder(os.path.join(store_root(), "tmp")) as folder:
        arguments = compile_arguments(folder, lines, env.lock.target, form="requirements.txt")
        arguments += [*Exclusion(env.exclude, folder).arguments(), "--prerelease", "allow"]
        arguments += feeds.arguments(folder, pins, session.connections)
        answer = run_uv(arguments, root, uv_environment(feeds, session.connections))
    found: dict[str, set[str]] = {}
    name = ""
    for line in answer.output.splitlines():
        if pin := _PINNED.match(line):
            name = pin[1]
        elif name and (asks := _ASKS.fullmatch(line)):
            found.setdefault(name, set()).add(asks[1])
    return {one for name in names for one in found.get(name, ()) if not is_for_gpu(one)} & env.lock.versions().keys()
