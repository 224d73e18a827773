"""Whether plain data that others wrote has the form that a named tuple's annotations ask for."""

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType

from buildrules.typed import Any

_PLAIN = frozenset({str, int, bool, NoneType})


def misfit(form: type[tuple[Any, ...]], values: tuple[Any, ...]) -> str | None:
    """The name of the first field of the named tuple `form` that `values` give another type of value; None: all fit."""
    for (name, wanted), value in zip(form.__annotations__.items(), values, strict=False):
        if not _fits(value, wanted):
            return name
    return None


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value is of the type `wanted`. A list is a sequence, also one of fixed length, as JSON has no tuples;
    numbers are no truth values; keys are texts. Types that JSON does not have fit everything.
    """
    if wanted in _PLAIN or wanted is float:
        return type(value) is wanted or (wanted is float and type(value) is int)
    inner: tuple[Any, ...] = getattr(wanted, "__args__", ())
    outer = getattr(wanted, "__origin__", None)
    if isinstance(wanted, UnionType):
        fits = any(_fits(value, one) for one in inner)
    elif outer is Mapping:
        fits = isinstance(value, Mapping) and all(type(key) is str and _fits(value[key], inner[1]) for key in value)
    elif outer is Sequence:
        fits = isinstance(value, (list, tuple)) and all(_fits(one, inner[0]) for one in value)
    elif outer is tuple:
        fits = isinstance(value, (list, tuple)) and len(value) == len(inner) and all(map(_fits, value, inner))
    else:
        fits = True
    return fits
