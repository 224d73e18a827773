import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.errors import UsageError
from buildrules.oci.reference import DAEMON, LAYOUT, REGISTRY, Reference, parse_reference

A = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registry.example/team/base:1", Reference(REGISTRY, "team/base", host="registry.example", tag="1")),
        ("registry.example:5000/base", Reference(REGISTRY, "base", host="registry.example:5000", tag="latest")),
        ("localhost/base", Reference(REGISTRY, "base", host="localhost", tag="latest")),
        (f"[::1]:5000/base@{A}", Reference(REGISTRY, "base", host="[::1]:5000", digest=A)),
        (f"registry.example/base:1@{A}", Reference(REGISTRY, "base", host="registry.example", tag="1", digest=A)),
        ("oci-layout:some/dir", Reference(LAYOUT, "some/dir")),
        (f"oci-layout:/some/dir:v1@{A}", Reference(LAYOUT, "/some/dir", tag="v1", digest=A)),
        ("oci-layout:dir:host/name:v1", Reference(LAYOUT, "dir", tag="host/name:v1")),
        ("docker-daemon:base", Reference(DAEMON, "base", tag="latest")),
        ("docker-daemon:host:5000/base:1", Reference(DAEMON, "host:5000/base", tag="1")),
        (f"docker-daemon:{A}", Reference(DAEMON, "", digest=A)),
        ("docker-daemon:" + "a" * 64, Reference(DAEMON, "", digest=A)),
    ],
)
def test_reads_and_writes_references(text: str, expected: Reference) -> None:
    found = parse_reference(text)
    assert found == expected
    assert parse_reference(str(found)) == found


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "not an image reference"),
        (" registry.example/base", "not an image reference"),
        ("registry.example/ba\x00se", "not an image reference"),
        ("registry.example/", "not a repository name"),
        ("registry.example/Base", "not a repository name"),
        ("registry.example/../base", "not a repository name"),
        ("registry.example/a//b", "not a repository name"),
        ("registry.example/" + "a" * 256, "not a repository name"),
        ("reg_istry.example/base", "not a host name"),
        ("registry.example:port/base", "not a host name"),
        ("registry.example/base:", "not a tag"),
        ("registry.example/base:-x", "not a tag"),
        ("registry.example/base@sha256:abc", "not a digest"),
        ("registry.example/base@sha512:" + "a" * 128, "user name or password|not a digest"),
        ("https://registry.example/base", "has a scheme"),
        ("oci-layout:", "names no directory"),
        ("oci-layout::tag", "names no directory"),
        ("docker-daemon:", "names no local image"),
        (f"docker-daemon:base@{A}", "names no local image"),
    ],
)
def test_refuses_malformed_references(text: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        parse_reference(text)


def test_a_reference_without_a_host_needs_a_default_registry() -> None:
    with pytest.raises(UsageError, match="names no registry") as caught:
        parse_reference("team/base:1")
    assert caught.value.hint is not None
    assert "default_registry" in caught.value.hint
    assert str(parse_reference("team/base:1", "registry.example")) == "registry.example/team/base:1"
    assert str(parse_reference("base", "registry.example:5000/mirror/")) == "registry.example:5000/mirror/base:latest"
    assert str(parse_reference("other.example/base", "registry.example")) == "other.example/base:latest"
    with pytest.raises(UsageError, match="default_registry"):
        parse_reference("base", "https://registry.example")


@pytest.mark.parametrize(
    "text",
    [
        "ali:hunter2@registry.example/base",
        "https://ali:hunter2@registry.example/base",
        "https://ali:hun@ter2/hunter2@registry.example/base",
        "ali:hunter2@base",
        "docker-daemon:ali:hunter2@base",
    ],
)
def test_errors_do_not_repeat_credentials(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert "ter2" not in f"{caught.value.message} {caught.value.hint}"


_PART = st.from_regex(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+){0,3}", fullmatch=True)


@given(
    host=st.from_regex(r"[a-z][a-z0-9]{0,8}\.[a-z]{2,5}(?::[1-9][0-9]{0,3})?", fullmatch=True),
    parts=st.lists(_PART, min_size=1, max_size=4),
    tag=st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    digest=st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
)
def test_what_is_put_together_comes_apart(host: str, parts: list[str], tag: str | None, digest: str | None) -> None:
    name = "/".join(parts)
    text = f"{host}/{name}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    found = parse_reference(text)
    assert (found.host, found.name, found.digest) == (host, name, digest)
    assert found.tag == (tag or (None if digest else "latest"))
    assert parse_reference(str(found)) == found


@given(st.text())
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        found = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(found)) == found
