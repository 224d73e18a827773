"""Paths of files that people name."""

import os


def display(path: str) -> str:
    """A path for people: relative to the current directory where that is shorter."""
    try:
        short = os.path.relpath(path)
    except (ValueError, OSError):
        return path
    return short if not short.startswith("../../..") and len(short) <= len(path) else path


def is_within(path: str, directory: str) -> bool:
    """Whether an absolute path is a directory or lies below it."""
    return f"{path.rstrip('/')}/".startswith(directory.rstrip("/") + "/")


def common_directory(paths: list[str]) -> str:
    """The directory that holds all of the absolute `paths` (those that end with a slash are directories)."""
    folders = [path.rstrip("/") or "/" if path.endswith("/") else os.path.dirname(path) for path in paths]
    return os.path.commonpath(folders)
