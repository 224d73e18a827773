"""Builds one target from what a host has declared, and writes what it is known by."""

import contextlib
import gc
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from buildrules.actions.fetching import fetch_parts
from buildrules.actions.registry import Kinds
from buildrules.engine.build import Build
from buildrules.engine.events import Event, Notice, Stream
from buildrules.engine.inputs import surely_older
from buildrules.engine.plan import Plan
from buildrules.engine.result import goal_result
from buildrules.errors import BuildrulesError
from buildrules.guest.declared import Declared, blob_of, read_declared
from buildrules.guest.forest import lay_out
from buildrules.guest.given import GivenBlobs
from buildrules.guest.offline import OfflineSession, check_refused
from buildrules.guest.out import check_out, make_way
from buildrules.guest.reads import Content, content_of, files_of, workspace_file
from buildrules.guest.undeclared import Undeclared, check_content
from buildrules.net.session import Session
from buildrules.oci.image import Image, Index, read_image, read_index
from buildrules.oci.layout import write_layout
from buildrules.oci.names import tagged
from buildrules.oci.supply import Supply
from buildrules.oci.whole_file import write_whole, writing
from buildrules.plugins import import_plugins
from buildrules.prepared import Prepared, prepare
from buildrules.store.records import Records
from buildrules.store.statindex import StatIndex
from buildrules.store.store import Store
from buildrules.workspace.disk import Disk
from buildrules.workspace.globs import expand
from buildrules.workspace.labels import Label, parse_label
from buildrules.workspace.root import Tree


@dataclass(frozen=True, slots=True)
class Request:
    """One `buildrules guest build`. Paths are relative to the working directory."""

    label: str
    root: str
    inputs: str
    out: str
    offline: bool = False
    layout: bool = False
    platform: str | None = None
    configurations: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    depfile: str | None = None


@dataclass(slots=True)
class Report:
    """What a build came to: the image's digest, and what the user should know."""

    digest: str = ""
    notices: list[str] = field(default_factory=list)


class NeedsProcess(Exception):
    """The workspace has plugins, whose code would stay in a process that builds many."""


class Room:
    """A private folder with a store of its own, for one build or for many; it goes when the context ends."""

    def __init__(self, folder: str | None = None, *, many: bool = False) -> None:
        """`folder` is where it is made, where the environment names none for temporary files."""
        self._many = many
        self._folder = os.environ.get("TMPDIR") or folder
        self.stop: Callable[[], object] | None = None  # ends what is at work

    def __enter__(self) -> Self:
        with writing("temporary files", self._folder or os.curdir):
            if self._folder is not None:
                os.makedirs(self._folder, exist_ok=True)
            self._path = os.path.realpath(tempfile.mkdtemp(prefix=".buildrules-", dir=self._folder))
        self._store = Store(os.path.join(self._path, "store"))
        self._blobs = GivenBlobs(self._store.root)
        self._store.blobs, self._store.records = self._blobs, Records(self._store.table, self._blobs)
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
        shutil.rmtree(self._path, ignore_errors=True)

    def build(self, request: Request) -> Report:
        """Do it. Raises BuildrulesError, and in a room for many NeedsProcess."""
        began = time.time_ns()
        declared, report = read_declared(request.inputs), Report()
        check_out(request.root, declared, request.out, request.depfile)
        label = parse_label(request.label)
        tree = lay_out(request.root, declared, request.below, self._tree())
        layouts = {name: os.path.realpath(f"{tree}/{path}") for path in declared.files if (name := blob_of(path))}
        self._blobs.given, self._blobs.touched = {**layouts, **declared.content}, set()
        session: Session = OfflineSession(tree) if request.offline else Session()
        try:
            self._built(request, declared, label, tree, session, report)
        finally:
            self.stop = None
            # What was modified too shortly before it was hashed could have changed since, and keep its stat.
            sound = self._blobs.sound
            self._blobs.sound = {name: row for name, row in sound.items() if surely_older((0, *row), began)}
            self._store.index = StatIndex(self._store.table)
            session.close()
            gc.unfreeze()  # what was loaded is garbage now
        return report

    def _tree(self) -> str:
        """Where a workspace is laid out: always at one place, by which known digests are found again."""
        path = os.path.join(self._path, "tree")
        if os.path.lexists(path):
            shutil.rmtree(path)
        return path

    def _built(
        self, request: Request, declared: Declared, label: Label, tree: Tree, session: Session, report: Report
    ) -> None:
        def hear(event: Event) -> None:
            if isinstance(event, Notice):
                report.notices.append(f"{'warning: ' if event.warning else ''}{event.message}")

        stream, kinds = Stream(hear), session.own(Kinds)
        undeclared = Undeclared(tree, os.path.abspath(request.root), request.out, request.label)
        options = {
            "locked": True,
            "platform": request.platform,
            "configurations": request.configurations,
            "done": "built for another build system",
            "one": True,
        }
        disk = Disk(tree)
        try:
            prepared = prepare(
                tree, "", [request.label], options, self._store, stream, session, alone=[label], disk=disk
            )
            check_refused(session, request.label)
            plan = prepared.plan()
        except BuildrulesError as error:
            undeclared.explain(error, disk)
            check_refused(session, request.label)
            raise
        plan.narrow(())
        undeclared.check_plan(prepared, plan, self._blobs)
        plugins = list(prepared.loaded.workspace.settings.plugins)
        if plugins and self._many:
            raise NeedsProcess
        with _imports() as names:
            try:
                import_plugins(tree, plugins, kinds)
            finally:
                undeclared.check_imports(names)
        content = content_of(plan, session, self._blobs)
        if request.offline:
            there = (url for one in content.values() for url in one.urls if workspace_file(url, tree))
            wanted = [one for one in content.values() if one.kind != "layer" or request.layout]
            check_content(wanted, self._blobs, there, request.label)
        for one in content.values():  # also where nothing of it is to be read: a worker has seen it before
            if one.kind != "layer" and one.sha256 in declared.content:
                self._blobs.right(one.sha256)
        build = Build(plan, self._store, tree, session=session, kinds=kinds, expand=expand, stream=stream)
        self.stop = build.here.cancel
        build.run()
        if not build.ok:
            raise build.errors[0]
        self._write(request, plan, build, report)
        if request.depfile:
            read = self._read(request, declared, tree, prepared, plan, content)
            _write(request.depfile, depfile_text(os.path.join(request.out, "digest"), read), "depfile")

    def _write(self, request: Request, plan: Plan, build: Build, report: Report) -> None:
        """Write the image's digest and descriptor, and its layout where that is wanted."""
        kinds = {goal.kind: goal for goal in plan.goals}
        result = goal_result(plan, build, kinds.get("index") or kinds["image"])
        assert result is not None  # what is built has no goal that failed
        layers = [item.layer for item in result.layers]
        read = read_index if result.goal.kind == "index" else read_image
        image: Image | Index = read(self._blobs, result.digest, layers)
        make_way(request.out, request.layout)
        _write(os.path.join(request.out, "descriptor.json"), json.dumps(image.descriptor(), sort_keys=True) + "\n")
        if request.layout:
            makers = {item.layer.digest: item.action for item in result.layers}
            supply = Supply(build.here, lambda digest: build.sources.origin(makers[digest]), fetch_parts)
            layout = os.path.join(request.out, "layout")
            write_layout(layout, image, supply, names=[tagged(str(result.goal.info["name"]))])
        _write(os.path.join(request.out, "digest"), f"{result.digest}\n")
        report.digest = result.digest

    def _read(
        self,
        request: Request,
        declared: Declared,
        tree: Tree,
        prepared: Prepared,
        plan: Plan,
        content: dict[str, Content],
    ) -> list[str]:
        """What was read, as the host names it: files below its root, and content."""
        files, _ = files_of(tree, prepared, plan)
        files |= {path for one in content.values() for url in one.urls if (path := workspace_file(url, tree))}
        touched = self._blobs.touched
        read = {path for path in files & declared.files if (name := blob_of(path)) is None or name in touched}
        given = [declared.content[sha256] for sha256 in sorted(touched & declared.content.keys())]
        return [*(os.path.join(request.root, path) for path in sorted(read)), *given]


def _write(path: str, text: str, what: str = "result") -> None:
    data = text.encode("utf-8", "surrogateescape")
    with contextlib.suppress(OSError), open(path, "rb") as file:
        if file.read() == data:
            return  # ninja and make go by times
    write_whole(path, [data], what, path)


def depfile_text(target: str, paths: list[str]) -> str:
    """A rule of Make, as ninja reads it too: what stands for itself is escaped as both take it.

    As with gcc's -MP, each path is a target of nothing, so that make goes on where one is gone.
    """

    def escaped(path: str) -> str:
        return path.replace("$", "$$").replace("#", "\\#").replace(" ", "\\ ").replace(":", "\\:")

    names = [*map(escaped, paths)]
    return " \\\n  ".join([f"{escaped(target)}:", *names]) + "\n" + "".join(f"{name}:\n" for name in names)


@contextmanager
def _imports() -> Iterator[list[str]]:
    """While inside, the names of modules that Python looks for, also in vain."""
    names: list[str] = []

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            names.append(name)

    sys.meta_path.insert(0, Finder)
    try:
        yield names
    finally:
        sys.meta_path.remove(Finder)


@contextmanager
def room_for(request: Request) -> Iterator[Room]:
    """A room for one build, below what it writes where the environment names no folder for temporary files."""
    made = not os.path.isdir(request.out)
    try:
        with Room(request.out) as room:
            yield room
    finally:
        if made and os.path.isdir(request.out) and not os.listdir(request.out):
            os.rmdir(request.out)
