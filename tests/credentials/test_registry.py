"""A base image in a registry that wants a password: the canary is the password."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.credentials.test_canary import Watched
from tests.oci.registry.servers import registry
from tests.support.canary import Canary
from tests.support.space import APP, Space

USER = "reader"


def _bcrypt(password: str) -> str:
    """By Debian's perl, whose crypt knows it."""
    program = 'print crypt($ENV{"WORD"}, q($2b$04$abcdefghijklmnopqrstuu))'
    done = subprocess.run(["perl", "-e", program], env={"WORD": password}, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("$2b$04$")
    return done.stdout


class Hub:
    """A docker-registry that lets in USER with the canary, and has `team/base:latest`."""

    def __init__(self, host: str, folder: Path, canary: Canary) -> None:
        self.host, self.folder, self.canary = host, folder, canary

    def fill(self, layout: Path) -> None:
        copy = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"]
        copy += ["--dest-creds", f"{USER}:{self.canary.text}", f"oci:{layout}:base:latest"]
        subprocess.run([*copy, f"docker://{self.host}/team/base:latest"], check=True, capture_output=True)


@pytest.fixture
def hub(tmp_path: Path, canary: Canary) -> Iterator[Hub]:
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "htpasswd").write_text(f"{USER}:{_bcrypt(canary.text)}\n")
    auth = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    with registry(folder, auth) as host:
        yield Hub(host, folder, canary)


@pytest.fixture
def watched(hub: Hub, tmp_path: Path, wheelhouse: Path, canary: Canary) -> Watched:
    space = Space(tmp_path / "space", wheelhouse).populate()
    hub.fill(space.root / "base")
    credentials = "{username: reader, password: {env: FEED_TOKEN}}"
    connection = f"    hub: {{type: container_registry, target: '{hub.host}/team', credentials: {credentials}}}\n"
    space.edit("BUILD.yaml", "  platforms", f"  connections:\n{connection}  platforms")
    space.edit("BUILD.yaml", "layout: base", f'image: "{hub.host}/team/base:latest"')
    space.env["DOCKER_CONFIG"] = str(space.folder / "docker")
    return Watched(space, canary)


@pytest.mark.slow
def test_a_private_base(watched: Watched, hub: Hub) -> None:
    space = watched.space
    with watched.lines:
        watched.run("lock")
        watched.run("build", APP, "-v", "--profile", str(space.folder / "trace"))
        watched.run("export", APP, "-o", str(space.folder / "layout"))
        watched.run("export", APP, "--format", "docker-archive", "-o", str(space.folder / "image.tar"))
    watched.check()
    assert watched.canary.found(hub.folder) == []


@pytest.mark.slow
def test_a_wrong_password_names_the_connection(watched: Watched, hub: Hub) -> None:
    watched.run("lock")
    renewed = Canary(plain=True)
    with watched.lines:
        fresh = str(watched.space.folder / "fresh")
        result = watched.run("build", APP, code=1, FEED_TOKEN=renewed.text, BUILDRULES_CACHE_DIR=fresh)
        result.said("401", "the environment variable 'FEED_TOKEN'")
        watched.space.path("oci.base-linux-amd64.lock").unlink()
        watched.run("lock", code=1, FEED_TOKEN=renewed.text).said("401", "'FEED_TOKEN'")
    watched.check()
    watched.canary = renewed
    watched.check()


def test_an_unset_variable_is_said(watched: Watched, hub: Hub) -> None:
    del watched.space.env["FEED_TOKEN"]
    watched.space.run("lock", code=1).said("connection 'hub': the environment variable 'FEED_TOKEN' is not set")


@pytest.mark.slow
def test_images_on_their_way_carry_no_login(watched: Watched, hub: Hub) -> None:
    space = watched.space
    place, bundle = f"{hub.host}/team/mirror", str(space.folder / "bundle.tar")
    with watched.lines:
        watched.run("bundle", APP, "-o", bundle)
        watched.run("unbundle", bundle, "--to", place, "--have-list", str(space.folder / "have.json"), "--json")
        watched.run("bundle", APP, "-o", bundle, "--have", str(space.folder / "have.json"), "--json")
        watched.run("unbundle", bundle, "--to", place).said(f"{place}/acme/app:latest")
        watched.run("copy", f"{place}/acme/app:latest", f"oci-layout:{space.folder}/copy", "--json")
        watched.run("copy", f"oci-layout:{space.folder}/copy", f"{hub.host}/team/again:1")
        renewed = Canary(plain=True)
        refused = watched.run("copy", f"{place}/acme/app:latest", "oci-layout:x", code=1, FEED_TOKEN=renewed.text)
        refused.said("401", "FEED_TOKEN")
    watched.check()
    assert watched.canary.found(hub.folder) == []
