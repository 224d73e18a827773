"""`buildrules push` from a workspace into a real registry."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildrules.oci.registry import Registry
from tests.oci.registry.servers import PASSWORD, USER, htpasswd_auth, registry
from tests.support.relay import Asked, Relay, Reset, relay
from tests.support.space import APP, Space, make_base

SECOND = """\
  other:
    rule: model_package
    model: :m
    base_env: :env
    server: :server
    code: :more
  more: {rule: scoring_code, srcs: ["more/**"], entry_script: score.py}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def between(hub: str) -> Iterator[Relay]:
    with relay(hub) as running:
        yield running


@pytest.fixture
def space(built: Space, between: Relay, tmp_path: Path) -> Space:
    """A built workspace whose packages go to a registry of their own name."""
    built.env["DOCKER_CONFIG"] = str(tmp_path / "docker")
    built.edit(
        "BUILD.yaml", "  name: acme\n", f"  name: acme\n  default_registry: {between.host}/{tmp_path.name.lower()}\n"
    )
    return built


def two(space: Space) -> None:
    space.append("BUILD.yaml", SECOND)
    space.write("more/score.py", "def run(data):\n    return 1\n")


def pushed(space: Space, *words: str, **more: Any) -> dict[str, Any]:
    return dict(json.loads(space.run("push", *words, "--json", **more).out))


def at(host: str, name: str, reference: str) -> dict[str, Any]:
    """The manifest or index at a tag."""
    return dict(json.loads(Registry(host, name).manifest(reference).data))


def test_a_package_goes_where_its_name_says(space: Space, between: Relay, hub: str, tmp_path: Path) -> None:
    digest = space.build().digest
    result = space.run("push", APP)
    name = f"{tmp_path.name.lower()}/acme/app"
    assert Registry(hub, name).manifest_digest("latest") == digest
    result.said("to send", f"@{digest}", "1 tag moved", "models ", "packages ")
    space.run("push", APP).said("all there", f"there already: {between.host}/{name}@{digest}", "0 B sent, 0 tags moved")


def test_an_edit_sends_the_code_and_no_more(space: Space, between: Relay) -> None:
    space.run("push", APP)
    space.append("src/score.py", "# edited\n")
    space.build()
    between.asked.clear()
    found = pushed(space, APP)
    assert sorted(one.method for one in between.asked) == ["GET", "POST", "POST", "PUT", "PUT", "PUT"]
    assert sum(one.size for one in between.asked) < 20_000
    assert {blob["kind"] for blob in found["packages"][0]["blobs"] if blob["how"] == "sent"} == {
        "code and files",
        "config",
    }


def test_a_dry_run_changes_nothing(space: Space, between: Relay) -> None:
    space.run("push", APP, "--dry-run").said("to send")
    assert {one.method for one in between.asked} <= {"GET", "HEAD"}
    found = pushed(space, APP, "--dry-run")
    assert (found["pushed"], found["tags_moved"]) == (False, [])
    assert found["bytes"]["sent"] > 0


def test_several_packages_share_what_they_can(space: Space, between: Relay, hub: str) -> None:
    two(space)
    found = pushed(space, "//...", "--to", f"{between.host}/team", "--tag", "1.0")
    assert {package["repository"] for package in found["packages"]} == {
        f"{between.host}/team/app",
        f"{between.host}/team/other",
    }
    assert set(between.sent().values()) == {1}
    assert found["bytes"]["mounted"] > 0
    assert at(hub, "team/app", "1.0")["layers"][:-1] == at(hub, "team/other", "1.0")["layers"][:-1]


def test_to_names_the_repository_of_one_package(space: Space, between: Relay, hub: str) -> None:
    space.run("push", APP, "--to", f"{between.host}/exactly/this:2")
    assert Registry(hub, "exactly/this").manifest_digest("2") is not None
    space.run("push", "//...", "--to", between.host)
    assert Registry(hub, "app").manifest_digest("latest") is not None
    space.run("push", "//...", "--to", f"{between.host}/x:1", code=2).said("use --tag")


def layers(found: dict[str, Any]) -> set[str]:
    """What became of the layers of the one package of a push."""
    return {blob["how"] for blob in found["packages"][0]["blobs"] if blob["kind"] != "config"}


def test_what_an_earlier_command_pushed_is_mounted(space: Space, between: Relay, tmp_path: Path) -> None:
    prefix = f"{between.host}/{tmp_path.name.lower()}"
    assert layers(pushed(space, APP, "--to", f"{prefix}/first/app")) == {"sent"}
    between.asked.clear()
    assert layers(pushed(space, APP, "--to", f"{prefix}/second/app", "--dry-run")) == {"mounted"}
    assert layers(pushed(space, APP, "--to", f"{prefix}/second/app")) == {"mounted"}
    assert len(between.sent()) == 1  # the config


def test_what_is_noted_of_a_registry_is_not_believed(space: Space, between: Relay, tmp_path: Path) -> None:
    prefix = tmp_path.name.lower()
    found = pushed(space, APP, "--to", f"{between.host}/{prefix}/first")
    for blob in found["packages"][0]["blobs"]:
        assert between.ask("DELETE", f"/v2/{prefix}/first/blobs/{blob['digest']}") == 202
    assert layers(pushed(space, APP, "--to", f"{between.host}/{prefix}/second")) == {"sent"}
    assert layers(pushed(space, APP, "--to", f"{between.host}/{prefix}/third")) == {"mounted"}


def test_a_package_is_mounted_from_its_own_place(space: Space, between: Relay, tmp_path: Path) -> None:
    pushed(space, APP)
    elsewhere = {"BUILDRULES_CACHE_DIR": str(tmp_path / "another store")}
    to = f"{between.host}/trials/{tmp_path.name.lower()}"
    assert layers(pushed(space, APP, "--to", to, env=elsewhere)) == {"mounted"}


def git(space: Space, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *words], cwd=space.root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_tags_are_called_after_the_commit(space: Space, hub: str, between: Relay) -> None:
    space.run("push", APP, "--tag", "{git.sha}", code=2).said("there is no {git.sha}")
    git(space, "init", "-q")
    git(space, "checkout", "-q", "-b", "feature/Add_é+x")
    git(space, "add", ".")
    git(space, "commit", "-q", "-m", "first")
    sha = git(space, "rev-parse", "HEAD")
    words = ["--to", f"{between.host}/tags", "--tag", "{git.sha}", "--tag", "{git.branch}", "--tag", "d-{date}"]
    digest = space.build().digest
    found = pushed(space, APP, *words, "--tag", "{version}", env={"SOURCE_DATE_EPOCH": "86400"})
    digest = found["packages"][0]["digest"]
    tags = [sha, "feature-Add_-x", "d-1970-01-02", digest[7:19]]
    assert found["packages"][0]["tags"] == tags
    for tag in tags:
        assert Registry(hub, "tags").manifest_digest(tag) == digest
    space.append("src/score.py", "# edited\n")
    assert pushed(space, APP, *words[:4], "--dry-run")["packages"][0]["tags"] == [f"{sha}-dirty"]
    space.run("push", APP, "--tag", "{git.commit}", code=2).said("there are {version}, {git.sha}")
    space.run("push", APP, "--tag", "a/b", code=2).said("'a/b' is not a tag")


def test_annotations_stand_in_an_index_and_change_no_image(space: Space, hub: str, between: Relay) -> None:
    digest = space.build().digest
    pushed(space, APP, "--to", f"{between.host}/noted", "--annotation", "org.example.day={date}")
    index = at(hub, "noted", "latest")
    assert list(index["annotations"]) == ["org.example.day"]
    assert [entry["digest"] for entry in index["manifests"]] == [digest]
    space.run("push", APP, "--annotation", "novalue", code=2).said("is not NAME=VALUE")


def test_only_packages_are_pushed(space: Space) -> None:
    space.run("push", "//:env", code=2).said(
        "names no package that could be pushed", "name a package that is made of it: //:app"
    )
    space.run("push", code=2).said("'buildrules push //...' pushes them all")


def test_two_packages_of_one_name_are_refused(space: Space, between: Relay) -> None:
    two(space)
    space.edit("BUILD.yaml", "    code: :more\n", f"    code: :more\n    repository: {between.host}/same\n")
    space.edit("BUILD.yaml", "    code: :code\n", f"    code: :code\n    repository: {between.host}/same\n")
    space.run("push", "//...", code=2).said("would both be")
    assert between.asked == []


def test_without_a_registry_it_says_where_to_name_one(built: Space) -> None:
    built.run("push", APP, code=2).said("names no registry", "default_registry", "--to HOST/PATH")


@pytest.mark.parametrize("part", ["/blobs/uploads/", "/manifests/"])
def test_a_killed_push_leaves_no_tag_and_the_next_one_goes_on(
    space: Space, hub: str, between: Relay, part: str
) -> None:
    repository = f"killed{part.replace('/', '-').rstrip('-')}"
    running: list[subprocess.Popen[str]] = []

    def interfere(asked: Asked) -> None:
        if asked.method == "PUT" and part in asked.path and len(between.sent()) >= 2:
            running[0].kill()
            raise Reset

    between.interfere = interfere
    running.append(space.start("push", APP, "--to", f"{between.host}/{repository}"))
    running[0].communicate(timeout=120)
    assert running[0].returncode == -9
    assert Registry(hub, repository).manifest_digest("latest") is None
    between.interfere = lambda _: None
    before = set(between.sent())
    assert len(before) >= 2
    between.asked.clear()
    space.run("push", APP, "--to", f"{between.host}/{repository}")
    assert not before & set(between.sent())
    assert Registry(hub, repository).manifest_digest("latest") == space.build().digest


def test_only_what_was_tested_is_pushed(space: Space, hub: str, between: Relay) -> None:
    """Nothing here can be started: a package without tests, and one whose test fails."""
    two(space)
    words = ["push", "//...", "--tested", "--to", f"{between.host}/tested"]
    space.run(*words, code=1).said("//:app  not pushed: it has no tests", "//:other  not pushed")
    assert between.asked == []
    test = "  check: {rule: package_test, package: ':app', requests: [{route: scoring, json: {}}]}\n"
    space.append("BUILD.yaml", test)
    space.run(*words, "--json", code=1)
    assert between.of("PUT") == []


def test_credentials_are_shown_to_the_registry_and_to_nobody_else(
    space: Space, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("locked")
    with registry(folder, htpasswd_auth(folder)) as host, relay(host) as between:
        space.run("push", APP, "--to", f"{between.host}/secret", code=1).said(f"docker login {between.host}")
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {between.host: {"auth": login}}}))
        result = space.run("push", APP, "--to", f"{between.host}/secret", "-v")
        assert PASSWORD not in result.out + result.err
        assert login not in result.out + result.err
    for path in space.store.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()


def test_an_index_of_two_platforms(space: Space, hub: str, between: Relay) -> None:
    shutil.rmtree(space.root / "base")
    make_base(space.root / "base", platforms=("linux/amd64", "linux/arm64"))
    space.edit("BUILD.yaml", "[linux/amd64]", "[linux/amd64, linux/arm64]")
    found = pushed(space, APP, "--to", f"{between.host}/both", "--tag", "1", "--tag", "2")
    index = at(hub, "both", "1")
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    assert [entry["digest"] for entry in index["manifests"]] == found["packages"][0]["manifests"][:2]
    assert at(hub, "both", "2") == index
    assert set(between.sent().values()) == {1}


@pytest.mark.parametrize("name", ["host/NotLower", "[host/x"])
def test_a_cache_that_is_no_repository_stops_no_push(space: Space, hub: str, between: Relay, name: str) -> None:
    to = f"anyway-{len(name)}"
    space.append("src/score.py", "# edited\n")
    space.run("push", APP, "--to", f"{between.host}/{to}", env={"BUILDRULES_CACHE": f"oci://{name}"}).said(
        "it is left out"
    )
    assert Registry(hub, to).manifest_digest("latest") == space.build().digest


def test_layers_of_a_shared_cache_are_mounted(space: Space, hub: str, between: Relay) -> None:
    space.run("push", APP, "--to", f"{between.host}/cache")
    between.asked.clear()
    found = pushed(space, APP, "--to", f"{between.host}/new", env={"BUILDRULES_CACHE": f"oci://{between.host}/cache"})
    assert found["bytes"]["sent_by_kind"].keys() <= {"config"}
    assert found["bytes"]["mounted"] > 0
    assert Registry(hub, "new").manifest_digest("latest") == found["packages"][0]["digest"]
