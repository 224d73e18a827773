"""What `workspace.connections` takes, and what it says to the rest."""

import pytest

from tests.support.space import Space

S = "{env: X}"


def connected(space: Space, text: str) -> Space:
    space.edit("BUILD.yaml", "  platforms", f"  connections: {{c: {text}}}\n  platforms")
    return space


@pytest.mark.parametrize(
    "text",
    [
        f"{{type: python_feed, target: 'https://c.example/simple', credentials: {{pat: {S}}}}}",
        f"{{type: git, target: 'https://c.example', credentials: {{type: pat, pat: {S}, username: me}}}}",
        f"{{type: s3, target: 's3://b', credentials: {{access_key_id: a, secret_access_key: {S}}}}}",
        f"{{type: azure_blob, target: 'https://c.example/x', credentials: {{sas_token: {S}}}}}",
        f"{{type: http, target: 'http://c.example', plain_http: true, credentials: {{key: {S}, header: X-Key}}}}",
        "{type: mlflow, target: 'https://c.example', credentials: {type: none}}",
        "{type: oci, target: c.example/team}",
    ],
)
def test_taken(workspace: Space, text: str) -> None:
    assert "warning" not in connected(workspace, text).run("query", "//...").err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{type: http, target: 'https://c.example', credentials: {pat: abc}}", ["written out", "{env: NAME}"]),
        (f"{{type: http, target: 'http://c.example', credentials: {{pat: {S}}}}}", ["unencrypted", "plain_http: true"]),
        (f"{{type: s3, target: 's3://b', credentials: {{pat: {S}}}}}", ["takes access_key, none, not 'pat'"]),
        (
            f"{{type: http, target: 'https://c.example', credentials: {{password: {S}}}}}",
            ["password alone say nothing"],
        ),
        ("{type: http, target: 'https://c.example', credentials: {type: pat}}", ["'pat' need pat"]),
        (f"{{type: http, target: 'https://c.example', credentials: {{pat: {S}, key: {S}}}}}", ["'pat' have no key"]),
        (f"{{type: python_feed, target: 'https://c.example', credentials: {{pat: {S}, header: A}}}}", ["no header"]),
        ("{type: http, target: 'https://c.example', credentials: {type: aad}}", ["cannot be used", "use a pat"]),
        ("{type: http, target: 'https://c.example', credentials: {type: managed_identity}}", ["cannot be used"]),
        (f"{{type: azure_blob, target: 'https://c.example', credentials: {{account_key: {S}}}}}", ["use a sas"]),
        ("{type: http, target: 'https://me:pw@c.example'}", ["user name or password"]),
        ("{type: http, target: 'https://me:abc/x@c.example'}", ["user name or password"]),
        ("{type: http, target: 'https://c.example/simple?token=abc'}", ["holds a credential, 'token'"]),
        ("{type: http, target: 'https://c.example'}, C: {type: git, target: 'https://c.example'}", ["rename one"]),
    ],
)
def test_refused(workspace: Space, text: str, words: list[str]) -> None:
    result = connected(workspace, text).run("query", "//...", code=2)
    result.said("BUILD.yaml:", *words)
    assert "abc" not in result.err
