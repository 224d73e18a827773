"""One command from request to result: the kept plan where it still holds, a new one otherwise; then the build."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator

from buildrules.actions.registry import kind_named, kind_version
from buildrules.cli.buildlog import BuildLog
from buildrules.cli.console import Console
from buildrules.cli.plugins import import_plugins, plugin_files
from buildrules.cli.request import Request
from buildrules.engine.build import Build, Outcome, Previous
from buildrules.engine.events import Notice, Status, Stream
from buildrules.engine.plan import Plan
from buildrules.engine.result import GoalResult, goal_results
from buildrules.engine.sources import SourceReader
from buildrules.errors import BuildrulesError
from buildrules.net.session import Session
from buildrules.snapshot import file as snapshot_file
from buildrules.snapshot.file import UNTRUSTED, Row, Snapshot, shape_of, unanswered
from buildrules.store.private_folder import sweep
from buildrules.store.statindex import RACY_NS, stat_row
from buildrules.store.store import Store
from buildrules.workspace.disk import SEARCHED
from buildrules.workspace.globs import expand
from buildrules.workspace.root import find_packages


class Structure:
    """What the plan was made from. While none of it changes the plan holds.

    `files` are BUILD files, rules, locks and requirement files; `directories` all that were searched for
    packages; `shapes` are paths of which only mattered whether they are a file, a directory, or not there.
    """

    __slots__ = ("directories", "files", "ignore", "packages", "plugins", "shapes")

    def __init__(
        self,
        *,
        files: list[Row],
        directories: list[Row],
        shapes: dict[str, str],
        packages: list[str],
        ignore: list[str],
        plugins: list[str],
    ) -> None:
        self.files = files
        self.directories = directories
        self.shapes = shapes
        self.packages = packages
        self.ignore = ignore
        self.plugins = plugins

    def holds(self, root: str) -> bool:
        """Whether the plan made from this is still the right one. Refreshes the rows of directories."""
        for path, *row in self.files:
            try:
                if list(stat_row(os.stat(path))) != row:
                    return False
            except OSError:
                return False
        if any(shape_of(path) != shape for path, shape in self.shapes.items()):
            return False
        for path, *row in self.directories:
            try:
                if list(stat_row(os.stat(path))) != row:
                    break
            except OSError:
                break
        else:
            return True
        began = time.time_ns()
        found = find_packages(root, self.ignore)
        watched = {row[0] for row in self.files}
        unwatched = any(os.path.join(root, path) not in watched for path in found.nested)
        if found.packages != self.packages or found.misspelt or unwatched:
            return False
        self.directories = [row_of(os.path.join(root, path), began) for path in found.directories]
        return True


def row_of(path: str, began: int) -> Row:
    """The row of a path now; untrusted where it was modified after `began` or shortly before."""
    path = path.rstrip("/")
    try:
        row = stat_row(os.stat(path))
    except OSError:
        return (path, *UNTRUSTED)
    return (path, *(UNTRUSTED if max(row[3], row[4]) > began - RACY_NS else row))


class Invocation:
    """A request in a workspace. `run` builds; the attributes are then complete."""

    def __init__(self, root: str, directory: str, argv: list[str], request: Request) -> None:
        self.root = root
        self.directory = directory
        self.argv = argv
        self.request = request
        self.store = Store()
        self.session = Session()
        self.console = Console(
            quiet=bool(request.option("quiet") or request.option("json")), verbose=bool(request.option("verbose"))
        )
        self.log = BuildLog(self.store.root)
        self.stream = Stream(self.console, self.log)
        if self.store.renewed:
            self.stream.emit(Notice("the store had an older layout: its content is kept, every step is looked at anew"))
        self.plan = Plan()
        self.planned = False  # now, and not taken from the snapshot
        self.structure: Structure | None = None
        self.results: list[GoalResult] = []
        self.sources: SourceReader  # once it is built
        self.outcomes: dict[str, Outcome] = {}
        self._previous: Previous = {}

    def resume(self, snapshot: Snapshot) -> bool:
        """Take the plan kept in `snapshot` if it still holds."""
        body = snapshot.body()
        if body is None:
            return False
        structure = Structure(**body["structure"])
        if not structure.holds(self.root):
            return False
        import_plugins(self.root, structure.plugins)
        self.structure = structure
        self.plan = Plan.from_data(body["plan"])
        self.session.connect(self.plan.connections, self.root)
        self._previous = body["outputs"]
        self.store.index.warm(body["index"])
        return True

    def make_plan(self) -> None:
        """Load the workspace and plan anew. Raises LoadError, ResolutionError and other BuildrulesErrors."""
        from buildrules.cli.planning import Planning

        began = time.time_ns()
        request = self.request
        planning = Planning(
            self.root, self.directory, request.patterns, request.options, self.store, self.stream, self.session
        )
        self.plan = planning.plan()
        self.planned = True
        if self.request.verb == "lint":
            self.plan.goals = []
        elif self.request.verb != "build":
            self.plan.lints = {}
        workspace = planning.loaded.workspace
        plugins = list(workspace.settings.plugins)
        import_plugins(self.root, plugins)
        modules = plugin_files(self.root) if plugins else []
        files, shapes = planning.disk.dependencies()
        self.structure = Structure(
            files=[row_of(path, began) for path in sorted({*files, *modules})],
            directories=[row_of(os.path.join(self.root, path), began) for path in planning.disk.seen(SEARCHED)],
            shapes=shapes,
            packages=workspace.packages,
            ignore=list(workspace.settings.ignore),
            plugins=plugins,
        )

    def build(self) -> Build:
        """Run the plan. `results` holds the goals that succeeded."""
        began = time.time_ns()
        build = Build(
            self.plan,
            self.store,
            self.root,
            session=self.session,
            kinds=kind_named,
            versions=kind_version,
            expand=expand,
            stream=self.stream,
            jobs=self.request.option("jobs"),
            keep_going=bool(self.request.option("keep_going")),
            previous=self._previous,
        )
        try:
            build.run()
        finally:
            self.console.close()
        self.results = goal_results(self.plan, build)
        self.sources = build.sources
        self.outcomes = build.outcomes
        self._began = began
        return build

    def save(self, build: Build, text: str, json: str) -> None:
        """Keep the snapshot of a green build. Failing to only costs time."""
        unstable = build.sources.unsettled or any(outcome.unstable for outcome in build.outcomes.values())
        if self.structure is None or unstable or self.request.option("env"):
            return  # variables given on the command line may be secrets, and a snapshot keeps the command line
        racy = self.store.index.racy
        rows: list[Row] = [*self.structure.files, *self.structure.directories]
        for path, row in build.sources.files.items():
            absolute = os.path.join(self.root, path)
            rows.append((absolute, *(UNTRUSTED if absolute in racy else row)))
        began = self._began
        rows += [row_of(os.path.join(self.root, path), began) for path in sorted(build.sources.directories)]
        body: dict[str, object] = {
            "request": self.request.to_data(),
            "structure": {name: getattr(self.structure, name) for name in Structure.__slots__},
            "plan": self.plan.to_data(),
            "outputs": {
                name: (outcome.key, outcome.outputs.to_dict())
                for name, outcome in build.outcomes.items()
                if outcome.outputs is not None
            },
            "index": self.store.index.known(),
        }
        path = snapshot_file.snapshot_path(self.root, self.argv, self.directory)
        wanted = snapshot_file.identity(self.root, self.argv, self.directory)
        with contextlib.suppress(OSError):
            snapshot_file.write(
                path,
                wanted,
                rows=rows,
                checks=list(self._checks(build)),
                shapes=unanswered(self.structure.shapes, rows),
                text=text,
                json=json,
                body=body,
            )

    def _checks(self, build: Build) -> Iterator[tuple[str, int]]:
        blobs = self.store.blobs
        for outcome in build.outcomes.values():
            if outcome.outputs is None:
                continue
            for digest in outcome.outputs.blobs.values():
                with contextlib.suppress(OSError):
                    yield blobs.path(digest), os.stat(blobs.path(digest)).st_size
            for layer in outcome.outputs.layers:
                if layer.recipe.get("codec") == "blob":
                    yield blobs.path(layer.digest), layer.size

    def prepare(self, snapshot: Snapshot | None) -> None:
        """Lock the store, take the kept plan or make a new one."""
        self.store.lock()
        sweep(self.store.blobs.aside)
        if snapshot is None or not self.resume(snapshot):
            self.make_plan()


def failures(build: Build) -> list[BuildrulesError]:
    """Each failure of a build once, however many actions share it."""
    return once(build.errors)


def once(errors: Iterable[BuildrulesError]) -> list[BuildrulesError]:
    """The errors without those that say what one before them says."""
    unique: dict[str, BuildrulesError] = {}
    for error in errors:
        unique.setdefault(error.message, error)
    return list(unique.values())


def executed(build: Build) -> bool:
    """Whether anything ran."""
    return any(outcome.status is Status.EXECUTED for outcome in build.outcomes.values())
