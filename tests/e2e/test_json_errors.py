"""`--json` is JSON, whatever goes wrong before a verb has begun."""

import json

import pytest

from tests.support.space import Space


@pytest.mark.parametrize("verb", ["build", "test", "lint", "show", "query"])
@pytest.mark.parametrize("broken", [True, False])
def test_a_failure_is_json(workspace: Space, verb: str, broken: bool) -> None:
    if broken:
        workspace.write("BUILD.yaml", "targets: [")
    told = workspace.run(verb, "//:nope", "--output=json" if verb == "query" else "--json", code=2)
    assert json.loads(told.out)["errors"][0]["message"]
