"""Locks bases: Debian roots, images of others, which are looked into, and interpreters on either."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from buildrules.actions.params import BaseParams
from buildrules.actions.python.target import minor_of, number_of
from buildrules.engine.step import Step
from buildrules.errors import BuildrulesError, GoneError, Interrupted, ResolutionError, UsageError
from buildrules.locking.keeper import LockKeeper, moves
from buildrules.locking.locks import LockedBase
from buildrules.oci.descriptor import Layer
from buildrules.rules.chain import LIBRARIES, below
from buildrules.rules.resolve import Resolution, ResolvedTarget
from buildrules.serving.platform import host_platform
from buildrules.sha256 import digest_of
from buildrules.workspace.disk import CONTENT
from buildrules.workspace.labels import Label
from buildrules.workspace.root import check_inside
from buildrules.workspace.settings import Settings

if TYPE_CHECKING:
    from buildrules.locking.standalone.lock import InterpreterLock

BUILDERS = ("linux/amd64", "linux/arm64")  # machines that interpreters are had for
_FORMS = {"layout": "oci-layout:", "docker": "docker-daemon:", "image": ""}
"""The attributes that name an image, and how references to it begin."""
_GLIBC_OF_OTHERS = "2.28"  # what wheels for an image whose C library nobody declared may need at most


@dataclass(slots=True)
class BaseLocks:
    """The bases of one workspace, each looked at once per platform."""

    keeper: LockKeeper
    settings: Settings
    resolution: Resolution
    _done: dict[tuple[str, str, str], LockedBase] = field(default_factory=dict)
    _shared: set[Label] = field(default_factory=set)  # labels of interpreters and the Debian below them alike

    def of(self, target: ResolvedTarget, platform: str) -> LockedBase:
        """The base `target` for `platform`. Raises what locking raises."""
        key = (str(target.label), target.rule.reference, platform)  # a base that nobody wrote has another's label
        if key not in self._done:
            kinds = {"debian_base": self._debian, "python_standalone": self._standalone}
            found = kinds.get(str(target.rule.implementation), self._image)(target, platform)
            self._done[key] = self._compiled(found) if self.settings.python.bytecode else found
        return self._done[key]

    def _compiled(self, base: LockedBase) -> LockedBase:
        """A base with how sources are compiled for it. Where they are not that is said: of an image of others, about
        which nothing here can be done, by the reports of the images on it.
        """
        from buildrules.locking.bytecode import bytecode

        if base.python is None:
            return base
        host = host_platform()
        try:
            here = base if base.platform == host else self.of(base.target, host) if host in BUILDERS else None
            return replace(base, bytecode=bytecode(base, here, self.settings, self.keeper.context))
        except BuildrulesError as error:
            if isinstance(error, Interrupted):
                raise
            if base.digest:
                return replace(base, uncompiled=error.message)
            if not isinstance(error, (ResolutionError, UsageError)):  # as where an image has no such platform
                raise
            self.keeper.context.warn(
                f"{base.target.label} for {base.platform}: no bytecode is put into its images: {error.message}"
            )
            return base

    def _standalone(self, target: ResolvedTarget, platform: str) -> LockedBase:
        from buildrules.locking.standalone import lock as locks
        from buildrules.locking.standalone.builds import read_request
        from buildrules.locking.standalone.choose import check_asked, make_lock
        from buildrules.oci.parts.python import PREFIX, interpreter_of

        lower = below(target, self.resolution)
        assert lower is not None
        if lower.rule.implementation == target.rule.implementation:
            raise target.error(
                "base",
                f"{target.label} stands on {lower.label}, which is a Python already",
                "name a base that has a C library and no more, or leave `base` out",
            )
        version, archive, mirror = target.values["version"], target.values["archive"], self.settings.python.mirror
        path = os.path.join(target.label.package, locks.lock_name(target.lock_name, platform))
        asks = "version" if archive is None else "archive"
        with target.errors_at("version"):
            read_request(version)
        if self.keeper.misses(path):  # before what is below has a lock, which would be of a target that cannot be
            with target.errors_at(asks):
                check_asked(version, platform, self.keeper.context, archive=archive, mirror=mirror)
        if lower.label == target.label:
            self._shared.add(target.label)
        under = self.of(lower, platform)
        image = under if under.lock is None else None
        inputs = locks.inputs_digest(version, platform, archive, image.digest if image else "")

        def make(_: locks.InterpreterLock | None) -> locks.InterpreterLock:
            missing = [name for name in LIBRARIES if under.lock is not None and name not in under.lock.versions()]
            if missing:  # a Debian that somebody wrote lacks what wheels find outside of an interpreter
                self.keeper.warn(
                    f"the base of {target.label} has no {', '.join(missing)}, which many wheels need: name them in its"
                    " `packages`, or leave `base` out"
                )
            return make_lock(
                version,
                platform,
                self.keeper.context,
                archive=archive,
                mirror=mirror,
                portable=self.settings.locks.portable,
                glibc=self._glibc(image) if image else "",
                inputs=inputs,
            )

        other = "another Python, or one on another image, is asked for"
        with target.errors_at(asks):
            lock = self.keeper.obtain(
                path,
                f"the interpreter of {target.label}",
                read=locks.read_lock,
                stale=lambda found: (found.inputs != inputs and other) or self._replaced(target, found),
                make=make,
                write=locks.write_lock,
                of=target.label,
                describe=lambda old, new: moves({"python": old.python}, {"python": new.python}),
            )
        number, free_threaded = number_of(lock.python)
        return LockedBase(
            target=target,
            platform=platform,
            python=number,
            interpreter=f"/{PREFIX}/bin/{interpreter_of(lock.python)}",
            glibc=lock.glibc or under.glibc,
            pins=digest_of(f"{under.pins} {lock.sha256}".encode()),
            locks={**under.locks, path: self.keeper.digest(path)},
            variables=under.variables,
            standalone=lock,
            below=under,
            free_threaded=free_threaded,
        )

    def _replaced(self, target: ResolvedTarget, lock: "InterpreterLock") -> str | None:
        """Why the file of the workspace that a lock pins is another one now; None where it is not, or there is none.

        Raises LoadError where the target's archive cannot be read.
        """
        from buildrules.locking.standalone.choose import SUMS, pinned, unreadable

        mirror = self.settings.python.mirror
        if not lock.path or (target.values["archive"] is None and os.path.dirname(lock.path) != mirror):
            return None
        listed = None
        if target.values["archive"] is None:
            assert mirror is not None
            self.keeper.disk.by(target.label).note(CONTENT, lock.path, f"{mirror}/{SUMS}")
            listed = pinned(lock.filename, mirror, self.keeper.context)
            if listed is None and not os.path.isfile(os.path.join(self.keeper.root, lock.path)):
                return None
        try:
            found = listed or self.keeper.file_digest(lock.path, target.label)
        except OSError as error:
            raise unreadable(lock.path, error) from None
        return f"{lock.path!r} is another file" if found != lock.sha256 else None

    def _glibc(self, image: LockedBase) -> str:
        from buildrules.locking.standalone.libc import glibc_of

        registry = self.settings.default_registry
        places = {"reference": image.reference, "digest": image.digest, "default_registry": registry}
        return glibc_of(str(image.target.label), image.platform, places, self.keeper.context)

    def _debian(self, target: ResolvedTarget, platform: str) -> LockedBase:
        from buildrules.locking.debian import lock as locks
        from buildrules.locking.debian.request import DebianRequest

        settings = self.settings.debian
        values = target.values
        request = DebianRequest(
            name=target.lock_name,
            suite=values["suite"] or settings.suite or "bookworm",
            architecture=platform.partition("/")[2],
            packages=tuple(values["packages"]),
            python=values["python"],
            snapshot=settings.snapshot,
        )
        path = os.path.join(target.label.package, locks.lock_name(target.lock_name, platform))
        lock = self.keeper.obtain(
            path,
            f"the Debian packages of {target.label}" if target.label in self._shared else str(target.label),
            read=locks.read_lock,
            stale=lambda found: "what it is asked to hold has changed" if found.is_stale(request) else None,
            make=lambda _: locks.make_lock(request, settings.mirrors(), self.keeper.context),
            write=locks.write_lock,
            of=target.label,
            describe=lambda old, new: moves(old.versions(), new.versions()),
        )
        python = locks.python_version(lock)
        libc = lock.versions().get("libc6", "2.36").rpartition(":")[2]
        return LockedBase(
            target=target,
            platform=platform,
            python=python[1] if python else None,
            interpreter=f"/usr/bin/python{python[0]}" if python else "",
            glibc=minor_of(libc.split("-")[0]),
            pins=locks.pins(lock),
            locks={path: self.keeper.digest(path)},
            lock=lock,
        )

    def _image(self, target: ResolvedTarget, platform: str) -> LockedBase:
        from buildrules.locking.oci import lock as locks
        from buildrules.oci.reference import parse_reference

        values = target.values
        if values["layout"] is not None:
            for name in ("index.json", "blobs/sha256"):
                check_inside(self.keeper.root, f"{values['layout']}/{name}")
        registry = self.settings.default_registry
        kind = next(name for name in _FORMS if values[name] is not None)
        parsed = parse_reference(_FORMS[kind] + str(values[kind]), registry)
        if values["digest"]:
            parsed = parsed.at(values["digest"])
        reference = str(parsed)  # with the host that default_registry gives it: another one is another image
        lock = locks.pinned(parsed, platform)
        used: dict[str, str] = {}
        if lock is None:
            path = os.path.join(target.label.package, locks.lock_name(target.lock_name, platform))
            lock = self.keeper.obtain(
                path,
                str(target.label),
                read=locks.read_lock,
                stale=lambda found: "it is for another image" if found.stale(reference, platform) else None,
                make=lambda _: locks.make_lock(
                    reference,
                    platform,
                    self.keeper.context,
                    root=self.keeper.root,
                    default_registry=registry,
                ),
                write=locks.write_lock,
                of=target.label,
                describe=locks.changes,
            )
            used[path] = self.keeper.digest(path)
        with _own_digest(target, kind) if not used else nullcontext():
            python, variables, declared, layers = self._look_inside(lock.digest, reference, platform, values["python"])
        interpreter = values["interpreter"]
        if interpreter is None:
            interpreter = f"/usr/local/bin/python{minor_of(python)}" if python else ""
            if values["python"] is not None and not declared:
                self.keeper.context.warn(
                    f"{target.label}: {interpreter} is taken to be its Python; nothing in the image says so, and"
                    " without it no environment on it works. `interpreter:` names another, or this one"
                )
        return LockedBase(
            target=target,
            platform=platform,
            python=python,
            interpreter=interpreter,
            glibc=_GLIBC_OF_OTHERS,
            pins=lock.digest,
            locks=used,
            digest=lock.digest,
            reference=reference,
            variables=variables,
            layers=layers,
        )

    def _look_inside(
        self, digest: str, reference: str, platform: str, python: str | None
    ) -> tuple[str | None, dict[str, str], bool, list[Layer]]:
        """The image's Python, from its own config where the target does not say, its variables, whether the config
        names a Python, as that of an image with one in the usual place does, and its layers.
        """
        from buildrules.actions.oci_base import OciBase

        step = Step(
            kind=OciBase.name,
            version=OciBase.version,
            title="base",
            params=BaseParams(digest, platform, python)._asdict(),
            places={"reference": reference, "default_registry": self.settings.default_registry},
        )
        made = self.keeper.context.run(step)
        values = made.values
        variables = dict(str(item).split("=", 1) for item in values["config"].get("Env") or () if "=" in str(item))
        said = values["python_version"]
        return python or said or values["python"], variables, bool(said), made.layers


@contextmanager
def _own_digest(target: ResolvedTarget, kind: str) -> Iterator[None]:
    """Say where the digest of an image that is not there stands: the target has it, and no lock."""
    with target.errors_at("digest" if target.values["digest"] else kind):
        try:
            yield
        except GoneError as error:
            error.hint = "correct the digest; or leave it out, and the lock has that of the image as it is now"
            raise


def need_python(base: LockedBase, env: ResolvedTarget) -> str:
    """The base's Python. Raises ResolutionError where it has none."""
    if base.python is None:
        raise ResolutionError(
            f"the base {base.target.label} of {env.label} has no Python",
            hint='set `python: true` on a debian_base or `python: "3.12"` on an oci_base, or take a python_standalone',
            position=env.position_of("base"),
        )
    return base.python
