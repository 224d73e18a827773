"""What the command line asked for, as plain data: it is kept in the state, so that the next run need not parse."""

from typing import Any


class Request:
    """A verb, its patterns, and its options by name."""

    __slots__ = ("options", "patterns", "verb")

    def __init__(self, verb: str, patterns: list[str], options: dict[str, Any]) -> None:
        self.verb = verb
        self.patterns = patterns
        self.options = options

    def option(self, name: str, default: Any = None) -> Any:
        """The option's value, or `default` where it was not given."""
        value = self.options.get(name)
        return default if value is None else value

    def to_data(self) -> dict[str, Any]:
        """Plain types for marshal."""
        return {"verb": self.verb, "patterns": self.patterns, "options": self.options}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "Request":
        """Read what `to_data` wrote."""
        return cls(data["verb"], data["patterns"], data["options"])
