"""Where the bytes of a recipe come from."""

import os
from typing import Any

from buildrules.errors import IntegrityError
from buildrules.oci.recipe import bad_path
from buildrules.store.blobs import Blobs


class Sources:
    """Resolves the `source` of a part: files of one workspace and blobs of one store."""

    def __init__(self, workspace: str, blobs: Blobs) -> None:
        self.workspace = workspace
        self.blobs = blobs

    def path(self, source: dict[str, Any]) -> str:
        """Absolute path of `{"workspace": rel}` or `{"blob": digest}`. It need not exist.

        Raises IntegrityError for anything else, and for a path that is not relative and normalised.
        """
        if len(source) == 1:
            if "blob" in source:
                return self.blobs.path(source["blob"])
            relative = source.get("workspace")
            if isinstance(relative, str):
                problem = bad_path(relative)
                if problem:
                    raise IntegrityError(f"source path {relative!r} {problem}")
                return os.path.join(self.workspace, relative)
        raise IntegrityError(f"not a source of bytes: {source!r}")
