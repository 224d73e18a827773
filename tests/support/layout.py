"""Reading an image layout (OCI image layout specification)."""

import hashlib
import json
from pathlib import Path
from typing import Any


def layout_image(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(manifest, config) of the one image in a layout, every blob checked."""
    blobs = folder / "blobs" / "sha256"
    for path in blobs.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    (entry,) = json.loads((folder / "index.json").read_text())["manifests"]
    manifest = json.loads((blobs / entry["digest"][7:]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    return manifest, config
