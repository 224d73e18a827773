"""Libraries, with those they need: code that a package names, and projects that an environment installs."""

from buildrules.rules.resolve import Resolution, ResolvedTarget


def code_libraries(resolution: Resolution, package: ResolvedTarget, env: ResolvedTarget | None) -> list[ResolvedTarget]:
    """The libraries of a package's `code`, all of files. Raises LoadError for a project that is not installed."""
    named = [label for label in package.deps.get("code") or () if resolution.of(label).provides == "library"]
    installed = resolution.closure(env.deps.get("libraries") or (), "deps") if env is not None else {}
    found = resolution.closure(named, "deps")
    for label, target in found.items():
        if _is_project(target) and (label in named or label not in installed):
            raise package.error(
                "code",
                f"{label} is a project, which is installed into an environment",
                f'write `libraries: ["{label}"]` on {env.label if env is not None else "a python_env"}'
                + (", and leave it out here" if label in named else ""),
            )
    return [target for target in found.values() if not _is_project(target)]


def installed_projects(resolution: Resolution, env: ResolvedTarget) -> list[ResolvedTarget]:
    """The projects that a python_env installs. Raises LoadError for a library that is none."""
    found = resolution.closure(env.deps.get("libraries") or (), "deps")
    for label, target in found.items():
        if not _is_project(target):
            raise env.error(
                "libraries",
                f"{label} is made of files, which are no part of an environment",
                f'write `code: ["{label}"]` on the packages that use it; or give it a `project`',
            )
    return list(found.values())


def _is_project(target: ResolvedTarget) -> bool:
    return target.values["project"] is not None
