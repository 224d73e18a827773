"""Action "python_layer": a CPython that runs anywhere above its glibc becomes one layer, straight from its archive.

Params: `InterpreterParams`. Places: `standalone`, see `locking.standalone.lock.places`.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from buildrules.actions.pack import SMALL_LEVEL, progress_of
from buildrules.actions.params import InterpreterParams, read
from buildrules.engine.action import Outputs
from buildrules.engine.kind import Context, Row, Traits
from buildrules.engine.step import Step
from buildrules.errors import BuildrulesError, FetchError, GoneError, IntegrityError
from buildrules.net.download import Download, fetch_all
from buildrules.net.session import Session
from buildrules.oci import recipe
from buildrules.oci.assemble import assemble
from buildrules.oci.local import Local
from buildrules.start.transfer import PATIENCE


def _content(step: Step) -> list[Row]:
    return [{"kind": "python", "digest": f"sha256:{read(InterpreterParams, step.params).sha256}"}]


class PythonLayer:
    """See the module."""

    name = "python_layer"
    version = 1
    traits = Traits(content=_content)

    def run(self, step: Step, context: Context) -> Outputs:
        """The layer. Raises IntegrityError for an archive that is damaged, hostile or of another version, GoneError."""
        sha256, python, prefix, drop = read(InterpreterParams, step.params)
        part = recipe.python(f"sha256:{sha256}", python, prefix, list(drop))
        try:
            local = Local(context.blobs)
            layer = assemble(recipe.gzip([part], SMALL_LEVEL), local, progress_of(context, step.title))
        except FileNotFoundError as error:
            raise GoneError(f"the archive of {step.title!r} vanished from the store", hint="build again") from error
        return Outputs(layers=[layer])


class _Fetches:
    """What one session asks for: an archive that many steps need is fetched, or fails, once in a build."""

    def __init__(self, _: Session) -> None:
        self._failed: dict[str, tuple[Context, BuildrulesError]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def fetch(self, digest: str, places: Mapping[str, Any], context: Context) -> None:
        with self._locks.setdefault(digest, threading.Lock()):
            if context.blobs.right(digest):
                return
            asked, error = self._failed.get(digest, (None, None))
            if asked is context and error is not None:
                raise error
            try:
                _fetch(digest, places, context)
            except (FetchError, IntegrityError) as failure:
                self._failed[digest] = (context, failure)
                raise


def fetch_interpreters(parts: Sequence[Row], places: Mapping[str, Any], context: Context) -> None:
    """Bring archives (`digest`) into the store. Raises GoneError, IntegrityError, FetchError."""
    for part in parts:
        if not context.blobs.right(part["digest"]):
            known = places.get("standalone") or {}
            found = known.get(part["digest"].removeprefix("sha256:")) or {}
            context.session.own(_Fetches).fetch(part["digest"], found, context)


def _fetch(digest: str, places: Mapping[str, Any], context: Context) -> None:
    filename, lock, mirror = (str(places.get(name) or "") for name in ("filename", "lock", "mirror"))
    command = f"'buildrules lock {places.get('label') or ''}".rstrip() + "'"
    try:
        fetch_all([Download(places.get("urls") or (), digest, None, filename, "Python")], context)
    except GoneError as error:
        error.hint = (
            f"put {filename!r} into workspace.python.mirror, take the setting out, or run {command}"
            if mirror
            else f"run {command} for a version that there is, or name a place that has it in workspace.python.mirror"
        )
        raise
    except FetchError as error:
        if not mirror and error.hint in (None, PATIENCE):
            error.hint = (
                f"{PATIENCE}; or name a mirror in workspace.python.mirror, or a file you have as `archive`; or take "
                "a Python that Debian has, such as 3.11, with a `debian_base`, or an image's with an `oci_base`: for "
                "files of Azure ML --python 3.11 or --base IMAGE"
            )
        raise
    except IntegrityError as error:
        raise IntegrityError(
            f"{filename!r} is not the file that {lock!r} pins: {error.message}",
            hint=f"the place it comes from is broken or not to be trusted; if it was made anew, run {command}",
        ) from None
