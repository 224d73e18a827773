"""Two workspaces in one process, built at the same time: neither has anything of the other's session."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from buildrules.cli.invocation import Invocation
from buildrules.cli.request import Request
from tests.oci.registry.servers import Answer, Seen, web
from tests.support.space import APP, Space

TOKENS = {"one": "canary-of-one", "two": "canary-of-two"}


def test_each_sends_its_own_credentials(new_space: Callable[..., Space], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have a connection to one address. The server lets the first request of each wait for the other's."""
    both = threading.Barrier(len(TOKENS), timeout=60)
    met: set[str] = set()

    def answer(request: Seen) -> Answer:
        name = request.path.removeprefix("/models/").partition("/")[0]
        if name not in met:
            met.add(name)
            both.wait()
        if request.headers.get("authorization") != f"Bearer {TOKENS[name]}":
            return 401, {}, b""
        return 200, {}, f"weights of {name}".encode() * 1000

    def build(name: str) -> str:
        space = spaces[name]
        request = Request("build", [APP], {"quiet": True})
        invocation = Invocation(str(space.root), "", ["build", APP], request)
        invocation.prepare(None)
        assert invocation.build().ok
        return invocation.results[0].digest

    spaces = {name: new_space(name) for name in TOKENS}
    for name, value in spaces["one"].env.items():
        monkeypatch.setenv(name, value)
    with web(answer) as server:
        address = f"http://{server.host}/models"
        for name, space in spaces.items():
            space.write("token", TOKENS[name])
            store = f'{{type: http, target: "{address}", credentials: {{type: api_key, key: {{file: token}}}}}}'
            space.edit("BUILD.yaml", "  platforms:", f"  connections: {{store: {store}}}\n  platforms:")
            space.edit("BUILD.yaml", "path: weights", f'uri: "{address}/{name}/m.bin"')
        with ThreadPoolExecutor(len(TOKENS)) as pool:
            digests = set(pool.map(build, TOKENS))
    assert len(digests) == len(TOKENS)
    assert met == set(TOKENS)
    for request in server.seen:
        name = request.path.split("/")[2]
        assert request.headers["authorization"] == f"Bearer {TOKENS[name]}"
