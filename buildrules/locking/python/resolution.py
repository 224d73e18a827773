"""One request, put to uv as often as it takes: an answer may show what was missing in the question."""

import os
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from buildrules.actions.python.equivalents import served_by
from buildrules.actions.python.exclusion import Exclusion
from buildrules.actions.python.feeds import uv_environment
from buildrules.actions.python.uv_settings import left_out, machine_settings
from buildrules.actions.python.uvtool import Answer, compile_arguments, run_uv, warnings_in, write_lines
from buildrules.errors import ResolutionError
from buildrules.locking.python.assigned import Assigned, empty_wheel
from buildrules.locking.python.explained import explained, words_in
from buildrules.locking.python.lock import Lock, lock_text
from buildrules.locking.python.locked import WHEEL, LockedFile, LockedPackage
from buildrules.locking.python.opened import Opened
from buildrules.locking.python.request import EnvironmentRequest
from buildrules.locking.python.select import select
from buildrules.net.session import Session


class Resolution:
    """The questions of one `request`; `folder` takes files for uv. `said` is what the user is to be told afterwards.

    The versions of the locks in `known` are preferred, but for packages in `named`, which are asked for anew; with
    `refresh` all are. Raises as `resolve.make_lock` says.
    """

    def __init__(
        self,
        request: EnvironmentRequest,
        session: Session,
        folder: str,
        known: Sequence[Lock],
        named: Collection[str],
        *,
        refresh: bool,
    ) -> None:
        self._request, self._session, self._folder = request, session, folder
        self._known, self._named = known, named
        self._output, self._copies = os.path.join(folder, "pylock.toml"), os.path.join(folder, "ws")
        self._projects, asked = request.local_projects(), request.asked
        self._projects.copy(asked.all(), self._copies)
        requirements = [item.line(self._copies) for item in asked.items]
        self._arguments = compile_arguments(folder, requirements, request.target)
        self._arguments += ["--output-file", self._output, *(["--prerelease", "allow"] if asked.prerelease else [])]
        self._arguments += _refresh(named, everything=refresh)
        self._constraints = [(item.name, item.line(self._copies)) for item in asked.constraints]
        pins = {**(request.base.from_indexes() if request.base is not None else {}), **request.limits}
        self._constraints += [(name, f"{name}=={version}") for name, version in pins.items()]
        self._constraints += [
            (name, f"{name} @ {empty_wheel(folder, name, version)}") for name, version in request.provided.items()
        ]
        self._excluded = Exclusion([*asked.exclude, *_served(request.base)], folder)
        self._assigned = Assigned(request, folder)
        builds = {declared.name: declared.environment() for declared in asked.declared.values()}
        machine, self._left = machine_settings(request.root, folder, builds)
        self._left += [f"{name} is left out: a lock follows from the workspace" for name in left_out()]
        self._opened = Opened(folder)
        feeds = uv_environment(request.feeds, session.connections)
        self._environment = {**feeds, **machine, **self._opened.environment()}
        self._write_preferences()
        self.said: list[str] = []
        self._limits: tuple[str, ...] = ()
        self._wheels: list[str] = []

    def run_with_wheel(self, name: str) -> tuple[dict[str, Any], tuple[LockedPackage, ...]]:
        """As `run` did last, but with a wheel of the package `name`; where there is none, it is as if never asked."""
        self._wheels.append(name)
        try:
            return self.run(*self._limits)
        except ResolutionError:
            self._wheels.remove(name)
            raise

    def run(self, *limits: str) -> tuple[dict[str, Any], tuple[LockedPackage, ...]]:
        """uv's document (PEP 751) and the packages in it, with requirements as more `limits`."""
        answer = self._ask(limits)
        while answer.code and (
            self._projects.copy_missing(answer.errors, self._copies) or self._excluded.met(words_in(answer.errors))
        ):
            answer = self._ask(limits)
        folders = [item.text for item in self._request.asked.items if item.local] if answer.code else []
        outside = self._projects.beyond(answer.errors, self._copies, folders)
        answer = replace(answer, errors=self._assigned.told(answer.errors, self._copies, self._folder))
        if outside is not None:
            raise ResolutionError(
                f"a project that {self._request.title()} installs reads {outside!r}, which lies outside of its folder",
                hint="put a link to it in the project's folder, and let the project read it there",
                log=answer.errors,
            )
        if answer.code:
            raise explained(answer, self._request, self._session, self._last)
        with open(self._output, "rb") as file:
            data = tomllib.load(file)
        data["packages"] = [one for one in data["packages"] if one["name"] not in self._request.provided]
        if self._excluded.met(str(table["name"]) for table in data["packages"]):
            return self.run(*limits)
        if self._assigned.turned_up(data):
            self._write_preferences()
            return self.run(*limits)
        self._limits = limits
        self.said = [*self._left, *self._opened.told(), *warnings_in(answer.errors)]
        what = f"the lock of {self._request.name!r}"
        return data, tuple(select(data, self._request.target, self._copies, self._folder, what=what, fresh=True))

    def _last(self, name: str) -> str | None:
        """The last version of a distribution that supports the request's Python; None where there is none.

        With --no-deps uv takes versions for other Pythons as well, and of several at once what fits together.
        """
        folder = os.path.join(self._folder, "last")
        os.makedirs(folder, exist_ok=True)
        output = os.path.join(folder, f"pylock.{name}.toml")
        arguments = [*compile_arguments(folder, [name], self._request.target), "--output-file", output]
        if run_uv(arguments, self._request.root, self._environment).code:
            return None
        with open(output, "rb") as file:
            tables = tomllib.load(file).get("packages", ())
        return next((table.get("version") for table in tables if table["name"] == name), None)

    def _ask(self, limits: Sequence[str]) -> Answer:
        arguments = [*self._arguments, *self._excluded.arguments(), *self._assigned.arguments(self._constraints)]
        arguments += [f"--only-binary={name}" for name in self._wheels]
        arguments += ["--constraints", write_lines(self._folder, "limits.txt", limits)] if limits else []
        return run_uv(arguments, self._request.root, self._environment)

    def _write_preferences(self) -> None:
        """Where uv finds an output file, it prefers the versions in it. Those of another tool's lock come first."""
        request = self._request
        packages: dict[str, LockedPackage] = {}
        kept = {name: one for name, one in request.asked.preferences.items() if name not in self._named}
        for name, version in {**kept, **request.preferred}.items():
            filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
            nowhere = LockedFile(filename, "0" * 64)  # nobody looks for it
            packages[name] = LockedPackage(name, version, WHEEL, nowhere)
        for lock in self._known:
            for package in lock.packages:
                if not package.direct:
                    packages.setdefault(package.name, package)
        if packages:
            merged = Lock("preferences", "", request.target, "", tuple(packages.values()))
            with open(self._output, "w", encoding="utf-8") as file:
                file.write(lock_text(merged, {name: source.url for name, source in request.assigned.items()}))


def _refresh(named: Collection[str], *, everything: bool) -> list[str]:
    """The arguments that make uv ask anew, where it may ask at all."""
    if os.environ.get("UV_OFFLINE"):
        return []
    some = [word for name in sorted(named) for word in ("--refresh-package", name)]
    return ["--refresh", *some] if everything else some


def _served(base: Lock | None) -> list[str]:
    """What need not be brought because the environment below has it: under another name, or from no index.

    The resolver knows neither. That the versions fit is looked at where all is installed (kind "installed").
    """
    packages = base.packages if base is not None else ()
    there = {package.name for package in packages}
    others = {name for package in packages for name in served_by(package.name)} - there
    return sorted(others | {package.name for package in packages if package.direct})
