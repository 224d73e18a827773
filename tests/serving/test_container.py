"""Real containers: started, asked, followed, and gone afterwards however it ends."""

import contextlib
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildrules.errors import ServingError
from buildrules.oci.docker import load
from buildrules.oci.docker_http import Engine
from buildrules.serving.attempt import Outcome
from buildrules.serving.container import Container
from buildrules.serving.probe import url_of, wait_ready
from buildrules.serving.request import ask, curl_line
from buildrules.serving.route import Route
from buildrules.serving.trial import Exchange, Trial
from tests.support.handmade import Shelf, image_of

pytestmark = pytest.mark.docker

SERVE = """
trap 'echo bye; exit 0' TERM
echo "greeting is $GREETING"
echo complaint >&2
busybox httpd -p 8080 -h /www
while :; do busybox sleep 0.1; done
"""
ECHO = "#!/bin/busybox sh\necho 'Content-Type: application/json'\necho\ncat\n"


@pytest.fixture
def image(engine: Engine, shelf: Shelf, busybox: bytes, name: str) -> str:
    tools = shelf.layer({"bin/busybox": busybox, "www/cgi-bin/score": ECHO.encode()}, "tools", mode=0o755, packed=True)
    pages = shelf.layer({"www/ready": b"yes"}, "pages")
    made = image_of(
        [tools, pages],
        entrypoint=["/bin/busybox", "sh", "-c", SERVE],
        environment={"PATH": "/bin", "GREETING": "hello"},
        labels={"test": name},
    )
    load(engine, made, [name + ":1"], shelf.stream)
    return name + ":1"


def other(engine: Engine, shelf: Shelf, busybox: bytes, name: str, *command: str) -> str:
    """An image that runs something else."""
    tools = shelf.layer({"bin/busybox": busybox}, "tools", mode=0o755, packed=True)
    load(engine, image_of([tools], entrypoint=list(command), labels={"test": name}), [name + ":2"], shelf.stream)
    return name + ":2"


class Nobody:
    """Watches nothing."""

    def progress(self, what: str, done: int, total: int | None) -> None:
        """Nothing to say."""

    def at_cancel(self, stop: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
        """Nobody cancels."""
        return contextlib.nullcontext()


def left(engine: Engine, image: str) -> list[str]:
    """The containers of an image there are, running or not."""
    return [item["Id"] for item in engine.call("GET", "/containers/json", query={"all": 1}) if item["Image"] == image]


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_start_ask_follow_stop(engine: Engine, image: str) -> None:
    with Container(engine, image, ports={8080: None}, environment={"GREETING": "a b=c"}) as container:
        assert wait_ready(container, Route.parse("8080/ready"), timeout=20) > 0
        assert container.address(8080)[0] == "127.0.0.1"
        answer = ask(container, Route.parse("8080/cgi-bin/score"), method="POST", body=b'{"data": [1]}')
        assert (answer.status, answer.body) == (200, b'{"data": [1]}')
        assert answer.headers["content-type"] == "application/json"
        assert container.state().running
        assert sorted(container.log().splitlines()) == ["complaint", "greeting is a b=c"]
        heard: list[tuple[str, str]] = []
        listener = threading.Thread(target=lambda: heard.extend(container.follow()))
        listener.start()
    listener.join(10)
    assert sorted(heard) == [("stderr", "complaint"), ("stdout", "bye"), ("stdout", "greeting is a b=c")]
    assert left(engine, image) == []


def test_the_curl_line_works(engine: Engine, image: str, tmp_path: Path) -> None:
    sample = tmp_path / "my sample.json"
    sample.write_text('{"data": [1]}')
    with Container(engine, image, ports={8080: None}) as container:
        wait_ready(container, Route.parse("8080/ready"), timeout=20)
        line = curl_line(url_of(container, Route.parse("8080/cgi-bin/score")), str(sample))
        said = subprocess.run(["sh", "-c", line + " --silent"], check=True, capture_output=True, text=True)
    assert said.stdout == '{"data": [1]}'


def test_a_given_port(engine: Engine, image: str) -> None:
    with taken_port() as port:
        pass
    with Container(engine, image, ports={8080: port}) as container:
        wait_ready(container, Route.parse("8080/ready"), timeout=20)
        assert container.address(8080) == ("127.0.0.1", port)


def test_a_port_in_use(engine: Engine, image: str) -> None:
    with taken_port() as port, pytest.raises(ServingError, match=f"port {port} .* in use") as caught:
        Container(engine, image, ports={8080: port}).start()
    assert caught.value.hint
    assert left(engine, image) == []


def test_a_port_of_another_container_of_ours(engine: Engine, image: str) -> None:
    with Container(engine, image, ports={8080: None}, title="//:first") as first:
        port = first.address(8080)[1]
        with pytest.raises(ServingError, match=f"cannot start '//:second': port {port} .*'//:first'") as caught:
            Container(engine, image, ports={8080: port}, title="//:second").start()
        assert f"buildrules stop {first.id};" in (caught.value.hint or "")
    assert left(engine, image) == []


def test_waiting_tells_how_long(engine: Engine, image: str) -> None:
    heard: list[tuple[float, str]] = []
    with (
        Container(engine, image, ports={8080: None}, title="//:app") as container,
        pytest.raises(ServingError, match="'//:app' was not ready"),
    ):
        wait_ready(container, Route.parse("8080/no"), timeout=0.7, progress=lambda *items: heard.append(items))
    assert heard == sorted(heard)
    assert heard[-1][1] == "answered 404"


def test_b5_one_that_listens_at_its_own_loopback(engine: Engine, shelf: Shelf, busybox: bytes, name: str) -> None:
    image = other(engine, shelf, busybox, name, "/bin/busybox", "httpd", "-f", "-p", "127.0.0.1:8080")
    with (
        Container(engine, image, ports={8080: None}, grace=0.5) as container,
        pytest.raises(ServingError, match=r"only at 127\.0\.0\.1, where nobody outside .*: use 0\.0\.0\.0"),
    ):
        wait_ready(container, Route.parse("8080/ready"), timeout=1)


def test_ready_by_connection_alone(engine: Engine, image: str) -> None:
    with Container(engine, image, ports={8080: None}) as container:
        assert wait_ready(container, port=8080, timeout=20) > 0


def test_one_that_exits_at_once(engine: Engine, shelf: Shelf, busybox: bytes, name: str) -> None:
    image = other(engine, shelf, busybox, name, "/bin/busybox", "sh", "-c", "echo cannot load the model >&2; exit 3")
    with (
        pytest.raises(ServingError, match="exited with code 3 before it was ready") as caught,
        Container(engine, image, ports={8080: None}) as container,
    ):
        wait_ready(container, Route.parse("8080/ready"), timeout=20)
    assert caught.value.log == "cannot load the model\n"
    assert left(engine, image) == []


@pytest.mark.parametrize(
    ("route", "port", "reason"), [("8080/nothing", None, "answered 404"), (None, 8081, "closed|refused|reset")]
)
def test_one_that_never_gets_ready(
    engine: Engine, image: str, route: str | None, port: int | None, reason: str
) -> None:
    with Container(engine, image, ports={8080: None, 8081: None}) as container:
        parsed = Route.parse(route) if route else None
        with pytest.raises(ServingError, match=f"not ready after 1 s: .*({reason})") as caught:
            wait_ready(container, parsed, port=port, timeout=1)
    assert "greeting" in (caught.value.log or "")
    assert caught.value.hint == "see the end of its log; or allow more time"


def test_one_that_says_nothing_is_not_said_to_have_a_log(
    engine: Engine, shelf: Shelf, busybox: bytes, name: str
) -> None:
    image = other(engine, shelf, busybox, name, "/bin/busybox", "sleep", "600")
    with Container(engine, image, ports={8080: None}, grace=0.5) as container, pytest.raises(ServingError) as caught:
        wait_ready(container, Route.parse("8080/x"), timeout=1)
    assert not caught.value.log
    assert caught.value.hint == "it wrote nothing to its log; or allow more time"


def test_a_port_nobody_published(engine: Engine, image: str) -> None:
    with Container(engine, image) as container, pytest.raises(ServingError, match=r"8080 .* not published"):
        wait_ready(container, Route.parse("8080/ready"), timeout=20)


def test_one_that_ignores_sigterm_is_killed(engine: Engine, shelf: Shelf, busybox: bytes, name: str) -> None:
    image = other(engine, shelf, busybox, name, "/bin/busybox", "sleep", "600")  # as process 1 it ignores SIGTERM
    with Container(engine, image, grace=1) as container:
        assert container.state().running
    assert left(engine, image) == []


def test_a_failure_has_what_the_server_wrote_after_its_answer(
    engine: Engine, shelf: Shelf, busybox: bytes, name: str
) -> None:
    script = "#!/bin/busybox sh\necho 'Status: 500'\necho\n(sleep 0.1; echo Traceback >/proc/1/fd/2) >&- 2>&- &\n"
    files = {"bin/busybox": busybox, "www/cgi-bin/score": script.encode(), "www/ready": b"yes"}
    tools = shelf.layer(files, "tools", mode=0o755, packed=True)
    made = image_of([tools], entrypoint=["/bin/busybox", "sh", "-c", SERVE], environment={"PATH": "/bin"})
    load(engine, made, [name + ":3"], shelf.stream)
    asked = Exchange("first", "GET", Route.parse("8080/cgi-bin/score"), {}, None, {})
    outcome = Outcome()
    with Container(engine, name + ":3", ports={8080: None}) as container:
        Trial([asked], Route.parse("8080/ready")).run(container, Nobody(), outcome)
    (problem,) = outcome.problems
    assert problem["kind"] == "wrong status"
    assert "Traceback" in problem["log"]


def test_what_cannot_start(engine: Engine, shelf: Shelf, busybox: bytes, name: str) -> None:
    image = other(engine, shelf, busybox, name, "/bin/nothing")
    with pytest.raises(ServingError, match="/bin/nothing") as caught:
        Container(engine, image).start()
    assert caught.value.hint
    with pytest.raises(ServingError, match="cannot start 'nothing:here'"):
        Container(engine, "nothing:here").start()
    assert left(engine, image) == []


def test_somebody_else_removes_it(engine: Engine, image: str) -> None:
    with Container(engine, image, ports={8080: None}) as container:
        engine.call("DELETE", f"/containers/{container.id}", query={"force": 1})
        with pytest.raises(ServingError, match="gone"):
            container.state()


def test_output_without_a_line_break_and_not_utf8(engine: Engine, shelf: Shelf, busybox: bytes, name: str) -> None:
    image = other(engine, shelf, busybox, name, "/bin/busybox", "printf", "caf\\351\\nlast")
    with Container(engine, image) as container:
        assert container.wait() == 0
        assert list(container.follow()) == [("stdout", "caf\ufffd"), ("stdout", "last")]
        assert container.state().exit_code == 0


def test_curl_lines() -> None:
    url = "http://127.0.0.1:8080/score"
    assert curl_line(url) == f"curl {url}"
    assert curl_line(url, "sample.json") == f"curl {url} -H 'Content-Type: application/json' -d @sample.json"
    assert shlex.split(curl_line(url, inline='{"it\'s": 1}'))[-1] == '{"it\'s": 1}'


@pytest.mark.parametrize("text", ["", "score", "/score", "0/x", "70000/x", "80/a b", "80/a\nb", "-1/"])
def test_what_is_no_route(text: str) -> None:
    with pytest.raises(ServingError, match="not a route"):
        Route.parse(text)


def test_routes() -> None:
    assert (Route.parse("5001/"), Route.parse("5001"), str(Route.parse("5001/score"))) == (
        Route(5001, "/"),
        Route(5001, "/"),
        "5001/score",
    )
