"""A workspace as it is at a revision, or as it lies here, planned from its locks: what two of them are compared by."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from buildrules.actions.registry import Kinds
from buildrules.cli.hints import say_at
from buildrules.engine.events import Progress, Stream
from buildrules.engine.plan import Plan
from buildrules.errors import BuildrulesError, LoadError, LockError, UsageError
from buildrules.net.session import Session
from buildrules.plugins import import_plugins, plugins_digest
from buildrules.prepared import Prepared, prepare
from buildrules.revisions.affected import Made
from buildrules.revisions.git import commit_of
from buildrules.revisions.laid import lay, lay_ignored
from buildrules.revisions.shape import Content, Shape, shapes
from buildrules.revisions.tree import Tree
from buildrules.store.blobs import FULL
from buildrules.store.private_folder import private_folder
from buildrules.store.store import Store
from buildrules.workspace.labels import parse_label
from buildrules.workspace.root import BUILD_FILE, is_workspace_file


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the workspace in the folder `root`, and its plan."""

    root: str
    prepared: Prepared
    plan: Plan
    _content: Content
    _versions: Mapping[str, int | str]  # of kinds

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """What its actions are made of, by id."""
        return shapes(self.plan, self.root, self._content, self._versions.__getitem__)

    @property
    def made(self) -> Made:
        """What of it is compared."""
        return Made(self.plan, self.shapes)


@contextlib.contextmanager
def at(root: str, revision: str, store: Store, *, whole: bool = False) -> Iterator[tuple[Tree, str]]:
    """The tree of a revision of the workspace at `root`, and the folder in the store that it lies in meanwhile.

    It is `whole` so that it can be built. Raises UsageError where there is no such revision, LoadError where it has no
    workspace.
    """
    tree = Tree(root, commit_of(root, revision))
    store.lock()
    with private_folder(store.blobs.tmp) as above:
        folder = os.path.realpath(os.path.join(above, "tree"))
        os.mkdir(folder)
        try:
            lay(tree, folder, whole=whole)
            lay_ignored(root, folder, whole=whole)
        except OSError as error:
            raise store.blobs.full() if error.errno in FULL else error from error
        if not is_workspace_file(os.path.join(folder, BUILD_FILE)):
            raise LoadError(f"there is no workspace at {revision}", hint="name a revision that has one")
        yield tree, folder


@contextlib.contextmanager
def about(tree: Tree) -> Iterator[None]:
    """While inside, errors say which revision they are about."""
    try:
        yield
    except BuildrulesError as error:
        say_at(error, tree.commit)
        raise


class Comparing:
    """Plans the workspace at `root` as it is here and at revisions, for what the same patterns name.

    The locks that are there are used and none is made. Planning is told to `watch`.
    """

    def __init__(
        self,
        root: str,
        directory: str,
        options: dict[str, Any],
        store: Store,
        session: Session,
        watch: Callable[[Progress], object] = lambda _: None,
    ) -> None:
        self.root = root
        self._directory = directory
        self._options = {**options, "locked": True}
        self._store = store
        self._session = session
        self._watch = watch

    def here(self, patterns: list[str], tree: Callable[[], Tree], changes: Mapping[str, str]) -> Side:
        """The workspace as it lies here, where `changes` are git's names of all files that differ from `tree`, which is
        asked for when shapes are."""

        def content(path: str) -> tuple[str, int] | None:
            if path in changes:
                return f"git:{changes[path]}", os.path.getsize(os.path.join(self.root, path))
            entry = tree().files.get(path)
            return (f"git:{entry.blob}", entry.size) if entry is not None else None

        return self._side(self.root, patterns, content)

    def there(self, patterns: list[str], tree: Tree, folder: str, only: Collection[str] | None = None) -> Side:
        """The workspace as it is in `tree`, laid out in `folder`. Errors say which revision they are about."""

        def content(path: str) -> tuple[str, int] | None:
            entry = tree.files.get(path)
            return (f"git:{entry.blob}", entry.size) if entry is not None else None

        with about(tree):
            side = self._side(folder, patterns, content, only, f" at {tree.commit[:12]}")
            side.shapes  # noqa: B018  read while the folder is there
            return side

    def before(self, tree: Tree, folder: str, labels: Collection[str]) -> Made:
        """All goals of the workspace at a revision; where some have no lock there, those of these labels that have."""
        try:
            return self.there(["//..."], tree, folder).made
        except LockError:
            found = Made(Plan(), {})
        for label in labels:
            with contextlib.suppress(LockError, UsageError):  # without a lock, or not there at all
                one = self.there([label], tree, folder, {parse_label(label).package}).made
                found.plan.goals += one.plan.goals
                found.shapes.update(one.shapes)
        return found

    def _side(
        self, root: str, patterns: list[str], content: Content, only: Collection[str] | None = None, when: str = ""
    ) -> Side:
        what = f"planning {' '.join(patterns)}{when}"
        self._watch(Progress(what, 0, None))
        prepared = prepare(root, self._directory, patterns, self._options, self._store, Stream(), self._session, only)
        plan = prepared.plan()
        self._watch(Progress(what, 1, 1))
        kinds = self._session.own(Kinds)
        plugins = list(prepared.loaded.workspace.settings.plugins)
        import_plugins(self.root, plugins, kinds)  # once in a process: as they are here
        if plugins:
            kinds.plugins = plugins_digest(self.root, root)
        versions = {kind: kinds.version(kind) for kind in {action.kind for action in plan.actions.values()}}
        return Side(root, prepared, plan, content, versions)
