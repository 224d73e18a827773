"""Where the store is. Imported on every path, so it imports nothing but os."""

import os


def store_root() -> str:
    """`$BUILDRULES_CACHE_DIR`, else `$XDG_CACHE_HOME/buildrules`, else `~/.cache/buildrules` (absolute)."""
    chosen = os.environ.get("BUILDRULES_CACHE_DIR")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(os.path.abspath(base), "buildrules")
