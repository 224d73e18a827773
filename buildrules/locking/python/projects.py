"""Local projects: which of their files decide what they ask for, and copies of them for a resolver.

A project whose [project] table says its dependencies is read from pyproject.toml (PEP 621: what is not named in
`dynamic` is as it stands there). Of any other one, every file may decide: a back end may read what it likes.

A resolver is given copies, at their places below a folder of their own. So it sees what the wheel will be built of and
nothing else, answers from no cache of another day, and what back ends write lands in no workspace.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name

from buildrules.document.plain_toml import read_toml
from buildrules.engine.action import SourceSet
from buildrules.errors import ActionError
from buildrules.locking.python.formats import ELSEWHERE, HARMLESS, UV
from buildrules.locking.python.requirement import DESCRIBING_FILES, PROJECT_FILES, Requirement, inside_workspace
from buildrules.state.rows import open_regular
from buildrules.store.lockfile import inputs_digest
from buildrules.workspace.globs import expand
from buildrules.workspace.root import check_inside, read_inside

_ARCHIVES = (".whl", ".tar.gz", ".zip")
_ASKED = ("name", "version", "requires-python", "dependencies", "optional-dependencies", "dynamic")
_LATER = frozenset(("dependencies", "optional-dependencies", "requires-python"))
_LEFT = (
    *("**/node_modules/**", "**/*.egg-info/**", ".tox/**", ".nox/**", ".*_cache/**"),
    *("dist/*.whl", "dist/*.tar.gz", "dist/*.zip", "dist/*.egg", "dist/.gitignore"),
)
"""What package managers, test runners and builds leave in a project's folder; expanding leaves out more."""
_WRITTEN = ("build/lib.*/**", "build/bdist.*/**", "build/temp.*/**", "build/scripts-*/**", "build/cp[0-9]*/**")
"""What setuptools and scikit-build-core write into `build`, besides setuptools's `lib`."""
_BUILD_TREE = ("CMakeCache.txt", "build.ninja")
"""Where one of these lies, all was written by CMake or Meson."""
_ABSENT = re.compile(r"No\s+such\s+file\s+or\s+directory:\s+b?['\"]([^'\"]+)")  # uv wraps lines
_ABOVE = re.compile(r"(?:\.\./)+[^\s'\"`,:;)]+")  # back ends and programs they start have words of their own for it
_OURS = ("**/pylock.*.toml", "**/*.lock", "**/BUILD.yaml")  # locks are made of it, and not it of locks


class Asking(NamedTuple):
    """What a project asks for, as a digest of all that decides it, and the paths (workspace-relative) that did."""

    digest: str
    files: tuple[str, ...]
    folders: tuple[str, ...]


class Projects:
    """The projects of one workspace (`root`, absolute), each looked at once."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._asking: dict[str, Asking] = {}
        self._tables: dict[str, dict[str, Any]] = {}

    def asking(self, directory: str) -> Asking:
        """What the project in a workspace-relative folder asks for. Raises ActionError where it cannot be read."""
        if directory not in self._asking:
            self._asking[directory] = self._read(directory)
        return self._asking[directory]

    def _read(self, directory: str) -> Asking:
        described = [os.path.normpath(os.path.join(directory, name)) for name in DESCRIBING_FILES]
        above = [path for path in self._above(directory) if uv_of(self._table(path)).get("workspace")]
        table = self._table(directory)
        project = table.get("project")
        decided: list[Any] = [uv_of(self._table(path)) for path in above]
        folders: list[str] = []
        if isinstance(project, dict) and "name" in project and not _LATER & set(project.get("dynamic") or ()):
            decided += [{name: project.get(name) for name in _ASKED}, uv_of(table)]
            scripts = [path for path in described[1:] if os.path.isfile(os.path.join(self.root, path))]
            decided += [[path, _digest(os.path.join(self.root, path))] for path in scripts]
        else:
            sources = self.files_of(directory)
            found, listed = expand(self.root, directory, sources.include, (*sources.exclude, *_OURS))
            folders += listed
            decided += [[name, _digest(os.path.join(self.root, path))] for path, name, _ in found]
            described += [path for path, _, _ in found]
        described += [os.path.join(path, "pyproject.toml") for path in above]
        folders += [os.path.normpath(os.path.join(directory, name)) for name in ("build", "build/lib")]
        return Asking(inputs_digest(_plain(decided)), tuple(dict.fromkeys(described)), tuple(dict.fromkeys(folders)))

    def files_of(self, directory: str) -> SourceSet:
        """The files of a project in a workspace-relative folder that a wheel of it is built from.

        What tools leave there is not among them: a back end would find an old copy of the project in it. So a folder
        `build` counts, as in a source archive, but for what back ends write into it.
        """
        build = os.path.join(self.root, directory, "build")
        if any(os.path.exists(os.path.join(build, name)) for name in _BUILD_TREE):
            return SourceSet(directory, ("**",), (*_LEFT, "build/**"))
        package = os.path.exists(os.path.join(build, "lib", "__init__.py"))  # setuptools has none there
        return SourceSet(directory, ("**",), (*_LEFT, *_WRITTEN, *(() if package else ("build/lib/**",))))

    def copy(self, requirements: Iterable[Requirement], into: str) -> None:
        """Lay copies of what `requirements` name of the workspace, and of the projects these name, below `into`."""
        for item in requirements:
            if item.local and os.path.isdir(os.path.join(self.root, item.text)):
                self.copy_project(item.text, into)
            elif item.local:
                _lay(self.root, item.text, into)

    def copy_project(self, directory: str, into: str) -> None:
        """Lay a copy of one project, and of those that its [tool.uv.sources] name, below `into`."""
        waiting, done = [os.path.normpath(directory)], set[str]()
        while waiting:
            folder = waiting.pop()
            if folder in done:
                continue
            done.add(folder)
            sources = self.files_of(folder)
            for path, _, status in expand(self.root, folder, sources.include, sources.exclude)[0]:
                _lay(self.root, path, into, status.st_mode & 0o111 != 0)
            for above in self._above(folder):
                members = self._members(above)
                for place in (above, *members) if members else ():
                    description = os.path.join(place, "pyproject.toml")
                    _lay(self.root, description, into)
            waiting += self._named(folder)

    def copy_missing(self, said: str, into: str) -> bool:
        """Lay copies of the projects that a resolver looked for in vain below `into`, by what it said; whether any."""
        found = False
        for match in re.finditer(re.escape(into) + r"/([^\s`'\"<>]+)", said):
            path = os.path.normpath(match[1].rstrip(".,:;)"))
            if inside_workspace(self.root, os.path.join(self.root, path)) is None or os.path.lexists(
                os.path.join(into, path)
            ):
                continue
            if any(os.path.isfile(os.path.join(self.root, path, name)) for name in PROJECT_FILES):
                self.copy_project(path, into)
                found = True
            elif path.endswith(_ARCHIVES) and os.path.isfile(os.path.join(self.root, path)):
                _lay(self.root, path, into)
                found = True
        return found

    def beyond(self, said: str, into: str, folders: Iterable[str]) -> str | None:
        """The file of the workspace that a back end of a project in one of `folders` looked for outside of its project,
        by what it `said`; copies lie below `into`."""
        for name in (*_ABSENT.findall(said), *_ABOVE.findall(said)):
            for folder in folders:
                path = os.path.relpath(os.path.join(into, folder, name), into)
                inside = inside_workspace(self.root, os.path.join(self.root, path)) is not None
                if inside and os.path.isfile(os.path.join(self.root, path)) and not os.path.lexists(f"{into}/{path}"):
                    return path
        return None

    def settings(self) -> dict[str, Any]:
        """uv's settings at the workspace's root that decide what is locked, and not where it is looked for."""
        found = self._own_settings()
        pip = found.get("pip")
        tables = {**found, **({f"pip.{key}": value for key, value in pip.items()} if isinstance(pip, dict) else {})}
        names = {name: name.removeprefix("pip.") for name in tables if name != "pip"}
        return {
            name: _plain(tables[name])
            for name, key in names.items()
            if key not in ELSEWHERE and UV.get(key) != HARMLESS
        }

    def _own_settings(self) -> dict[str, Any]:
        """uv's settings at the workspace's root: its uv.toml, or else its pyproject.toml."""
        with contextlib.suppress(OSError, ValueError):  # uv itself says what is wrong with it
            return read_toml(read_inside(self.root, "uv.toml"))
        return uv_of(self._table(""))

    def indexes(self, directory: str) -> Iterator[dict[str, Any]]:
        """The indexes that the sources of a project may name, nearest first: tables of uv's settings."""
        for settings in (
            *(uv_of(self._table(one)) for one in (directory, *self.roots(directory))),
            self._own_settings(),
        ):
            found = settings.get("index")
            yield from (one for one in (found if isinstance(found, list) else ()) if isinstance(one, dict))

    def _named(self, directory: str) -> Iterator[str]:
        """The folders of the workspace that the sources of a project name, by path or as members of its workspace."""
        for name, entries in self.sources(directory):
            for folder, entry in entries:
                if isinstance(path := entry.get("path"), str):
                    place = inside_workspace(self.root, os.path.join(self.root, folder, path))
                    if place is not None and os.path.isdir(os.path.join(self.root, place)):
                        yield place
                elif entry.get("workspace") is True:
                    yield from self.member(name, directory)

    def sources(self, directory: str) -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
        """(normalised name, [(folder that paths start from, entry), ...]) of the sources that hold for a project.

        Those of its own pyproject.toml come before those of the root of its uv workspace.
        """
        seen = set[str]()
        for folder in (directory, *(above for above in self.roots(directory) if above != directory)):
            sources = uv_of(self._table(folder)).get("sources")
            for name, source in sources.items() if isinstance(sources, dict) else ():
                if canonicalize_name(name) not in seen:
                    seen.add(canonicalize_name(name))
                    entries = source if isinstance(source, list) else [source]
                    yield canonicalize_name(name), [(folder, one) for one in entries if isinstance(one, dict)]

    def roots(self, directory: str) -> list[str]:
        """The folders at and above a project that are roots of a uv workspace."""
        around = dict.fromkeys((directory, *self._above(directory)))
        return [above for above in around if uv_of(self._table(above)).get("workspace")]

    def member(self, name: str, directory: str) -> Iterator[str]:
        """The folder of the member called `name` of the uv workspace that `directory` belongs to."""
        for above in self.roots(directory):
            for member in (above, *self._members(above)):
                found = self._table(member).get("project")
                own = found.get("name") if isinstance(found, dict) else None
                if isinstance(own, str) and canonicalize_name(own) == canonicalize_name(name):
                    yield member

    def _members(self, directory: str) -> list[str]:
        """The folders of the members of a uv workspace in `directory`."""
        found: dict[str, list[str]] = {"members": [], "exclude": []}
        for key, folders in found.items():
            for pattern in (uv_of(self._table(directory)).get("workspace") or {}).get(key) or ():
                names = expand(self.root, directory, [f"{str(pattern).rstrip('/')}/pyproject.toml"])[0]
                folders += [os.path.dirname(path) for path, _, _ in names]
        return [folder for folder in found["members"] if folder not in found["exclude"]]

    @staticmethod
    def _above(directory: str) -> list[str]:
        """The folders above one, up to the root, which is ""."""
        parts = [part for part in directory.split("/") if part not in ("", ".")]
        return ["/".join(parts[:count]) for count in range(len(parts) - 1, -1, -1)]

    def _table(self, directory: str) -> dict[str, Any]:
        """The pyproject.toml in a folder; empty where there is none that can be read, which the resolver says."""
        if directory not in self._tables:
            try:
                self._tables[directory] = read_toml(read_inside(self.root, os.path.join(directory, "pyproject.toml")))
            except (OSError, ValueError):
                self._tables[directory] = {}
        return self._tables[directory]


def uv_of(table: dict[str, Any]) -> dict[str, Any]:
    """The [tool.uv] table of a pyproject.toml; empty where there is none."""
    tool = table.get("tool")
    found = tool.get("uv") if isinstance(tool, dict) else None
    return found if isinstance(found, dict) else {}


def _plain(value: Any) -> Any:
    """TOML's values in JSON types."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


def _digest(path: str) -> str:
    try:
        with open(open_regular(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ActionError(f"cannot read {path!r}: {error.strerror}") from None


def _lay(root: str, path: str, into: str, executable: bool = False) -> None:
    """A copy with a date of now and plain modes; none where there is one, or no such file.

    Raises LoadError for a link that leads out of the workspace.
    """
    source, copy = os.path.join(root, path), os.path.join(into, path)
    if os.path.lexists(copy) or not os.path.isfile(source):
        return
    check_inside(root, path)
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    if source.endswith(_ARCHIVES):  # may be large, and nobody writes into it
        with contextlib.suppress(OSError):
            os.link(os.path.realpath(source), copy)
            return
    shutil.copyfile(source, copy)
    os.chmod(copy, 0o755 if executable else 0o644)
