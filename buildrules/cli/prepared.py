"""See `buildrules.prepared`."""

from buildrules.prepared import Prepared, prepare

__all__ = ["Prepared", "prepare"]
