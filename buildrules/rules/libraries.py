"""Libraries, with those they need: code that a package names, and projects that an environment installs."""

from collections.abc import Iterable

from buildrules.errors import LoadError
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.workspace.labels import Label


def code_libraries(resolution: Resolution, package: ResolvedTarget, env: ResolvedTarget | None) -> list[ResolvedTarget]:
    """The libraries of a package's `code`, all of files. Raises LoadError for a project that is not installed."""
    named = [label for label in package.deps.get("code") or () if resolution.of(label).provides == "library"]
    installed = _with_deps(resolution, env.deps.get("libraries") or ()) if env is not None else {}
    found = _with_deps(resolution, named)
    for label, target in found.items():
        if _is_project(target) and (label in named or label not in installed):
            raise LoadError(
                f"{label} is a project, which is installed into an environment",
                hint=f'write `libraries: ["{label}"]` on {env.label if env is not None else "a python_env"}'
                + (", and leave it out here" if label in named else ""),
                position=package.position_of("code"),
            )
    return [target for target in found.values() if not _is_project(target)]


def installed_projects(resolution: Resolution, env: ResolvedTarget) -> list[ResolvedTarget]:
    """The projects that a python_env installs. Raises LoadError for a library that is none."""
    found = _with_deps(resolution, env.deps.get("libraries") or ())
    for label, target in found.items():
        if not _is_project(target):
            raise LoadError(
                f"{label} is made of files, which are no part of an environment",
                hint=f'write `code: ["{label}"]` on the packages that use it; or give it a `project`',
                position=env.position_of("libraries"),
            )
    return list(found.values())


def _is_project(target: ResolvedTarget) -> bool:
    return target.values["project"] is not None


def _with_deps(resolution: Resolution, labels: Iterable[Label]) -> dict[Label, ResolvedTarget]:
    """These targets and all they need, each once."""
    found: dict[Label, ResolvedTarget] = {}
    waiting = list(labels)
    while waiting:
        label = waiting.pop(0)
        if label not in found:
            found[label] = resolution.of(label)
            waiting += found[label].deps.get("deps") or ()
    return found
