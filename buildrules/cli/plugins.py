"""See `buildrules.plugins`."""

from buildrules.plugins import import_plugins, plugin_files, plugins_digest

__all__ = ["import_plugins", "plugin_files", "plugins_digest"]
