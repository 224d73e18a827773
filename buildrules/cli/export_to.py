"""What `export-to` writes from: packages, and what each is made of."""

import os
from collections.abc import Sequence
from functools import partial

from buildrules.authoring.paths import display
from buildrules.cli.kept_targets import targets_of_workspace
from buildrules.cli.query import select
from buildrules.errors import UsageError
from buildrules.guest.inputs import inputs
from buildrules.hosts.export import Export, Target
from buildrules.workspace.labels import parse_pattern
from buildrules.workspace.root import here, read_inside


def export(directory: str, patterns: Sequence[str], configurations: Sequence[str], *, urls: bool) -> Export:
    """The packages that the patterns name, of the workspace around us.

    Raises UsageError, LoadError, LockError, and with `urls` FetchError.
    """
    root, package, above = here()
    known = targets_of_workspace(root, above, configurations)
    found = {number for pattern in patterns or ["//..."] for number in select(known, pattern, package)}
    packages = sorted(known.targets.labels[one] for one in found if known.targets.detail(one)[0] == "package")
    if not packages:
        raise UsageError(f"no packages among '{' '.join(patterns)}'", hint="buildrules query lists all targets")
    rows = inputs(root, packages, None, configurations, urls=urls)["targets"]
    targets = [Target(**row) for row in rows]
    canonical = [str(parse_pattern(pattern, package)) for pattern in patterns]

    def executable(path: str) -> bool:
        return bool(os.stat(os.path.join(root, path)).st_mode & 0o100)

    there = partial(present, directory)
    return Export(root, directory, targets, canonical, configurations, known.packages, there, executable, urls)


def present(directory: str, path: str) -> str | None:
    """The text of a file that is there, None where there is none. Raises UsageError where it is no text."""
    try:
        return read_inside(directory, path).decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read '{display(os.path.join(directory, path))}': {error}", hint="move it away"
        ) from error
