"""From requirements to a lock, by uv, for the image's platform and Python."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from buildrules.actions.python.document import digest_of, files_of
from buildrules.actions.python.index import LockedFiles, remote_size
from buildrules.actions.python.uvtool import interpreter_for
from buildrules.errors import ResolutionError
from buildrules.locking.python.collector import Declared, Requirements
from buildrules.locking.python.lock import Lock
from buildrules.locking.python.locked import SDIST, LockedPackage
from buildrules.locking.python.numpy_abi import NUMPY_1, compiled_for_numpy_1
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.requirement import Requirement
from buildrules.locking.python.resolution import Resolution
from buildrules.net.session import Session
from buildrules.state.location import store_root
from buildrules.store.private_folder import private_folder


def make_lock(
    request: EnvironmentRequest,
    session: Session,
    *,
    existing: Lock | None = None,
    upgrade: bool | Collection[str] = False,
    portable: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> Lock:
    """Resolve `request` and lock every file.

    `existing` pins are kept where they still fit, except all (`upgrade=True`) or the named packages. With `portable`
    the lock has no urls of package indexes. `warn` is told what uv warns of, and which preferences did not fit.
    Raises ResolutionError with the resolver's reason in `log`, FetchError where an index cannot be reached,
    CredentialsError where a feed's secret cannot be read or is refused, LockError where what was found cannot be
    locked.
    """
    base = request.base
    named = frozenset(upgrade) if not isinstance(upgrade, bool) else frozenset[str]()
    keep = existing if upgrade is not True else None
    if keep and named:
        keep = replace(keep, packages=tuple(one for one in keep.packages if one.name not in named))
    known = [lock for lock in (base, keep) if lock]
    with private_folder(os.path.join(store_root(), "tmp")) as folder:  # requirements may hold passwords
        resolution = Resolution(request, session, folder, known, named, refresh=upgrade is True)
        data, packages = resolution.run()
        if compiled_for_numpy_1(packages):
            with contextlib.suppress(ResolutionError):  # NumPy 2 is asked for: then it is as it is
                data, packages = resolution.run(NUMPY_1)
        tried = set[str]()
        while request.target.free_threaded and (source := next(_sources(packages, tried), None)) is not None:
            # The newest releases often have no wheel for it, and hardly a machine has such a Python to build with.
            tried.add(source.name)
            with contextlib.suppress(ResolutionError):
                data, packages = resolution.run_with_wheel(source.name)
    packages = _settled(packages, data, request, session, known)
    if portable:
        packages = tuple(
            replace(one, file=replace(one.file, url=None)) if one.file and not one.direct else one for one in packages
        )
    _check_hashes(packages, request.asked)
    for text in (*resolution.said, *_deviations(packages, request), *_unbuildable(packages, request)):
        warn(text)
    below = base.pins() if base else ""
    return Lock(request.name, request.folder, request.target, request.digest(), packages, portable, below)


def _sources(packages: Sequence[LockedPackage], tried: Collection[str] = ()) -> Iterator[LockedPackage]:
    return (one for one in packages if one.kind == SDIST and one.name not in tried)


def _unbuildable(packages: Sequence[LockedPackage], request: EnvironmentRequest) -> Iterator[str]:
    """What is to be said of source archives that no Python of this machine may be able to build."""
    minor = request.target.python_name
    sources = [f"{one.name} {one.version}" for one in _sources(packages)]
    if sources and interpreter_for(minor) is None:
        yield (
            f"no wheel fits of {', '.join(sources)}, and this machine has no Python {minor} to build one: another"
            " Python will do only where nothing has to be compiled"
            f"\n  hint: install one (uv python install {minor}), or choose versions that have wheels"
        )


def _settled(
    packages: Sequence[LockedPackage],
    data: dict[str, Any],
    request: EnvironmentRequest,
    session: Session,
    known: Sequence[Lock],
) -> tuple[LockedPackage, ...]:
    """The packages of uv's document with files that are locked already, sizes, and what local projects ask for."""
    packages = tuple(replace(_known_file(one, data, known), index=_index(one, request)) for one in packages)
    packages = tuple(_sized(package, data, request.root, session) for package in packages)
    session.own(LockedFiles).remember(files_of(data))
    return tuple(_project(package, request) if package.directory is not None else package for package in packages)


def _project(package: LockedPackage, request: EnvironmentRequest) -> LockedPackage:
    """A directory with what its project asks for, and what is declared of it."""
    directory = package.directory or ""
    declared = request.asked.declared.get(directory, Declared())
    asks = request.local_projects().asking(directory).digest
    version = declared.version or package.version
    return replace(package, version=version, asks=asks, variables=declared.environment())


def needed(request: EnvironmentRequest, lock: Lock, direct: Sequence[Requirement], session: Session) -> tuple[str, ...]:
    """The names of the packages of `lock` that one of those it was made for, `request`, needs: all that it asks for
    itself, and what these ask for. `direct` is what any of them asked for by address or path.

    Raises as `make_lock`.
    """
    asked = request.asked
    own = {item.name for item in asked.items}
    others = [item for item in direct if item.name not in own]
    for constraints in ([], others):
        more = replace(
            request, limits=lock.from_indexes(), asked=replace(asked, constraints=[*asked.constraints, *constraints])
        )
        with private_folder(os.path.join(store_root(), "tmp")) as folder:
            try:
                _, packages = Resolution(more, session, folder, [lock], (), refresh=False).run()
            except ResolutionError:
                if constraints or not others:
                    raise
                continue
        found = {one.name: one.direct for one in packages}
        if not others or all((pinned := lock.get(name)) and pinned.direct == direct for name, direct in found.items()):
            break
    _check_hashes(packages, asked)
    return tuple(sorted(found))


def stale(lock: Lock, request: EnvironmentRequest, *, shared: bool = False) -> str | None:
    """Why `lock` no longer answers `request`, in words; None where it does. In one that is `shared` with others, these
    may have said which index a package comes from.
    """
    if lock.target != request.target:
        ours, theirs = lock.target.to_dict(), request.target.to_dict()
        changed = [f"{name} {ours[name]} -> {theirs[name]}" for name in ours if ours[name] != theirs[name]]
        return f"the base has changed: {', '.join(changed)}"
    if lock.inputs != request.digest():
        return _moved(lock, request.base) if request.base is not None else "the requirements have changed"
    projects = request.local_projects()
    for package in lock.packages:
        if package.directory is not None and package.asks != projects.asking(package.directory).digest:
            return f"the requirements have changed: the project in {package.directory or '.'!r} is not what it was"
        if package.index != (index := _index(package, request)) and (index or not shared):
            return f"{package.name} comes from {repr(index) if index else 'any index'} now"
    return None


def _index(package: LockedPackage, request: EnvironmentRequest) -> str:
    """The name of the one index that a package comes from, by what is asked for; "" where it is any."""
    source = request.assigned.get(package.name)
    return source.name if source is not None and not package.direct else ""


def _moved(lock: Lock, base: Lock) -> str:
    """Whether it is the requirements of a server or the lock below it that has changed."""
    below = os.path.join(base.folder, base.filename())
    if not lock.base:
        return f"the requirements have changed, or the lock '{below}' that it stands on"
    moved = lock.base != base.pins()
    return f"the lock '{below}' that it stands on has changed" if moved else "the requirements have changed"


def _known_file(package: LockedPackage, data: dict[str, Any], locks: Sequence[Lock]) -> LockedPackage:
    """The file that is locked already for the same version, as long as the index still has it."""
    if package.direct or package.file is None:
        return package
    for lock in locks:
        old = lock.get(package.name)
        if old is None or old.file is None or (old.version, old.kind) != (package.version, package.kind):
            continue
        tables = (table for table in data["packages"] if table["name"] == package.name)
        offered = {digest_of(wheel) for table in tables for wheel in table.get("wheels", [])}
        if old.file.sha256 != package.file.sha256 and old.file.sha256 in offered:
            return old
    return package


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


def _deviations(packages: Sequence[LockedPackage], request: EnvironmentRequest) -> Iterable[str]:
    """Where what is locked is not what another tool's lock has, in words."""
    for package in packages:
        preferred = request.asked.preferences.get(package.name)
        if preferred is not None and not package.direct and package.version != preferred:
            yield f"{package.name} {package.version} is locked, and {request.asked.preferred_by} has {preferred}"


def _check_hashes(packages: Sequence[LockedPackage], asked: Requirements) -> None:
    requirements = asked.all()
    files = {package.name: package.file for package in packages if package.file}
    if asked.require_hashes:
        given = {item.name for item in requirements if item.hashes}
        bare = [f"{package.name}=={package.version}" for package in packages if package.name not in given]
        if bare:
            first = next((item for item in requirements if f"{item.name}==" in bare[0]), None)
            raise ResolutionError(
                f"--require-hashes is given, and {', '.join(bare)} {'has' if len(bare) == 1 else 'have'} no hash",
                hint="write the hash of each with --hash (pip-compile --generate-hashes does), or remove the option",
                position=first.position if first else None,
            )
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
