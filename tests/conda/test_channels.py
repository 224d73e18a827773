"""Where conda packages come from: folders, addresses, names; private ones, and what may go wrong with them."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator

import pytest

from buildrules.store.shape import PARTS
from tests.support.canary import Canary
from tests.support.conda import MINOR, Channel
from tests.support.quick import first_quick
from tests.support.space import Space, make_base
from tests.support.web import Web

LOCK = "conda.env-linux-amd64.lock"
CONNECTION = """\
  connections:
    conda-forge: {type: conda_channel, target: "URL/private", credentials: {pat: {env: CHANNEL_TOKEN}}}
"""


@pytest.fixture
def web() -> Iterator[Web]:
    found = Web()
    yield found
    found.close()


def serve(space: Space, web: Web, at: str = "/private") -> None:
    """The channel of a workspace, moved to a server."""
    folder = space.root / "channel"
    for path in folder.rglob("*.*"):
        if path.is_file():
            web.files[f"{at}/{path.relative_to(folder)}"] = path.read_bytes()
            path.unlink()


@pytest.fixture
def private(space: Space, web: Web) -> tuple[Space, Canary]:
    """A workspace whose channel wants a token, which a connection gives."""
    canary = Canary(plain=True)
    serve(space, web)
    web.wanted = "Basic " + base64.b64encode(f"__token__:{canary.text}".encode()).decode()
    space.edit("BUILD.yaml", "name: acme\n", "name: acme\n" + CONNECTION.replace("URL", web.url))
    space.edit("environment.yml", "./channel", "conda-forge")
    space.env["CHANNEL_TOKEN"] = canary.text
    return space, canary


def test_a_private_channel_is_asked_with_its_connection_and_the_secret_is_kept_nowhere(
    private: tuple[Space, Canary], web: Web
) -> None:
    space, canary = private
    report = space.build("//:env")
    assert f'url = "{web.url}/private/noarch/pure-2.0-0.conda"' in space.path(LOCK).read_text()
    assert canary.found(space.root, space.store) == []
    assert not canary.inside((json.dumps(report.data) + report.err).encode())
    assert {path for path, _ in web.seen if path.endswith("pure-2.0-0.conda")} == {"/private/noarch/pure-2.0-0.conda"}


def test_a_secret_goes_to_its_channel_alone(
    private: tuple[Space, Canary], conda: Callable[..., Space], web: Web
) -> None:
    space, canary = private
    other = Web()
    serve(conda("other"), other, at="/private")
    space.edit("environment.yml", "  - conda-forge\n", f"  - conda-forge\n  - {other.url}/private\n")
    said = space.run("lock", "//:env", code=None).said("would get the credentials of connection 'conda-forge'")
    assert not [headers for _, headers in other.seen if canary.inside(str(headers).encode())]
    assert not canary.inside((said.out + said.err).encode())
    other.close()


def test_a_secret_does_not_follow_where_a_channel_redirects(private: tuple[Space, Canary], web: Web) -> None:
    space, canary = private
    other = Web()
    for path in ("noarch/repodata.json.zst", "noarch/repodata.json", "linux-64/native-1.0-0.conda"):
        other.files[f"/private/{path}"] = web.files.get(f"/private/{path}", b"")
        web.faults[f"/private/{path}"] += [f"redirect {other.url}/private/{path}"] * 9
    space.run("build", "//:env", code=None)
    assert other.seen and not [headers for _, headers in other.seen if canary.inside(str(headers).encode())]
    other.close()


def test_a_refused_token_names_its_connection(private: tuple[Space, Canary]) -> None:
    space, canary = private
    space.run("build", "//:env")
    space.env["CHANNEL_TOKEN"] = "old"
    said = space.clean_run("build", "//:env", code=None).said("connection 'conda-forge' was refused by", "401")
    assert not canary.inside((said.out + said.err).encode())
    said = space.run("lock", "//:env", code=None).said("connection 'conda-forge' was refused by", "401")
    del space.env["CHANNEL_TOKEN"]
    space.run("lock", "//:env", code=None).said("CHANNEL_TOKEN")


def test_a_server_that_is_not_there(space: Space, web: Web) -> None:
    space.edit("environment.yml", "./channel", f"{web.url}/nothing")
    space.run("build", "//:env", code=None).said("the channels of 'env' could not be asked for packages")
    space.edit("environment.yml", f"{web.url}/nothing", "http://nowhere.invalid/c")
    said = space.run("build", "//:env", code=None).said(
        "environment.yml:3:5: the channels of 'env' could not be asked for packages",
        "error sending request for url (http://nowhere.invalid/c/",  # either of its two folders comes first
        "a mirror is a connection: NAME: {type: conda_channel, target: ADDRESS}",
    )
    assert said.err.count("Caused by") <= 2


def test_a_folder_that_is_no_channel(space: Space) -> None:
    space.edit("environment.yml", "./channel", "./chanel")
    space.run("build", "//:env", code=None).said(
        "environment.yml:3:5: the channel 'chanel' is a folder that does not exist", "did you mean './channel'?"
    )
    space.edit("environment.yml", "./chanel", "./elsewhere")
    space.run("build", "//:env", code=None).said("channels beside it: ./channel")
    (space.root / "elsewhere").mkdir()
    space.run("build", "//:env", code=None).said("environment.yml:3:5: the folder 'elsewhere' is not a channel")


MORE = "more: {type: conda_channel, target: 'file://ROOT/more'}\n"


@pytest.mark.parametrize(
    ("spec", "listed"),
    first_quick(
        [
            *(("more::native", True), ("./more::native", False), ("more/linux-64::native=1.0", False)),
            *(("file://ROOT/more/::native >=1", True), ("native[channel=more]", True)),
            ("native[version='>=1', channel='./more']", False),
        ]
    ),
)
def test_a_package_is_taken_from_the_channel_that_it_names(space: Space, spec: str, listed: bool) -> None:
    channel = Channel(space.root / "more")
    channel.add("native", "1.0", {"share/other": b"x"})
    space.edit("BUILD.yaml", "name: acme\n", "name: acme\n  connections:\n    " + MORE.replace("ROOT", str(space.root)))
    if listed:
        space.edit("environment.yml", "  - ./channel\n", "  - ./channel\n  - more\n")
    space.run("lock", "//:env")
    assert 'path = "channel/linux-64/native-1.0-0.conda"' in space.path(LOCK).read_text()
    space.edit("environment.yml", "- native=1", f"- {spec}".replace("ROOT", str(space.root)))
    space.run("build", "//:env").said("what it is asked to hold has changed")
    text = space.path(LOCK).read_text()
    assert 'path = "more/linux-64/native-1.0-0.conda"' in text and 'path = "channel/noarch/pure-2.0-0.conda"' in text
    space.path(LOCK).unlink()
    space.run("build", "//:env")
    assert space.path(LOCK).read_text() == text
    space.run("build", "//:env", "--locked").said("unchanged")


def test_a_channel_of_a_package_is_refused_as_others_are(space: Space) -> None:
    space.edit("environment.yml", "native=1", "defaults::native")
    space.run("build", "//:env", code=None).said("environment.yml:6:5", "stands for Anaconda's own")
    space.edit("environment.yml", "defaults::native", "nodefaults::native")
    space.run("build", "//:env", code=None).said("environment.yml:6:5", "'nodefaults' is not a channel")


def test_a_package_that_names_a_private_channel(private: tuple[Space, Canary], web: Web) -> None:
    space, canary = private
    Channel(space.root / "more").add("native", "1.0")
    space.edit("environment.yml", "  - conda-forge\n", "  - ./more\n  - conda-forge\n")
    space.edit("environment.yml", "native=1", "conda-forge::native=1")
    space.run("lock", "//:env")
    text = space.path(LOCK).read_text()
    assert f'url = "{web.url}/private/linux-64/native-1.0-0.conda"' in text and not canary.inside(text.encode())


@pytest.mark.parametrize("port", ["40312", "40109"])
def test_the_number_of_a_port_is_no_refusal(space: Space, port: str) -> None:
    connection = CONNECTION.replace("URL", f"http://127.0.0.1:{port}")
    space.edit("BUILD.yaml", "name: acme\n", f"name: acme\n{connection}")
    space.edit("environment.yml", "./channel", "conda-forge")
    space.env["CHANNEL_TOKEN"] = "token"
    said = space.run("lock", "//:env", code=None).said("the channels of 'env' could not be asked for packages")
    assert "refused by" not in said.err


def test_what_the_solver_keeps_goes_with_the_store(space: Space, web: Web) -> None:
    serve(space, web)
    space.edit("environment.yml", "./channel", f"{web.url}/private")
    space.run("lock")
    kept = space.store / "conda"
    assert {path.name for path in space.store.iterdir()} <= {*PARTS}
    assert any(path.is_file() for path in kept.rglob("*"))
    space.run("cache", "info").said("conda      ")
    space.run("cache", "gc", "--keep", "1h")
    assert kept.exists()
    space.run("cache", "gc", "--keep", "0s")
    assert not kept.exists()
    space.run("lock", "--upgrade")
    assert kept.exists()
    space.run("clean", "--expunge").said("removed")
    assert not space.store.exists()
    space.run("cache", "info")


def test_a_package_that_is_gone_or_another(space: Space, web: Web) -> None:
    serve(space, web)
    space.edit("environment.yml", "./channel", f"{web.url}/private")
    space.run("lock")
    pure = web.files.pop("/private/noarch/pure-2.0-0.conda")
    space.run("build", "//:env", code=None).said(
        "'pure-2.0-0.conda' no longer exists", "lock what the channel has today"
    )
    web.files["/private/noarch/pure-2.0-0.conda"] = pure[:-1] + b"x"
    space.run("build", "//:env", code=None).said("'pure-2.0-0.conda' is not what it must be")


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("defaults", "stands for Anaconda's own"),
        ("https://me:secret@conda.example/x", "the address of a channel holds a credential"),
        ("https://conda.example/t/tk-123-456/x", "the address of a channel holds a credential"),
        ("../channel", "the channel '../channel' lies outside of the workspace"),
        ("a b", "'a b' is not a channel"),
    ],
)
def test_channels_that_are_refused(space: Space, channel: str, said: str) -> None:
    space.edit("environment.yml", "./channel", channel)
    found = space.run("build", "//:env", code=None).said("environment.yml:3:5", said)
    assert "me:secret" not in found.err and "tk-123" not in found.err


def test_the_target_names_other_channels(space: Space) -> None:
    space.edit("environment.yml", "./channel", "defaults")
    space.edit("BUILD.yaml", "conda_file: environment.yml", "conda_file: environment.yml, channels: [./channel]")
    space.run("build", "//:env")
    space.edit("BUILD.yaml", "[./channel]", "[./channel, ../x]")
    space.run("build", "//:env", code=None).said("BUILD.yaml:6", "outside of the workspace")


def test_the_first_channel_that_has_a_package_brings_it(space: Space) -> None:
    Channel(space.root / "more").add("native", "1.5")
    space.edit("environment.yml", "  - ./channel\n", "  - ./more\n  - ./channel\n")
    space.run("lock", "//:env")
    assert 'path = "more/linux-64/native-1.5-0.conda"' in space.path(LOCK).read_text()


def test_versions_stay_until_they_are_asked_for_anew(space: Space) -> None:
    space.run("lock", "//:env")
    channel = Channel(space.root / "channel", keep=True)
    channel.add("native", "1.0.1")
    channel.add("more", "1.0")
    space.edit("environment.yml", "  - pure\n", "  - pure\n  - more\n")
    space.run("build", "//:env").said("+ more 1.0 0")
    assert "native-1.0-0.conda" in space.path(LOCK).read_text()
    space.run("lock", "//:env", "--upgrade-package", "native").said("native 1.0 0 -> 1.0.1 0")
    assert "native-1.0.1-0.conda" in space.path(LOCK).read_text()


def test_one_file_for_two_platforms(conda: Callable[..., Space]) -> None:
    space = conda()
    channel = Channel(space.root / "channel", keep=True)
    channel.add("python", f"{MINOR}.5", {f"bin/python{MINOR}": b"\x7fELF"}, subdir="linux-aarch64")
    channel.add("native", "1.0", subdir="linux-aarch64")
    channel.add("numlib", "2.5", subdir="linux-aarch64", depends=["python"])
    shutil.rmtree(space.root / "base")
    make_base(space.root / "base", python="", platforms=("linux/amd64", "linux/arm64"))
    space.run("build", "//:env", "--platform", "linux/arm64")
    assert f"linux-aarch64/python-{MINOR}.5" in space.path("conda.env-linux-arm64.lock").read_text()
