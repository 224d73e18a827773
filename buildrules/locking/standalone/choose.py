"""Chooses the build of a Python: from the table of all, from a mirror's, or an archive of the workspace."""

import hashlib
import os
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from buildrules.actions.python.target import Target
from buildrules.credentials.redact import redact
from buildrules.engine.kind import Context
from buildrules.errors import IntegrityError, LoadError, ResolutionError
from buildrules.locking.standalone.archive import FORM, build_in
from buildrules.locking.standalone.builds import Build, Request, address_of, named, read_request, sums, table
from buildrules.locking.standalone.lock import InterpreterLock, is_folder, mirror_address
from buildrules.oci.parts.python import DROP, PREFIX, read
from buildrules.state.rows import open_regular
from buildrules.workspace.disk import Disk
from buildrules.workspace.loader import setting_position
from buildrules.workspace.root import check_inside

SUMS = "SHA256SUMS"
EXAMPLE = "cpython-3.12.15+20261021-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"


def make_lock(
    version: str,
    platform: str,
    context: Context,
    *,
    archive: str | None,
    mirror: str | None,
    portable: bool,
    glibc: str,
    inputs: str,
) -> InterpreterLock:
    """The lock of what a target asks for: the newest build there is of `version`, or the `archive` of the workspace.

    Of the table and of a mirror nothing is fetched but a list. Raises UsageError, ResolutionError for what there never
    was, FetchError, IntegrityError, LoadError for a file that is not there.
    """
    request, root = read_request(version), context.workspace
    machine = Target(platform, "3.8").machine
    if archive is not None:
        return _of_archive(archive, request, machine, root, glibc, inputs)
    found, folder = _known(mirror, context)
    build = pick(version, request, platform, [one for one in found if one.machine == machine], mirror, folder)
    url, path, sha256 = "", "", build.sha256
    if folder is not None:
        path = os.path.join(mirror, build.filename) if mirror is not None and is_folder(mirror) else ""
        if path:
            check_inside(root, path)
        if sha256 is None:
            sha256 = _digest(os.path.join(folder, build.filename), path or build.filename)
    elif not portable:
        url = address_of(build.build, build.filename, mirror)
    if sha256 is None:
        raise ResolutionError(
            f"nobody published the digest of {build.filename!r}, so it cannot be pinned",
            hint=f"take another patch of {version.rpartition('.')[0]}; or a mirror with a {SUMS} that has it",
        )
    dated = _published(build, sha256)
    return InterpreterLock(build.python, dated, build.flavour, build.filename, url, path, sha256, glibc, inputs)


def _published(build: Build, sha256: str) -> str:
    """The date of the release a file is of; "" for another file of that name: nothing but its digest tells them apart.

    Bytecode is told by that date, which is one for all architectures.
    """
    return build.build if any((one.filename, one.sha256) == (build.filename, sha256) for one in table()) else ""


def check_asked(version: str, platform: str, context: Context, *, archive: str | None, mirror: str | None) -> None:
    """Raise what `make_lock` raises where there is no such Python, without its lock."""
    request, machine = read_request(version), Target(platform, "3.8").machine
    if archive is not None:
        _of_archive(archive, request, machine, context.workspace, "", "")
    else:
        found, folder = _known(mirror, context)
        pick(version, request, platform, [one for one in found if one.machine == machine], mirror, folder)


def pinned(filename: str, mirror: str, context: Context) -> str | None:
    """The sha256 that a mirror's list, or the table, has of a file in a folder of the workspace; None where none has,
    or there is no such file.
    """
    if not os.path.isfile(os.path.join(context.workspace, mirror, filename)):
        return None
    return next((one.sha256 for one in _known(mirror, context)[0] if one.filename == filename), None)


def pick(
    version: str,
    request: Request,
    platform: str,
    builds: Iterable[Build],
    mirror: str | None = None,
    folder: str | None = None,
) -> Build:
    """The best build of what is asked for. Raises ResolutionError, which says what there is, and who was asked: the
    mirror, if there is one, which may be a `folder` here; else the table.
    """
    builds = list(builds)
    fitting = [one for one in builds if one.fits(request)]
    if fitting:
        return max(fitting, key=lambda one: one.rank)
    near = [one for one in builds if one.fits(request._replace(patch=None))]
    near = near or [one for one in builds if one.free_threaded == request.free_threaded] or builds
    newest: dict[tuple[int, int], Build] = {}
    for one in sorted(near, key=lambda one: one.rank):
        newest[one.version[:2]] = one
    have = ", ".join(one.python for one in newest.values())
    asked = "a newer pbs-installer may know more"
    if mirror is not None:
        asked = f"workspace.python.mirror is {redact(mirror)!r}: put a build of it there" + (
            "" if folder is not None else f", and a line into its {SUMS}; if it has none, {asked}"
        )
    raise ResolutionError(
        f"there is no Python {version} for {platform}" + (f" in {redact(mirror)!r}" if mirror is not None else ""),
        hint=f"the newest there {'are' if len(newest) > 1 else 'is'} {have}; {asked}"
        if have
        else _nothing(mirror, folder),
    )


def _nothing(mirror: str | None, folder: str | None) -> str | None:
    """The hint where a mirror has no build for a machine: where it was looked, what was seen, how files are named."""
    if mirror is None:
        return None
    seen = sorted(os.listdir(folder)) if folder is not None else []
    files = f"{len(seen)} file{'' if len(seen) == 1 else 's'}"
    have = f"it has {files}, such as {seen[0]!r}; " if seen else "it is empty; " if folder is not None else ""
    return (
        f"workspace.python.mirror is {redact(mirror)!r}: {have}files keep the names of python-build-standalone, such as"
        f" {EXAMPLE!r}; one of another name is for `archive`"
    )


def _known(mirror: str | None, context: Context) -> tuple[list[Build], str | None]:
    """The builds that the place has, as far as it says so, and the folder it is, where it is on this machine."""
    known = table()
    if mirror is None:
        return known, None
    address = mirror_address(mirror, context.workspace)
    listed = _listed(address, known, context)
    if not address.startswith("file:"):
        return listed or known, None
    folder = unquote(urlsplit(address).path)
    if is_folder(mirror):
        check_inside(context.workspace, mirror)
    if not os.path.isdir(folder):
        raise LoadError(
            f"there is no folder {mirror!r}",
            hint="make it, and put files of python-build-standalone there; or take workspace.python.mirror out",
            position=setting_position(Disk(context.workspace), "python", "mirror"),
        )
    digests = {one.filename: one.sha256 for one in (*known, *listed)}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise unreadable(mirror, error) from None
    there = (named(name, digests.get(name)) for name in names)
    return [one for one in there if one is not None], folder


def _listed(address: str, known: list[Build], context: Context) -> list[Build]:
    """What a mirror's SHA256SUMS says; nothing where it has none."""
    from buildrules.net.download import Stop, error_of, refused
    from buildrules.start.failure import MISSING, Failure

    url = f"{address.rstrip('/')}/{SUMS}"
    try:
        text = context.session.client.read(url, wait=Stop(context).pause).decode("utf-8", "replace")
    except Failure as failure:
        told = refused(failure, url, context)
        if told.reason == MISSING:
            return []
        error = error_of(told, f"cannot ask the mirror of Pythons: {redact(url)!r}: {told.text}", context.blobs)
        error.hint = error.hint or "check workspace.python.mirror and the network"
        raise error from None
    return sums(text, redact(url), known)


def _of_archive(archive: str, request: Request, machine: str, root: str, glibc: str, inputs: str) -> InterpreterLock:
    check_inside(root, archive)
    name = os.path.basename(archive)
    if os.path.isdir(os.path.join(root, archive)):
        raise LoadError(
            f"the archive {archive!r} is a folder",
            hint="name one file in it; or take all that lie there: workspace.python.mirror names a folder of builds",
        )
    try:
        with open(open_regular(os.path.join(root, archive)), "rb") as file:
            build = named(name) or build_in(file, request, archive)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(archive, error) from None
    if build.machine != machine or not build.fits(request):
        raise ResolutionError(
            f"{archive!r} is Python {build.python} for {build.machine}, not {_asked(request)} for {machine}",
            hint=f'write version: "{build.python}", or take another archive',
        )
    try:
        for _ in read(os.path.join(root, archive), build.python, PREFIX, DROP):
            pass  # to its end, as the build will
    except IntegrityError as error:
        raise IntegrityError(f"{archive!r} cannot be used: {error.message}", hint=FORM) from None
    dated = _published(build, sha256)
    return InterpreterLock(build.python, dated, build.flavour, name, "", archive, sha256, glibc, inputs)


def _digest(path: str, shown: str) -> str:
    """The sha256 (hex) of an archive in a mirror's folder. Raises LoadError."""
    try:
        with open(open_regular(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(shown, error) from None


def unreadable(path: str, error: OSError) -> LoadError:
    return LoadError(f"cannot read {path!r}: {(error.strerror or str(error)).lower()}")


def _asked(request: Request) -> str:
    patch = "" if request.patch is None else f".{request.patch}"
    return f"{request.minor[0]}.{request.minor[1]}{patch}{'t' if request.free_threaded else ''}"
