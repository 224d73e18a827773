"""Paths in an image, as attributes name them."""

import pytest

from buildrules.errors import LoadError
from buildrules.rules.paths import image_path


@pytest.mark.parametrize("path", ["/a\nb", "/a\0b", "/a\x7f", "/a\x85b", "/opt/.wh.x", "/.wh..wh..opq"])
def test_a_path_that_harms_is_refused(path: str) -> None:
    with pytest.raises(LoadError, match="not a path in an image"):
        image_path(path)


@pytest.mark.parametrize("path", ["/opt/app", "/opt/grüezi", "/a b"])
def test_a_plain_path_is_good(path: str) -> None:
    assert image_path(path) == path
