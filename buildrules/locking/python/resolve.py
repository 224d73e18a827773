"""From requirements to a lock, by uv, for the image's platform and Python."""

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from buildrules.actions.python.document import digest_of, files_of
from buildrules.actions.python.feeds import uv_environment
from buildrules.actions.python.index import LockedFiles, remote_size
from buildrules.actions.python.uvtool import Answer, compile_arguments, failure, run_uv, write_lines
from buildrules.errors import CredentialsError, ResolutionError
from buildrules.locking.python.lock import Lock, lock_text
from buildrules.locking.python.locked import LockedPackage
from buildrules.locking.python.numpy_abi import NUMPY_1, compiled_for_numpy_1
from buildrules.locking.python.request import Request
from buildrules.locking.python.requirement import Requirement
from buildrules.locking.python.select import select
from buildrules.net.session import Session
from buildrules.state.location import store_root
from buildrules.store.private_folder import private_folder

_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_NOT_FOUND = re.compile(r"\b(\S+) was not found in the package registry|no versions of (\S+)")


def make_lock(
    request: Request,
    session: Session,
    *,
    existing: Lock | None = None,
    upgrade: bool | Collection[str] = False,
    portable: bool = False,
) -> Lock:
    """Resolve `request` and lock every file.

    `existing` pins are kept where they still fit, except all (`upgrade=True`) or the named packages. With `portable`
    the lock has no urls of package indexes. Raises ResolutionError with the resolver's reason in `log`,
    FetchError where an index cannot be reached, CredentialsError where a feed's secret cannot be read or is refused,
    LockError where what was found cannot be locked.
    """
    import tomllib

    base = request.base
    keep = existing if upgrade is not True else None
    named = frozenset(upgrade) if not isinstance(upgrade, bool) else frozenset[str]()
    if keep and named:
        rest = tuple(package for package in keep.packages if package.name not in named)
        keep = Lock(keep.name, keep.folder, keep.target, keep.inputs, rest, keep.portable)
    with private_folder(os.path.join(store_root(), "tmp")) as folder:  # requirements may hold passwords
        output = os.path.join(folder, "pylock.toml")
        _preferences(output, [lock for lock in (base, keep) if lock])
        requirements = [item.line(request.root) for item in request.requirements]
        arguments = [*compile_arguments(folder, requirements, request.target), "--output-file", output]
        constraints = [item.line(request.root) for item in request.constraints] + _pins(base)
        arguments += ["--constraints", write_lines(folder, "constraints.txt", constraints)] if constraints else []
        excludes = [*request.exclude]
        arguments += ["--excludes", write_lines(folder, "excludes.txt", excludes)] if excludes else []
        arguments += ["--prerelease", "allow"] if request.prerelease else []
        if not os.environ.get("UV_OFFLINE"):  # uv refuses to refresh what it may not fetch
            arguments += ["--refresh"] if upgrade is True else []
            for name in sorted(named):
                arguments += ["--refresh-package", name]

        def run() -> tuple[dict[str, Any], tuple[LockedPackage, ...]]:
            answer = run_uv(arguments, request.root, uv_environment(request.feeds, session.connections))
            if answer.code:
                raise _explained(answer, request, session)
            with open(output, "rb") as file:
                data = tomllib.load(file)
            what = f"the lock of {request.name!r}"
            return data, tuple(select(data, request.target, request.root, folder, what=what, fresh=True))

        data, packages = run()
        if compiled_for_numpy_1(packages):
            arguments += ["--constraints", write_lines(folder, "numpy.txt", [NUMPY_1])]
            with contextlib.suppress(ResolutionError):  # NumPy 2 is asked for: then it is as it is
                data, packages = run()
    known = [lock for lock in (base, keep) if lock]
    packages = tuple(_known_file(package, data, known) for package in packages)
    packages = tuple(_sized(package, data, request.root, session) for package in packages)
    session.own(LockedFiles).remember(files_of(data))
    if portable:
        packages = tuple(_without_url(package) for package in packages)
    _check_hashes(packages, [*request.requirements, *request.constraints])
    return Lock(request.name, request.folder, request.target, request.digest(), packages, portable)


def stale(lock: Lock, request: Request) -> str | None:
    """Why `lock` no longer answers `request`, in words; None where it does."""
    if lock.target != request.target:
        ours, theirs = lock.target.to_dict(), request.target.to_dict()
        changed = [f"{name} {ours[name]} -> {theirs[name]}" for name in ours if ours[name] != theirs[name]]
        return f"the base has changed: {', '.join(changed)}"
    if lock.inputs != request.digest():
        return "the requirements have changed"
    return None


def _preferences(output: str, locks: Sequence[Lock]) -> None:
    """Where uv finds an output file, it prefers the versions in it."""
    packages: dict[str, LockedPackage] = {}
    for lock in locks:
        for package in lock.packages:
            if not package.direct:
                packages.setdefault(package.name, package)
    if packages:
        merged = Lock("preferences", "", locks[0].target, "", tuple(packages.values()))
        with open(output, "w", encoding="utf-8") as file:
            file.write(lock_text(merged))


def _pins(base: Lock | None) -> list[str]:
    if base is None:
        return []
    return [f"{package.name}=={package.version}" for package in base.packages if package.version and not package.direct]


def _known_file(package: LockedPackage, data: dict[str, Any], locks: Sequence[Lock]) -> LockedPackage:
    """The file that is locked already for the same version, as long as the index still has it."""
    if package.direct or package.file is None:
        return package
    for lock in locks:
        old = lock.get(package.name)
        if old is None or old.file is None or (old.version, old.kind) != (package.version, package.kind):
            continue
        if old.file.sha256 != package.file.sha256 and old.file.sha256 in _offered(package.name, data):
            return old
    return package


def _offered(name: str, data: dict[str, Any]) -> set[str]:
    return {
        digest_of(wheel) for table in data["packages"] if table["name"] == name for wheel in table.get("wheels", [])
    }


def _sized(package: LockedPackage, data: dict[str, Any], root: str, session: Session) -> LockedPackage:
    """With the size of the file, which older indexes do not tell."""
    file = package.file
    if file is None or file.size is not None:
        return package
    if file.path:
        size = os.path.getsize(os.path.join(root, file.path))
    else:
        urls = [entry.get("url") for entry in files_of(data) if digest_of(entry) == file.sha256]
        size = remote_size(str(urls[0]), root, file.filename, session)
    return replace(package, file=replace(file, size=size))


def _without_url(package: LockedPackage) -> LockedPackage:
    if package.direct or package.file is None:
        return package
    return replace(package, file=replace(package.file, url=None))


def _check_hashes(packages: Sequence[LockedPackage], requirements: Iterable[Requirement]) -> None:
    files = {package.name: package.file for package in packages if package.file}
    for item in requirements:
        file = files.get(item.name)
        wanted = {value.removeprefix("sha256:").lower() for value in item.hashes if value.startswith("sha256:")}
        if file and item.hashes and file.sha256 not in wanted:
            raise ResolutionError(
                f"{file.filename!r} has none of the hashes given for {item.name!r}",
                hint="add its hash, or update the hashes",
                position=item.position,
                log=f"found sha256:{file.sha256}",
            )


def _explained(answer: Answer, request: Request, session: Session) -> Exception:
    """The error for a failed resolution, with who asked for what."""
    error = failure(answer, f"resolve the requirements of {request.title()}", session.connections)
    if "No solution found" not in answer.errors or isinstance(error, CredentialsError):
        return error
    named = {_canonical(word) for word in _WORD.findall(answer.errors)}
    askers = []
    for item in request.requirements:
        if item.name in named or item.local:
            askers.append(f"  {item.text}: {item.where()}")
    for item in request.constraints:
        if item.name in named:
            askers.append(f"  {item.text} (constraint): {item.where()}")
    asked = {item.name for item in request.requirements}
    pinned = []
    for package in request.base.packages if request.base else ():
        if package.name in named:
            because = "" if package.name in asked else ", because something in it depends on it"
            pinned.append(f"  {package.name}=={package.version}: locked for {request.base_asker}{because}")
    lines = [answer.errors]
    if askers or pinned:
        lines += ["", "who asked:", *dict.fromkeys(askers), *pinned]
    hint = _hint(answer.errors, request, bool(pinned))
    return ResolutionError(
        f"the requirements of {request.title()} cannot be satisfied together", hint=hint, log="\n".join(lines)
    )


def _hint(errors: str, request: Request, conflict: bool) -> str | None:
    missing = {_canonical(one or two) for one, two in _NOT_FOUND.findall(errors)}
    for item in request.requirements:
        if item.conda and item.name in missing:
            return (
                f"there is no wheel named {item.name!r} for the conda package {item.conda!r} ({item.position}):"
                f" list the wheel under 'pip', or leave it out with exclude: [{item.conda}]"
            )
    if conflict:
        return f"change the pins of {request.base_asker}, or choose another version of the server"
    return None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
