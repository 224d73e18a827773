"""What annotations are written with, for what an edit imports: without importing typing.

That, and a few dozen of its named tuples, take as long as packing an edited script. A type checker sees the real ones.
At run time names of types mean nothing, and a named tuple is one that is made without compiling anything: it has
fields, defaults, `_replace` and `_asdict`, is equal to a tuple of the same values and goes into one by `tuple`.
"""

__all__ = ["TYPE_CHECKING", "Any", "BinaryIO", "NamedTuple", "Protocol", "TextIO", "TypeVar", "cast"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, NamedTuple, Protocol, TextIO, TypeVar, cast
else:
    from _collections import _tuplegetter  # what collections.namedtuple makes fields of

    Any = BinaryIO = Protocol = TextIO = object

    def TypeVar(_name, **_bound):  # noqa: N802
        """A type that may be any."""
        return object

    def cast(_type, value):
        """The value, as it is."""
        return value

    class _Fields(type):
        """Makes a property of each annotation of a named tuple."""

        def __new__(cls, name, bases, body):
            late = body.get("__annotate_func__")  # where annotations are kept since Python 3.14 (PEP 649)
            fields = tuple(late(1) if late else body.get("__annotations__", ()))
            if fields:
                body["_fields"] = fields
                body["_places"] = {field: place for place, field in enumerate(fields)}
                body["_defaults"] = [body.pop(field, _filled) for field in fields]  # _filled where there is none
                body.update((field, _tuplegetter(place, None)) for place, field in enumerate(fields))
            return super().__new__(cls, name, bases, {"__slots__": (), **body})

    class NamedTuple(tuple, metaclass=_Fields):
        """A tuple whose values have the names that a subclass annotates."""

        def __new__(cls, *values, **named):
            if named or len(values) != len(cls._fields):
                values = _filled(cls, values, named)
            return tuple.__new__(cls, values)

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **named):
            values = list(self)
            for field, value in named.items():
                if field not in self._places:
                    raise TypeError(f"{type(self).__name__} has no field {field}")
                values[self._places[field]] = value
            return tuple.__new__(type(self), values)

    def _filled(form, values, named):
        """All values of a named tuple, of which some are given by name or have defaults. Raises TypeError."""
        start, places = len(values), form._places
        found = [*values, *form._defaults[start:]]
        for field, value in named.items():
            if places.get(field, -1) < start:
                found.append(value)  # too many
            else:
                found[places[field]] = value
        if len(found) != len(places) or _filled in found:
            raise TypeError(f"{form.__name__} has the fields {', '.join(form._fields)}")
        return found
