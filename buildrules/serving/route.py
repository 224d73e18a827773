"""Where a package answers."""

from dataclasses import dataclass

from buildrules.errors import ServingError


@dataclass(frozen=True, slots=True)
class Route:
    """A port of the container and a path on it, written "5001/score" in rules and labels."""

    port: int
    path: str  # with its leading slash

    @classmethod
    def parse(cls, text: str) -> "Route":
        """Read "<port>/<path>". Raises ServingError."""
        port, _, path = text.partition("/")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536) or any(ord(sign) < 33 for sign in path):
            raise ServingError(f"not a route: {text!r}", hint='write it as "<port>/<path>", for example "5001/score"')
        return cls(int(port), "/" + path)

    def __str__(self) -> str:
        return f"{self.port}{self.path}"
