"""Running a build back end, and judging the wheel it made."""

import os
import shutil
from collections.abc import Mapping
from typing import Any

from buildrules.actions.params import BuildWheelParams
from buildrules.actions.python.feeds import Feeds, build_environment, refused
from buildrules.actions.python.fetch import require_intact
from buildrules.actions.python.target import Target
from buildrules.actions.python.uvtool import interpreter_for, run_uv, write_lines
from buildrules.actions.python.versions import HINT, UNKNOWN, no_repository, unversioned
from buildrules.engine.kind import Context
from buildrules.engine.step import Step
from buildrules.errors import ActionError, FetchError

EPOCH = "315532800"  # 1980-01-01, the first moment a zip archive can name


def prepare(params: BuildWheelParams, step: Step, context: Context, folder: str) -> str:
    """A private copy, in `folder`, of what is to be built (back ends write into their source); returns its path."""
    if params.sdist is not None:
        sdist = dict(params.sdist)
        require_intact(context.blobs, sdist["sha256"], sdist["filename"])
        name = os.path.basename(sdist["filename"])
        place = os.path.join(folder, name)
        shutil.copyfile(context.blobs.checked(sdist["sha256"]), place)
        return place
    place = os.path.join(folder, f"{params.name}-{params.version}" if params.version else "source")
    os.mkdir(place)  # Versioneer reads the version off it (`parentdir_prefix`)
    for file in step.files:
        copy = os.path.join(place, file.name)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copyfile(os.path.join(context.workspace, file.path), copy)
        os.chmod(copy, file.mode)
    return place


def build(
    params: BuildWheelParams, places: Mapping[str, Any], source: str, target: Target, context: Context, folder: str
) -> str:
    """Build the wheel of `source` below `folder`; returns its path.

    Raises ActionError with the log, FetchError, CredentialsError.
    """
    out = os.path.join(folder, "out")
    arguments = ["build", "--wheel", "--no-create-gitignore", "--no-progress", "--out-dir", out]
    interpreter = interpreter_for(target.python_name) or interpreter_for(target.python_minor)
    if interpreter:
        arguments += ["--python", interpreter]
    if params.constraints:
        arguments += ["--build-constraints", write_lines(folder, "build-constraints.txt", list(params.constraints))]
    # The workspace's own uv.toml says where build back ends come from; its working folder would be a project.
    extra = {"SOURCE_DATE_EPOCH": EPOCH, "PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8", "UV_NO_SOURCES": "1"}
    feeds = Feeds.from_dict((places.get("index") or {}).get("feeds", {}))
    with build_environment(feeds, context.session.connections, context.blobs.tmp) as found:
        answer = run_uv(
            [*arguments, source],
            context.workspace,
            {**params.variables, **found, **extra},
            building=True,
            cancelled=lambda: context.cancelled,
        )
    log = answer.errors.replace(folder, "<build>")
    if answer.code:
        denied = refused(log, context.session.connections)
        if denied is not None:
            raise denied
        lowered = log.lower()
        if "failed to fetch" in lowered or "error sending request" in lowered:
            raise FetchError(f"the build back end of {params.name!r} could not be fetched", log=log)
        if params.sdist is None and (said := no_repository(log)) is not None:
            raise ActionError(unversioned(params.name), hint=HINT, log=said)
        hint = "choose a version that has a wheel for this platform, or build the wheel elsewhere and give its path"
        if not interpreter:
            hint = f"no Python {target.python_minor} is on this machine, and another was taken: install one, or {hint}"
        raise ActionError(f"{params.name!r} could not be built from source", hint=hint, log=log)
    wheels = [name for name in os.listdir(out) if name.endswith(".whl")]
    if len(wheels) != 1:
        raise ActionError(f"building {params.name!r} made {len(wheels)} wheels, not one", log=log)
    return os.path.join(out, wheels[0])


def check_version(path: str, params: BuildWheelParams) -> None:
    """Raise ActionError unless the wheel at `path`, of a project, has the version that is declared, or one at all."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        found = str(parse_wheel_filename(os.path.basename(path))[1])
    except InvalidWheelFilename:
        return  # `check_fits` says so
    if params.version not in ("", found):
        raise ActionError(
            f"{params.name!r} was built as version {found}, and its python_library says {params.version}",
            hint="leave `version` out if the project says one itself; its back end may have a variable of its own for"
            " it, to be given in `variables`",
        )
    if found == UNKNOWN:
        raise ActionError(unversioned(params.name), hint=HINT)


def check_fits(path: str, name: str, target: Target) -> None:
    """Raise ActionError unless the wheel at `path` is of `name`, and runs on `target`."""
    import platform
    import re
    import zipfile

    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

    filename = os.path.basename(path)
    try:
        found, _, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        raise ActionError(f"the build back end of {name!r} made {filename!r}, which is not a wheel") from None
    if found != canonicalize_name(name):
        raise ActionError(f"the source of {name!r} makes a wheel of {found!r}")
    if tags.isdisjoint(target.tags()):
        raise ActionError(
            f"{name!r} has native code, and this host builds it as {filename!r},"
            f" not for {target.platform} with Python {target.python_minor} and glibc {target.glibc}",
            hint=f"build the wheel on {target.platform} with Python {target.python_minor} and give its path,"
            " or choose a version that has a wheel",
        )
    if all(tag.platform == "any" for tag in tags):
        return
    if platform.machine() != target.machine:
        raise ActionError(f"{name!r} has native code of {platform.machine()}, the image is {target.platform}")
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if not re.search(r"\.so(\.[0-9.]+)?$", member):
                continue
            versions = {tuple(map(int, m)) for m in re.findall(rb"GLIBC_(\d+)\.(\d+)\b", archive.read(member))}
            newest = max(versions, default=(0, 0))
            if newest > target.glibc_version:
                raise ActionError(
                    f"{member!r} of {name!r}, built on this host, needs glibc {newest[0]}.{newest[1]},"
                    f" and the image has {target.glibc}",
                    hint="build the wheel on an older system and give its path, or use a newer base",
                )
