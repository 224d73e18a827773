"""The named tuples of the short paths behave as those of typing do."""

import copy
import pickle
from collections.abc import Callable
from typing import Any
from typing import NamedTuple as Real

import pytest

from buildrules import typed


class Ours(typed.NamedTuple):
    name: str
    size: int = 0
    rest: tuple[int, ...] = ()

    @property
    def twice(self) -> int:
        return 2 * self.size


class Theirs(Real):
    name: str
    size: int = 0
    rest: tuple[int, ...] = ()

    @property
    def twice(self) -> int:
        return 2 * self.size


@pytest.mark.parametrize(
    "use",
    [
        lambda form: form("a"),
        lambda form: form("a", 2, (3,)),
        lambda form: form(rest=(1,), name="b"),
        lambda form: form("a", 2)._replace(size=5, name="c"),
        lambda form: form("a", 2)._asdict(),
        lambda form: form("a", 2).twice + form("a", 3)[1],
        lambda form: {form("a"): 1}[form("a", 0, ())],
        lambda form: repr(form("a", 2)).partition("(")[2],
        lambda form: copy.deepcopy(form("a", 2)),
        lambda form: [*form("a", 2)],
        lambda form: form._fields,
        lambda form: (hasattr(form("a"), "__dict__"), isinstance(form("a"), tuple), form("a") == ("a", 0, ())),
        lambda form: pickle.loads(pickle.dumps(form("a", 2))),
    ],
)
def test_it_is_as_one_of_typing(use: Callable[[Any], object]) -> None:
    assert use(Ours) == use(Theirs)


@pytest.mark.parametrize(
    "use",
    [
        lambda form: form(),
        lambda form: form("a", 1, (), 4),
        lambda form: form("a", name="b"),
        lambda form: form("a", other=1),
        lambda form: form("a", 1, (), rest=()),
    ],
)
def test_what_does_not_fit_is_refused(use: Callable[[Any], object]) -> None:
    for form in (Ours, Theirs):
        with pytest.raises(TypeError):
            use(form)


def test_no_field_can_be_set() -> None:
    with pytest.raises(AttributeError):
        Ours("a").size = 3  # type: ignore[misc]
    with pytest.raises((TypeError, ValueError), match="other"):  # the first since Python 3.13
        Theirs("a")._replace(other=1)
    with pytest.raises(TypeError):
        Ours("a")._replace(other=1)
