"""What the locks of a workspace name."""

import contextlib
import os

from packaging.utils import canonicalize_name

from buildrules.document.plain_toml import read_toml
from buildrules.locking.keeper import locks_in
from buildrules.workspace.loader import packages_below
from buildrules.workspace.root import read_file


def locked_names(root: str) -> set[str]:
    """The names of the distributions in all locks of the workspace."""
    names: set[str] = set()
    for folder in packages_below(root):
        for name in locks_in(folder):
            if name.startswith(("pylock.", "conda.")):
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    rows = read_toml(read_file(os.path.join(folder, name), root))["packages"]
                    names |= {canonicalize_name(row["name"]) for row in rows}
    return names
