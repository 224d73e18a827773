"""Lock files of whichever kind: TOML with a version, and a digest of what they were made from."""

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

from buildrules.errors import LockError
from buildrules.sha256 import digest_of
from buildrules.state.rows import open_regular


def inputs_digest(inputs: Any) -> str:
    """`sha256:<hex>` over everything a lock depends on, in JSON types: a lock that carries another one is stale."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return digest_of(text.encode())


def read_tables(path: str, display: str | None = None) -> dict[str, Any]:
    """The tables of the lock at `path`. Raises LockError, which calls the file `display`, or by its name."""
    from buildrules.document.plain_toml import read_toml

    display = display or _display(path)
    try:
        with open(open_regular(path), "rb") as file:
            return read_toml(file.read())
    except FileNotFoundError:
        raise LockError(f"there is no lock {display!r}", hint="run 'buildrules lock'") from None
    except OSError as error:
        raise unreadable(display, (error.strerror or str(error)).lower()) from None
    except ValueError as error:
        raise unreadable(display, str(error)) from None


def check_version(path: str, tables: Mapping[str, Any], wanted: int) -> None:
    """Raise LockError where `version` is not the wanted one."""
    found = tables.get("version")
    if found != wanted:
        raise unreadable(path, f"it has version {found!r}, and this program reads {wanted}")


def unreadable(path: str, why: str) -> LockError:
    """The error for a lock that is not what a lock must be."""
    return LockError(
        f"the lock {_display(path)!r} cannot be read: {why}", hint="run 'buildrules lock' to write it anew"
    )


def _display(path: str) -> str:
    """How errors call a lock: by its path in the workspace where that is known, else by its name."""
    return os.path.basename(path) if os.path.isabs(path) else path


def write_whole(path: str, text: str, display: str | None = None) -> bool:
    """Write `text` to the file `path`, whole or not at all; False where the file already says so.

    Missing folders are made. Raises LockError, which calls the file `display`, or by its path.
    """
    data = text.encode()
    with contextlib.suppress(OSError), open(open_regular(path), "rb") as file:
        if file.read() == data:
            return False
    tmp = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(tmp, "wb") as file:
            file.write(data)
        os.replace(tmp, path)
    except OSError as error:
        hint = "let this user write there, or build with --locked where the locks are complete"
        raise LockError(
            f"cannot write the lock {display or path!r}: {(error.strerror or str(error)).lower()}",
            hint="move the directory away" if os.path.isdir(path) else hint,
        ) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(tmp)
    return True
