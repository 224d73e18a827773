"""Why a resolver found no answer, with who asked for what."""

import re
from collections.abc import Callable, Collection

from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from buildrules.actions.python.uvtool import Answer, failure
from buildrules.actions.python.versions import HINT, no_repository, unversioned
from buildrules.errors import CredentialsError, ResolutionError
from buildrules.lints.gpu import connection_of_torch, of_torch
from buildrules.locking.python.conda_file import SOLVER
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.requirement import Requirement
from buildrules.net.session import Session

_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_NOT_FOUND = re.compile(r"\b(\S+) was not found in the package registry|no versions of (\S+)")
_BUILD = re.compile(r"==[^+,;]*\+([a-z0-9.]+)")
_PYTHON = re.compile(
    r"Python\s+version\s+\(\S+\)\s+does\s+not\s+satisfy\s+Python(\S+)|requires\s+Python\s+([<>=!~]\S*)"
)
_BESIDE = re.compile(r"relative path without a working directory: (\S+)\s+(\S+) @")
_BUILT = re.compile(r"Failed to build `([^ `]+)")


def words_in(text: str) -> list[str]:
    """What may be names of packages in a text."""
    return _WORD.findall(text)


def explained(
    answer: Answer, request: EnvironmentRequest, session: Session, last: Callable[[str], str | None]
) -> Exception:
    """The error for a failed resolution, with who asked for what. `last` finds the last version of a distribution that
    supports the request's Python.
    """
    built = _BUILT.search(answer.errors)
    if built is not None and (said := no_repository(answer.errors)) is not None:
        return ResolutionError(unversioned(built[1]), hint=HINT, log=said)
    beside = _BESIDE.search(answer.errors)
    if built is not None and beside is not None:
        return ResolutionError(
            f"{built[1]!r} asks for {beside[2]!r} by the path '{beside[1]}', which only pip in its folder understands",
            hint=f'ask for "{beside[2]}", and say where in its pyproject.toml: [tool.uv.sources] {beside[2]} ='
            f' {{path = "{beside[1]}"}}',
            log=answer.errors,
        )
    error = failure(answer, f"resolve the requirements of {request.title()}", session.connections)
    if "No solution found" not in answer.errors or isinstance(error, CredentialsError):
        return error
    absent = {canonicalize_name(one or two) for one, two in _NOT_FOUND.findall(answer.errors)}
    for name in sorted(absent & request.assigned.keys()):
        source = request.assigned[name]
        return ResolutionError(
            f"{source.named()} does not have {name!r}, which comes from there only",
            hint=f"publish it there, or take {name!r} out of {source.said_in()}",
            log=answer.errors,
        )
    named = {canonicalize_name(word) for word in words_in(answer.errors)}
    askers = [f"  {name} comes from {one.named()} only" for name, one in request.assigned.items() if name in named]
    for item in request.asked.items:
        if item.name in named or item.local:
            askers.append(f"  {item.text}: {item.where()}")
    for item in request.asked.constraints:
        if item.name in named:
            askers.append(f"  {item.text} (constraint): {item.where()}")
    askers += [f"  {name}=={version}: conda brings it" for name, version in request.provided.items() if name in named]
    asked = {item.name for item in request.asked.items}
    pinned = []
    for package in request.base.packages if request.base else ():
        if package.name in named:
            because = "" if package.name in asked else ", because something in it depends on it"
            pinned.append(f"  {package.name}=={package.version}: locked for {request.base_asker}{because}")
    lines = [answer.errors]
    if askers or pinned:
        lines += ["", "who asked:", *dict.fromkeys(askers), *pinned]
    hint = _older(answer.errors, named, request, last) or _hint(absent, named, request, bool(pinned))
    if hint is None and any(item.conda and item.name in named for item in request.asked.items):
        hint = f"change what is asked for; or {SOLVER}"
    return _other_than_conda(answer.errors, named, request) or ResolutionError(
        f"the requirements of {request.title()} cannot be satisfied together", hint=hint, log="\n".join(lines)
    )


def _other_than_conda(log: str, named: Collection[str], request: EnvironmentRequest) -> ResolutionError | None:
    """The error for a version that is asked for where conda brings another one."""
    for item in request.asked.items:
        brought = request.provided.get(item.name)
        if brought is None or item.name not in named or item.local:
            continue
        if not Parsed(item.text).specifier.contains(brought, prereleases=True):
            return ResolutionError(
                f"{item.text!r} asks for another {item.name} than conda brings, which is {brought}",
                hint=f"take it out of the pip list; or ask conda for another: {item.name}=VERSION in `dependencies`",
                position=item.position,
                log=log,
            )
    return None


def _older(
    log: str, named: Collection[str], request: EnvironmentRequest, last: Callable[[str], str | None]
) -> str | None:
    """The way out where the versions that are asked for do not support the Python: those that do, or another Python."""
    found = _PYTHON.search(log)
    if found is None:
        return None
    others = []
    for item in request.asked.items:
        if item.name in named and not item.local and (specifier := Parsed(item.text).specifier):
            version = last(item.name)
            if version is not None and not specifier.contains(version, prereleases=True):
                others.append(f"{item.name} {version}")
    if not others:
        return None
    are = "is" if len(others) == 1 else "are"
    return (
        f"{', '.join(others)} {are} the last for Python {request.target.python_minor};"
        f" or choose a base with Python {found[1] or found[2]}"
    )


def _hint(missing: Collection[str], named: Collection[str], request: EnvironmentRequest, conflict: bool) -> str | None:
    for item in request.asked.items:
        if item.conda and item.name in missing:
            return (
                f"there is no wheel named {item.name!r} for the conda package {item.conda!r} ({item.position}):"
                f" list the wheel under 'pip', or leave it out with exclude: [{item.conda}]; or {SOLVER}"
            )
    for item in request.asked.items:
        if item.name in named and (build := _BUILD.search(item.text)) is not None:
            return _other_index(build[1], item, request)
    if conflict:
        return f"change the pins of {request.base_asker}, or choose another version of the server"
    return None


def _other_index(build: str, item: Requirement, request: EnvironmentRequest) -> str:
    """The way out for a build of a version ("cpu" of 2.9.1+cpu) that the indexes asked do not have."""
    if item.name in request.assigned:
        return f"{request.assigned[item.name].named()} does not have it: ask for a version that it has"
    if of_torch([item.name]):
        packages = ", ".join(of_torch(dict.fromkeys(one.name for one in request.asked.items)))
        return f"PyTorch has '+{build}' on an index of its own: {connection_of_torch(packages, build)}"
    return (
        f"'+{build}' is a build that another index may have: name it in a python_feed under workspace.connections, with"
        f" packages: [{item.name}]; or ask for {item.text.replace(f'+{build}', '')}"
    )
