"""Image names."""

import pytest

from buildrules.errors import UsageError
from buildrules.oci.names import full, tagged


@pytest.mark.parametrize(
    ("name", "short", "long"),
    [
        ("regressor", "regressor:latest", "docker.io/library/regressor:latest"),
        ("acme/regressor:1.0", "acme/regressor:1.0", "docker.io/acme/regressor:1.0"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"),
        ("Registry.Example/a__b-c.d", "Registry.Example/a__b-c.d:latest", "Registry.Example/a__b-c.d:latest"),
    ],
)
def test_forms(name: str, short: str, long: str) -> None:
    assert tagged(name) == short
    assert full(name) == long


@pytest.mark.parametrize(
    "name",
    [
        "",
        "X",
        "UPPER/x",
        "a//b",
        "/a",
        "a/",
        "a:",
        "a:b:c",
        "a:b/c",
        "a b",
        "a@sha256:0",
        "-a",
        "a.",
        "http://a.b/c",
        "a\n",
    ],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        tagged(name)
    assert caught.value.hint
