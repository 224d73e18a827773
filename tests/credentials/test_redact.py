"""What is taken out of texts with addresses before they are shown."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.cli.report import error_json, error_text
from buildrules.credentials.redact import redact, scrub, without_logins
from buildrules.credentials.secret_names import seems_secret
from buildrules.document.source import Source
from buildrules.errors import BuildrulesError, Position

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"see https://u:{SECRET}@host/simple now", "see https://host/simple now"),
        (f"https://u:{SECRET}/x@host/simple", "https://host/simple"),
        (f"https://u:{SECRET}/x@y/{SECRET}@host", "https://host"),
        (f"https://{SECRET}/x@host", "https://host"),
        (f"https://u:a?{SECRET}@host", "https://host"),
        (f"https://u:a#{SECRET}@host", "https://host"),
        (f"https://u:12/{SECRET}@host", "https://host"),
        (f"'https://u:{SECRET}/x@host' and \"http://v:{SECRET}/@h/a\"", "'https://host' and \"http://h/a\""),
        (f"--trusted-host u:{SECRET}@h", "--trusted-host h"),
        (f"--trusted-host={SECRET}@h:8080", "--trusted-host=h:8080"),
        (f"a.whl#sig={SECRET}", "a.whl"),
        (f"a @ https://h/a.whl#sig={SECRET}", "a @ https://h/a.whl"),
        (f"https://h/a?sig={SECRET}&b=c", "https://h/a"),
        (f"s3://b:{SECRET}/x@host/a", "s3://host/a"),
        ("https://******@host/a", "https://******@host/a"),
        ("oci://host/model@sha256:abc", "oci://host/model@sha256:abc"),
        ("git+ssh://host/repo@v1", "git+ssh://host/repo@v1"),
        ("git+https://hub.example/x/y.git@v1", "git+https://hub.example/x/y.git@v1"),
        ("-e git+ssh://git@host/team/common.git@abc#egg=x", "-e git+ssh://git@host/team/common.git@abc#egg=x"),
        ("git+file:///srv/x.git@v1", "git+file:///srv/x.git@v1"),
        (f"git+ssh://git:{SECRET}@host/team/x.git", "git+ssh://host/team/x.git"),
        (f"git+https://u:{SECRET}@host/team/x.git@abc#egg=x", "git+https://host/team/x.git@abc#egg=x"),
        (f"git+https://{SECRET}@host/x.git@abc#token={SECRET}", "git+https://host/x.git@abc"),
        (f"git+https://u:{SECRET}@b/{SECRET}.git@host/x", "git+https://host/x"),
        ("https://hub.example/models/@team/iris", "https://hub.example/models/@team/iris"),
        ("wasbs://container@account.example/x", "wasbs://container@account.example/x"),
        (f"wasbs://container:{SECRET}@account.example/x", "wasbs://account.example/x"),
        ("a.whl#sha256=abc, a@b.c # not=hidden", "a.whl#sha256=abc, a@b.c # not=hidden"),
        ("//models:iris and mail a@b.c", "//models:iris and mail a@b.c"),
    ],
)
def test_logins_are_taken_out(text: str, shown: str) -> None:
    assert without_logins(text) == shown == scrub(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://u:{SECRET}/x@host/a.whl", "https://host/a.whl"),
        (f"https://u:{SECRET}?x@host/a.whl#b", "https://host/a.whl"),
        ("https://host:8080/a@b/c.whl", "https://host:8080/a@b/c.whl"),
        ("https://[::1]:80/a@b", "https://[::1]:80/a@b"),
        ("file:///a@b.whl", "file:///a@b.whl"),
    ],
)
def test_what_is_stored_of_an_address(url: str, shown: str) -> None:
    assert redact(url) == shown


@pytest.mark.parametrize(
    "name", ["Authorization", "x-api-key", "API_KEY", "TOKEN", "DB_PASSWORD", "Cookie", "AWS_SECRET_ACCESS_KEY", "SAS"]
)
def test_names_of_secrets(name: str) -> None:
    assert seems_secret(name)


@pytest.mark.parametrize("name", ["PATH", "content-type", "AZUREML_LOG_LEVEL", "KEYBOARD", "SIGNAL", "x-request-id"])
def test_other_names(name: str) -> None:
    assert not seems_secret(name)


def test_errors_show_none_wherever_they_come_from() -> None:
    error = BuildrulesError(
        f"'https://u:{SECRET}/x@h' is not there",
        hint=f"ask https://h/a?token={SECRET}",
        position=Position("BUILD.yaml", 1, 1, f"target: https://u:{SECRET}/x@h"),
        log=f"tried https://u:{SECRET}@h",
    )
    assert SECRET not in error_text(error)
    assert SECRET not in str(error_json(error))
    plain = BuildrulesError("see https://h/a?page=2")
    assert error_text(plain) == "error: see https://h/a?page=2"


def test_long_texts_take_no_longer_than_they_are() -> None:
    """Where the time grew with the square this would not end."""
    for text in ("://" * 200_000, "@" + "://" * 200_000, "a" * 600_000 + "@", "--trusted-host " * 40_000 + "@"):
        without_logins(text)


def test_a_long_line_is_covered_around_its_place() -> None:
    line = "@://a:" * 40_000 + f"https://u:{SECRET}@h " + "@://a:" * 40_000
    place = Source("BUILD.yaml", line).position(1, line.index("https") + 1, 5)
    assert "@h @" in place.excerpt and SECRET not in place.excerpt


ANYWHERE = r"token|secret|passw|pwd|credential|cookie|auth|jwt|bearer"
EXPRESSION = rf"(?i){ANYWHERE}|(?:^|[^a-z])(?:key|sig|sas|pat)s?(?:$|[^a-z])|[a-z_-]key$"


@given(st.text(st.sampled_from("keysigatpw_-. 1ESKPAT\u212a\u017f"), max_size=12))
def test_names_of_secrets_are_as_this_expression_has_them(name: str) -> None:
    assert seems_secret(name) == (re.search(EXPRESSION, name) is not None)
