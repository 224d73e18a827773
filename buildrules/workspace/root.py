"""Where a workspace begins, and which directories of it are packages.

A workspace is the tree below a `BUILD.yaml` with a top-level `workspace:` key; a package is a directory with
a `BUILD.yaml`. Nothing here parses YAML: a key at the start of a line is enough to tell. (A root written as
one flow mapping, `{workspace: ...}`, is therefore not recognised.)

On the fast path: imports nothing but `os` and what the state needs (`re` alone would cost 3 ms).
"""

import os

from buildrules.errors import LoadError, UsageError
from buildrules.state.rows import Stat, open_regular, row_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


BUILD_FILE = "BUILD.yaml"

LINK_ROOTS = "BUILDRULES_LINK_ROOTS"
"""The variable with the folders, separated by `:`, that links of a workspace may lead to: for sandboxes, which lay out
a workspace as links. It is no key of BUILD.yaml, so that a workspace cannot open the machine for itself."""


class Tree(str):
    """The absolute root of a workspace that was laid out as links, which may lead below the folders `roots`.

    These are without links themselves. It goes wherever a root goes, so that nothing but it opens them.
    """

    roots: "tuple[str, ...]"

    def __new__(cls, path: str, roots: "tuple[str, ...]") -> "Tree":
        made = super().__new__(cls, path)
        made.roots = roots
        return made


MISSPELT = frozenset({"BUILD.yml", "build.yaml", "build.yml", "Build.yaml"})
_LARGEST = 16 << 20
Listing = tuple[tuple[str, ...], bool, str, bool]
"""Directories below that may hold packages, whether there is a BUILD.yaml, a misspelt one, a virtual environment."""

VENV_MARK = "pyvenv.cfg"
"""A folder with this file is a virtual environment (PEP 405)."""
_SKIPPED = frozenset({"node_modules", "__pycache__"})


class Packages:
    """What a walk found. All paths are workspace-relative with `/`; "" is the root.

    `packages` are the directories with a BUILD.yaml (sorted), `listings` what was found in all that were listed, `rows`
    theirs from before that, `misspelt` files such as BUILD.yml that were surely meant to be one, `nested` the
    BUILD.yaml files of nested workspaces.
    """

    __slots__ = ("listings", "misspelt", "nested", "packages", "rows")

    def __init__(
        self,
        packages: list[str],
        listings: "dict[str, Listing]",
        rows: "dict[str, Stat | None]",
        misspelt: list[str],
        nested: list[str],
    ) -> None:
        self.packages = packages
        self.listings = listings
        self.rows = rows
        self.misspelt = misspelt
        self.nested = nested

    @property
    def directories(self) -> list[str]:
        """All directories that were listed, sorted."""
        return sorted(self.listings)


def is_workspace_file(path: str, read: "Callable[[str], bytes] | None" = None) -> bool:
    """Whether this BUILD.yaml exists and opens a workspace. `read` stands in for `read_file`."""
    try:
        return _has_workspace_key((read or read_file)(path))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    except OSError as error:
        raise LoadError(f"cannot read '{path}': {error.strerror}") from error


def is_inside(root: str, real: str) -> bool:
    """Whether a path without links lies in the workspace at `root`, or where the user lets links lead (LINK_ROOTS)."""
    if f"{real}/".startswith(f"{root.rstrip('/')}/"):
        return True
    if isinstance(root, Tree):
        return any(f"{real}/".startswith(f"{top.rstrip('/')}/") for top in root.roots)
    named = [path for path in os.environ.get(LINK_ROOTS, "").split(os.pathsep) if path.startswith("/")]
    return any(f"{real}/".startswith(f"{os.path.realpath(top).rstrip('/')}/") for top in (root, *named))


def check_inside(root: str, path: str) -> None:
    """Raise LoadError where the workspace-relative `path` is, or lies behind, a link that leads out of a workspace."""
    if not is_inside(root, os.path.realpath(os.path.join(root, path))):
        raise LoadError(
            f"{path!r} is a link that leaves the workspace",
            hint=f"put a copy of its target there, or name the target's folder in {LINK_ROOTS}",
        )


def read_inside(root: str, path: str) -> bytes:
    """`read_file` for a path that a workspace names: also raises OSError where a link leads out of it."""
    return read_file(os.path.join(root, path), root)


def read_file(path: str, root: str = "") -> bytes:
    """The content of a file people write. Raises OSError, also for what is no regular file or above 16 MiB.

    With `root`, what was opened must lie in the workspace there, whatever links have led to it.
    """
    handle = open_regular(path)
    try:
        size = os.fstat(handle).st_size
        if root and not is_inside(root, _opened(handle, path)):
            raise OSError(
                0, f"a link leads out of the workspace: copy the file, or name its folder in {LINK_ROOTS}", path
            )
        data = b""
        while len(data) <= _LARGEST:
            more = os.read(handle, max(min(size, _LARGEST) + 1 - len(data), 1 << 16))
            if not more:
                return data
            data += more
    finally:
        os.close(handle)
    raise OSError(0, "it has more than 16 MiB", path)


def _opened(handle: int, path: str) -> str:
    """Where the file is that was opened (proc(5)): a path may mean another one by now."""
    try:
        return os.readlink(f"/proc/self/fd/{handle}")
    except OSError:
        return os.path.realpath(path)


def _has_workspace_key(data: bytes) -> bool:
    """Whether a line begins with the key `workspace`, quoted or not."""
    at = data.find(b"workspace")
    while at >= 0:
        begin = data.rfind(b"\n", 0, at) + 1
        before = data[begin:at].removeprefix(b"\xef\xbb\xbf" if begin == 0 else b"")
        after = data[at + len(b"workspace") :]
        if before in (b"", b"'", b'"') and after.startswith(before):
            rest = after[len(before) : len(before) + 200].lstrip(b" \t")
            if rest[:1] == b":" and rest[1:2] in (b"", b" ", b"\t", b"\r", b"\n"):
                return True
        at = data.find(b"workspace", at + 1)
    return False


def find_root(start: str = ".") -> str:
    """The absolute path, links resolved, of the workspace that `start` (a directory) lies in.

    The nearest BUILD.yaml with a `workspace:` key wins, so workspaces nest. Raises UsageError if there is none.
    """
    directory = os.path.realpath(start)
    misspelt = nearest = ""
    while True:
        path = os.path.join(directory, BUILD_FILE)
        if is_workspace_file(path):
            check_root(directory)
            return directory
        if not nearest and os.path.isfile(path):
            nearest = path
        if not misspelt:
            misspelt = next((name for name in MISSPELT if os.path.exists(os.path.join(directory, name))), "")
        parent = os.path.dirname(directory)
        if parent == directory:
            break
        directory = parent
    if nearest:
        raise _rootless(nearest)
    hint = "run `buildrules init` in the directory that should be the root"
    if misspelt:
        hint = f"there is a file '{misspelt}': the name must be {BUILD_FILE}; or {hint}"
    raise UsageError(
        "no workspace here: no BUILD.yaml with a `workspace:` section in this directory or above", hint=hint
    )


def check_root(directory: str) -> None:
    """Raise UsageError for a folder whose path is not UTF-8: what is kept of a workspace is named by it."""
    try:
        directory.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the path of the workspace, {directory!r}, is not UTF-8", hint="rename the folder") from None


def _rootless(path: str) -> UsageError:
    """The error where the nearest BUILD.yaml opens no workspace, and none above does."""
    from difflib import get_close_matches

    shown = os.path.relpath(path)
    hint = f"add `workspace: {{name: NAME}}` to the {BUILD_FILE} at the root"
    data = read_file(path)
    if b"\0" in data[:8] and any(32 < byte < 127 for byte in data[:8]):  # a letter of UTF-16 or UTF-32
        from buildrules.document.reader import not_utf8

        wrong = not_utf8(shown, UnicodeDecodeError("utf-8", data, 0, 1, "NUL"))
        return UsageError(f"no workspace here: {shown} is not UTF-8", hint=wrong.hint)
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        key = line.partition(":")[0].strip("'\"")
        if ":" in line and line[:1].strip() and get_close_matches(key, ["workspace"]):
            return UsageError(
                f"no workspace here: {shown}:{number}: there is no section '{key}'", hint="did you mean 'workspace'?"
            )
    return UsageError(f"no workspace here: {shown} has no `workspace:` section, nor has one above", hint=hint)


def look(root: str, directory: str) -> "Listing | None":
    """What a directory means to the search for packages. None where it cannot be read; raises LoadError."""
    below: list[str] = []
    found = venv = False
    wrong = ""
    try:
        with os.scandir(os.path.join(root, directory)) as entries:
            for entry in entries:
                name = entry.name
                if name == BUILD_FILE:
                    found = True
                elif name in MISSPELT:
                    wrong = name
                elif name == VENV_MARK:
                    venv = True
                elif name[0] != "." and name not in _SKIPPED and entry.is_dir(follow_symlinks=False):
                    below.append(name)
    except (PermissionError, FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # such as a name that is too long for the system
        shown = directory if len(directory) < 200 else f"{directory[:200]}..."
        hint = "list the directory, or one above it, under `ignore:` in the workspace section"
        raise LoadError(f"cannot list the directory '{shown}': {error.strerror}", hint=hint) from error
    return tuple(sorted(below)), found, wrong, venv


def find_packages(
    root: str,
    ignore: "list[str] | tuple[str, ...]" = (),
    read: "Callable[[str], bytes] | None" = None,
    start: str = "",
) -> Packages:
    """Walk the workspace at `root` (absolute), or what is below `start` in it, and find its packages.

    Left out: nested workspaces, directories that start with a dot, `node_modules`, `__pycache__`, virtual
    environments, links to directories, and what `ignore` (workspace-relative directories) names.
    Directories that cannot be read are left out, too; nothing in them can be a target. `read` stands in for
    `read_file`.
    """
    packages: list[str] = []
    listings: dict[str, Listing] = {}
    rows: dict[str, Stat | None] = {}
    misspelt: list[str] = []
    nested: list[str] = []
    ignored = frozenset(ignore)
    stack = [start]
    while stack:
        directory = stack.pop()
        row = row_of(os.path.join(root, directory))
        listing = look(root, directory)
        if listing is None:
            continue
        listings[directory], rows[directory] = listing, row
        below, found, wrong, venv = listing
        if directory and venv:
            continue
        base = f"{directory}/" if directory else ""
        if found:
            if directory and is_workspace_file(f"{root}/{directory}/{BUILD_FILE}", read):
                nested.append(base + BUILD_FILE)
                continue
            packages.append(directory)
        elif wrong:
            misspelt.append(base + wrong)
        stack.extend(path for name in below if (path := base + name) not in ignored)
    return Packages(sorted(packages), listings, rows, sorted(misspelt), sorted(nested))


def here() -> tuple[str, str, str]:
    """The root of the workspace around the current directory, the package of that in it, and the way from there to the
    root, "" or with a slash at its end: through it a path is shorter, and faster to look at. Raises UsageError.
    """
    directory = os.getcwd()
    root = find_root(directory)
    package = package_of(root, directory)
    return root, package, "../" * (package.count("/") + 1) if package else ""


def package_of(root: str, directory: str) -> str:
    """The workspace-relative path of a directory ("" for the root), to resolve relative labels and patterns in.

    Raises UsageError if it is not inside `root`.
    """
    path = os.path.relpath(os.path.realpath(directory), root)
    if path == ".":
        return ""
    if path == ".." or path.startswith(".." + os.sep):
        raise UsageError(f"'{directory}' is outside the workspace")
    return path.replace(os.sep, "/")
