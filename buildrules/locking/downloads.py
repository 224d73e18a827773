"""What a cold build has to download, as locks say it."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from buildrules.lints.gpu import is_for_gpu
from buildrules.locking.locks import LockedBase, LockedEnvironment, LockedModel, Locks

if TYPE_CHECKING:
    from buildrules.locking.python.locked import LockedPackage

WHEEL, SDIST, FILE = "wheel", "source archive", "file"
DEB, CONDA, PYTHON = "Debian package", "conda package", "Python"


class Download(NamedTuple):
    """One file: one of the kinds above, its distribution or path, sha256 (hex digits) and size; None if not known."""

    kind: str
    name: str
    sha256: str
    size: int | None
    gpu: bool = False


class Needed(NamedTuple):
    """What one lock has to be downloaded for: `path` is the lock's, `what` names it for people."""

    path: str
    what: str
    platform: str
    files: tuple[Download, ...]


def needed(locks: Locks) -> list[Needed]:
    """What each lock of bases, environments, servers and models brings, once, in the order of an image.

    Of images of others, whose layers only their registry knows, nothing is said.
    """
    parts = list(locks.packages.values())
    bases = [*locks.bases.values(), *(one.base for one in locks.environments.values()), *(one.base for one in parts)]
    bases = [one for base in bases for one in (base.below, base) if one is not None]
    environments = [*locks.environments.values(), *(one for part in parts for one in part.installed)]
    models = [model for label, model in locks.models.items() if label not in locks.sources]  # else fetched at start
    found = [*map(_of_base, bases), *(one for env in environments for one in _of_environment(env))]
    found += map(_of_model, models)
    by_path: dict[str, Needed] = {}
    for one in filter(lambda one: one.files, found):
        known = by_path.get(one.path, one)  # several have parts of a group's lock
        by_path[one.path] = known._replace(files=tuple(dict.fromkeys((*known.files, *one.files))))
    return list(by_path.values())


def _of_base(base: LockedBase) -> Needed:
    packages = base.lock.packages if base.lock is not None else ()
    files = tuple(Download(DEB, one.name, one.sha256, one.size) for one in packages)
    if base.standalone is not None and not base.standalone.path:
        files = (Download(PYTHON, base.standalone.python, base.standalone.sha256, None),)
    return Needed(next(iter(base.own_locks), ""), str(base.target.label), base.platform, files)


def _of_environment(env: LockedEnvironment) -> Iterator[Needed]:
    if env.conda is not None:
        packages = env.conda.lock.packages
        files = tuple(Download(CONDA, one.name, one.sha256, one.size) for one in packages if one.url)
        yield Needed(env.conda.path, f"the conda packages of {env.target.label}", env.base.platform, files)
    yield Needed(env.path, f"//{env.lock.folder}:{env.lock.name}", env.base.platform, tuple(wheels(env.added)))


def wheels(packages: "Iterable[LockedPackage]") -> Iterator[Download]:
    """The wheels and source archives of `packages` that are not in the workspace."""
    for one in packages:
        if one.file is not None and not one.file.path:
            kind = WHEEL if one.kind == "wheel" else SDIST
            yield Download(kind, one.name, one.file.sha256, one.file.size, is_for_gpu(one.name, one.version))


def _of_model(model: LockedModel) -> Needed:
    files = [*model.lock.archives, *(file for file in model.lock.files if file.archive is None)]
    found = tuple(Download(FILE, one.path, one.sha256, one.size) for one in files)
    return Needed(model.path, str(model.target.label), "", found)


def size_of(files: Iterable[Download]) -> int:
    """Bytes, as far as they are known, of files that are downloaded once each."""
    return sum({one.sha256: one.size or 0 for one in files}.values())
