"""The formats of `export-to`."""

from importlib import import_module

from buildrules.hosts.export import Format

FORMATS = {"bazel": "buildrules.hosts.bazel:files", "ninja": "buildrules.hosts.ninja:files"}
"""By name: the module and the function."""


def format_named(name: str) -> Format:
    """One of `FORMATS`, imported now."""
    module, _, function = FORMATS[name].partition(":")
    found: Format = getattr(import_module(module), function)
    return found
