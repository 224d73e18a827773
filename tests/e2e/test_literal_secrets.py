"""Credentials written into a BUILD.yaml: refused, and shown nowhere."""

import pytest

from tests.support.space import APP, Space

SECRET = "canary-5e1f"
INPUT = '    inputs: [":i"]\n  i: {{rule: input, uri: "{}", mount_path: /data}}\n'


@pytest.mark.parametrize(
    "requirement",
    [
        f"--index-url https://user:{SECRET}@feeds.example/simple",
        f"numlib @ https://feeds.example/numlib-1.0-py3-none-any.whl?token={SECRET}",
        f"numlib @ https://user:{SECRET}@feeds.example/numlib-1.0-py3-none-any.whl",
    ],
)
def test_in_a_requirement(workspace: Space, requirement: str) -> None:
    workspace.edit("BUILD.yaml", "[numlib==1.0]", f'["{requirement}"]')
    refused(workspace)


@pytest.mark.parametrize(
    "uri",
    [
        f"https://files.example/x?access_token={SECRET}",
        f"https://files.example/x?a=1&sig={SECRET}",
        f"https://files.example/x#token={SECRET}",
        f"https://user:{SECRET}@files.example/x",
    ],
)
def test_in_the_address_of_an_input(workspace: Space, uri: str) -> None:
    workspace.append("BUILD.yaml", INPUT.format(uri))
    refused(workspace)


def refused(workspace: Space) -> None:
    told = workspace.run("build", APP, code=2).said("BUILD.yaml:", "***")
    assert SECRET not in told.out + told.err
    for path in workspace.store.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
