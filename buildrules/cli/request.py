"""What the command line asked for, as plain data: it is kept in the state, so that the next run need not parse."""

from buildrules.typed import Any, NamedTuple


class Request(NamedTuple):
    """A verb, its patterns, and its options by name."""

    verb: str
    patterns: list[str]
    options: dict[str, Any]

    def option(self, name: str, default: Any = None) -> Any:
        """The option's value, or `default` where it was not given."""
        value = self.options.get(name)
        return default if value is None else value
