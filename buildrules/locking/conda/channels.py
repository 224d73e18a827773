"""Where a channel of conda packages is."""

import os
import re

from buildrules.credentials.redact import redact
from buildrules.errors import LoadError, Position
from buildrules.locking.python.collector import Asked

DEFAULT_CHANNEL = "conda-forge"
ANACONDA = "https://conda.anaconda.org/"


def channel_url(asked: Asked, root: str, folder: str, connections: dict[str, str]) -> str | None:
    """The address of a channel; None for one that means nothing. `connections` are those to channels: name -> address.

    A name is that of a connection, or of a channel at anaconda.org; a path starts at `folder` and stays in the
    workspace `root`. Raises LoadError.
    """
    from pathlib import Path

    from buildrules.locking.python.requirement import inside_workspace

    text = asked.text.rstrip("/")
    if text in connections:
        return connections[text].rstrip("/")
    if text == "nodefaults":
        return None
    if text == "defaults":
        raise LoadError(
            "the channel 'defaults' stands for Anaconda's own, which not everybody may use",
            hint="name them by address where you may, https://repo.anaconda.com/pkgs/main; or others in `channels` of"
            " the target, such as conda-forge",
            position=asked.position,
        )
    if text.startswith(("https://", "http://", "file://")):
        if redact(text) != text or "/t/" in text:
            raise LoadError(
                "the address of a channel holds a credential",
                hint="take it out, and give it by a connection of type conda_channel",
                position=Position(asked.position.path, asked.position.line, asked.position.column),  # without the line
            )
        return text
    if text.startswith((".", "/")):
        found = inside_workspace(root, os.path.join(root, folder, text))
        if found is None:
            raise LoadError(
                f"the channel {text!r} lies outside of the workspace",
                hint="name it as file://",
                position=asked.position,
            )
        return Path(root, found).as_uri()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./-]*", text):
        raise LoadError(f"{text!r} is not a channel", position=asked.position)
    return ANACONDA + text
