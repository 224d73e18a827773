"""`buildrules copy`, and bundles into registries: real registries, layouts and archives."""

import itertools
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_bundle import TWO, bundled, layout
from tests.oci.registry.servers import cutting_proxy, registry
from tests.support.relay import Relay, Reset, relay, without_mounts
from tests.support.space import APP, Space, make_base

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry; `host:port`."""
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Relay]:
    """An empty registry behind a relay that counts."""
    with registry(tmp_path / "counted") as host, relay(host) as running:
        yield running


@pytest.fixture
def exported(built: Space) -> Space:
    """A workspace whose package is in the layout `out`."""
    built.run("export", APP, "-o", str(built.folder / "out"))
    return built


def shown(place: str) -> str:
    """The digest that skopeo finds at a tag of a registry."""
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{place}"], capture_output=True, check=True
    )
    return str(json.loads(done.stdout)["Digest"])


def copied(space: Space, source: str, target: str, *args: str) -> dict[str, Any]:
    """What `copy --json` says."""
    found: dict[str, Any] = json.loads(space.run("copy", source, target, "--json", *args).out)
    return found


def test_an_image_goes_round_and_stays_the_same(exported: Space, hub: str) -> None:
    digest = exported.build().digest
    folder = exported.folder
    places = [
        f"oci-layout:{folder}/out",
        f"{hub}/round/a:1",
        f"oci-archive:{folder}/a.tar:acme/app:1",
        f"{hub}/round/b:2",
        f"oci-layout:{folder}/back:acme/app:3",
    ]
    for source, target in itertools.pairwise(places):
        assert copied(exported, source, target)["digest"] == digest
    assert shown(f"{hub}/round/b:2") == digest
    assert layout(folder / "back") == {"acme/app:3"}
    names = {path.name for path in (folder / "out/blobs/sha256").iterdir()}
    assert {path.name for path in (folder / "back/blobs/sha256").iterdir()} == names


def test_only_what_is_missing_moves(exported: Space, counting: Relay) -> None:
    out = f"oci-layout:{exported.folder}/out"
    first = copied(exported, out, f"{counting.host}/a:1")
    assert first["bytes"]["sent"] == sum(blob["size"] for blob in first["moved"])
    counting.asked.clear()
    again = copied(exported, out, f"{counting.host}/a:1")
    assert again["bytes"] == {"there": first["bytes"]["sent"], "mounted": 0, "shared": 0, "sent": 0}
    assert len(counting.asked) <= 2
    counting.asked.clear()
    beside = copied(exported, f"{counting.host}/a:1", f"{counting.host}/b/c:1")
    assert beside["bytes"]["mounted"] == first["bytes"]["sent"]
    assert not counting.of("GET", "/blobs/")
    assert not counting.sent()
    assert shown(f"{counting.backend}/b/c:1") == first["digest"]


def test_a_dry_run_changes_nothing(exported: Space, counting: Relay) -> None:
    out = f"oci-layout:{exported.folder}/out"
    said = copied(exported, out, f"{counting.host}/a:1", "--dry-run")
    assert not said["copied"]
    assert said["bytes"]["sent"] > 0
    assert {one.method for one in counting.asked} <= {"GET", "HEAD"}
    exported.run("copy", out, f"oci-layout:{exported.folder}/new", "--dry-run").said("would copy", "to send")
    assert not (exported.folder / "new").exists()


def test_an_index_is_copied_with_its_images(built: Space, hub: str) -> None:
    make_base(built.folder / "both", platforms=("linux/amd64", "linux/arm64"))
    both = f"oci-layout:{built.folder}/both"
    said = copied(built, both, f"{hub}/index:both")
    assert shown_raw(f"{hub}/index:both")["manifests"][1]["platform"]["architecture"] == "arm64"
    copied(built, f"{hub}/index:both", f"oci-archive:{built.folder}/index.tar")
    assert copied(built, f"oci-archive:{built.folder}/index.tar", f"{hub}/again:1")["digest"] == said["digest"]
    one = copied(built, f"{hub}/index:both", f"{hub}/index:arm", "--platform", "linux/arm64")
    assert one["digest"] == shown_raw(f"{hub}/index:both")["manifests"][1]["digest"]
    built.run("copy", both, f"{hub}/x:1", "--platform", "linux/s390x", code=2).said("linux/s390x")


def test_an_image_for_another_platform_is_not_copied(exported: Space, hub: str) -> None:
    out = f"oci-layout:{exported.folder}/out"
    copied(exported, out, f"{hub}/plain:1", "--platform", "linux/amd64")
    for source in (out, f"{hub}/plain:1"):
        result = exported.run("copy", source, f"oci-layout:{exported.folder}/arm", "--platform", "linux/arm64", code=2)
        result.said("is an image for linux/amd64, not for linux/arm64")
    assert not (exported.folder / "arm").exists()


def shown_raw(place: str) -> dict[str, Any]:
    done = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{place}"], capture_output=True, check=True
    )
    return dict(json.loads(done.stdout))


def test_archives_of_other_tools_are_read(exported: Space, hub: str, tool: Any) -> None:
    archive = exported.folder / "skopeo.tar"
    tool("skopeo", "copy", f"oci:{exported.folder}/out:acme/app:latest", f"oci-archive:{archive}:theirs")
    assert copied(exported, f"oci-archive:{archive}:theirs", f"{hub}/theirs:1")["digest"] == exported.build().digest


def test_a_read_that_breaks_off_goes_on(exported: Space, hub: str) -> None:
    exported.write("weights/large.bin", os.urandom(6 << 20))
    exported.run("export", APP, "-o", str(exported.folder / "out"))
    there = copied(exported, f"oci-layout:{exported.folder}/out", f"{hub}/torn:1")
    with cutting_proxy(hub, down=[3 << 20, 2 << 20]) as host:
        said = copied(exported, f"{host}/torn:1", f"oci-layout:{exported.folder}/torn:torn:1")
    assert said["digest"] == there["digest"]
    assert layout(exported.folder / "torn") == {"torn:1"}


def test_what_is_not_what_its_digest_says_arrives_nowhere(exported: Space, hub: str) -> None:
    out = exported.folder / "out"
    copied(exported, f"oci-layout:{out}", f"{hub}/sound:1")
    blob = max((out / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    for target in (f"{hub}/wrong:1", f"oci-layout:{exported.folder}/wrong:a:1", f"oci-archive:{exported.folder}/w.tar"):
        exported.run("copy", f"oci-layout:{out}", target, code=1).said("is damaged", blob.name)
    assert not (exported.folder / "w.tar").exists()
    assert not (exported.folder / "wrong" / "index.json").exists()
    with pytest.raises(subprocess.CalledProcessError):
        shown(f"{hub}/wrong:1")


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("docker-daemon:a:1", "oci-layout:x", "Docker Engine"),
        ("oci-layout:OUT", "docker-daemon:a:1", "Docker Engine"),
        ("oci-layout:nowhere", "oci-layout:x", "nowhere"),
        ("oci-layout:OUT:other:1", "oci-layout:x", "it has|name one"),
        ("oci-archive:BUILD.yaml", "oci-layout:x", "is not an archive"),
        ("HUB/nothing:1", "oci-layout:x", "there is no image"),
        ("oci-layout:OUT", "HUB/a@sha256:" + "0" * 64, "another digest"),
        ("oci-layout:OUT", "oci-layout:src:a:1", "is not an image layout"),
        ("oci-layout:OUT", "oci-layout:x:Not_A_Name:::", "not an image name"),
        ("user:secret@HUB/a:1", "oci-layout:x", "user name or password"),
    ],
)
def test_errors_say_what_to_do(exported: Space, hub: str, source: str, target: str, said: str) -> None:
    def fill(text: str) -> str:
        return text.replace("OUT", str(exported.folder / "out")).replace("HUB", hub)

    result = exported.run("copy", fill(source), fill(target), code=None)
    assert result.code in (1, 2)
    assert any(word in result.err for word in said.split("|")), result.err
    assert "secret" not in result.err
    assert not exported.path("x").exists()


def test_a_bundle_goes_into_a_registry(built: Space, counting: Relay) -> None:
    built.append("BUILD.yaml", TWO)
    path, said = bundled(built, "both.tar")
    host = counting.host
    dry = built.run("unbundle", str(path), "--to", f"{host}/mirror", "--dry-run")
    dry.said(f"would push {host}/mirror/acme/app:latest", "to send")
    assert {one.method for one in counting.asked} <= {"GET", "HEAD"}
    real = built.run("unbundle", str(path), "--to", f"{host}/mirror")
    real.said(f"pushed {host}/mirror/acme/app:latest", "sent", "mounted")
    for image in said["images"]:
        assert shown(f"{counting.backend}/mirror/{image['name']}") == image["digest"]
    assert set(counting.sent().values()) == {1}
    counting.asked.clear()
    built.run("unbundle", str(path), "--to", f"{host}/mirror").said(f"there already: {host}/mirror/acme/app:latest")
    assert len(counting.asked) <= 4
    built.run("unbundle", str(path), "--to", f"{host}/one:1", code=2).said("place of one image")


@pytest.mark.parametrize("mounts", [True, False])
def test_what_the_registry_has_is_left_out(built: Space, counting: Relay, mounts: bool) -> None:
    if not mounts:
        counting.interfere = without_mounts
    first, _ = bundled(built, "first.tar", APP)
    have, to = built.folder / "have.json", f"{counting.host}/mirror"
    built.run("unbundle", str(first), "--to", to, "--have-list", str(have))
    built.append("src/score.py", "# edited\n")
    built.append("BUILD.yaml", TWO)
    second, said = bundled(built, "second.tar", "//...", "--have", str(have))
    assert len(said["blobs"]) == 5
    assert len(said["expected"]) == 5
    counting.asked.clear()
    built.run("unbundle", str(second), "--to", to)
    for image in said["images"]:
        assert shown(f"{counting.backend}/mirror/{image['name']}") == image["digest"]
    if mounts:
        assert not counting.sent().keys() & said["expected"].keys()


def test_what_is_left_out_and_not_there_stops_it(built: Space, counting: Relay) -> None:
    first, _ = bundled(built, "first.tar", APP)
    built.append("src/score.py", "# edited\n")
    second, said = bundled(built, "second.tar", APP, "--have", str(first))
    result = built.run("unbundle", str(second), "--to", f"{counting.host}/empty", code=1)
    result.said("does not have", min(said["expected"]), "--have")
    assert {one.method for one in counting.asked} <= {"GET", "HEAD"}


def test_what_a_bundle_leaves_out_is_told_when_it_is_copied(exported: Space, counting: Relay) -> None:
    first, _ = bundled(exported, "first.tar", APP)
    exported.append("src/score.py", "# edited\n")
    second, said = bundled(exported, "second.tar", APP, "--have", str(first))
    source, target = f"oci-archive:{second}", f"{counting.host}/acme/app:1"
    for place in (target, f"oci-layout:{exported.folder}/new", f"oci-archive:{exported.folder}/new.tar"):
        exported.run("copy", source, place, code=1).said("does not have 'blobs/sha256/", "'buildrules unbundle'")
    assert not counting.of("PUT", "/manifests/")
    copied(exported, f"oci-archive:{first}", f"{counting.host}/acme/app:0")
    counting.asked.clear()
    assert copied(exported, source, target)["digest"] == said["images"][0]["digest"]  # for here the rest is
    assert not counting.sent().keys() & said["expected"].keys()


def test_a_connection_that_ends_is_tried_again(exported: Space, counting: Relay) -> None:
    broken: list[str] = []

    def interfere(asked: Any) -> None:
        if asked.method == "PUT" and "/blobs/" in asked.path and not broken:
            broken.append(asked.path)
            raise Reset(100)

    counting.interfere = interfere
    copied(exported, f"oci-layout:{exported.folder}/out", f"{counting.host}/a:1")
    assert broken


@pytest.mark.parametrize("verb", ["copy", "unbundle"])
def test_a_killed_command_leaves_no_tag_and_goes_on(exported: Space, counting: Relay, verb: str) -> None:
    path, said = bundled(exported, "one.tar", APP)
    words = {
        "copy": ["copy", f"oci-archive:{path}", f"{counting.host}/acme/app:latest"],
        "unbundle": ["unbundle", str(path), "--to", counting.host],
    }[verb]
    process: list[subprocess.Popen[str]] = []

    def interfere(asked: Any) -> None:
        if asked.method == "PUT" and "/blobs/" in asked.path and counting.sent():
            process[0].kill()
            raise Reset

    counting.interfere = interfere
    process.append(exported.start(*words))
    process[0].communicate()
    assert process[0].returncode == -signal.SIGKILL
    assert not counting.of("PUT", "/manifests/")
    before = counting.sent()
    counting.interfere = lambda _: None
    exported.run(*words)
    assert shown(f"{counting.backend}/acme/app:latest") == said["images"][0]["digest"]
    assert all(counting.sent()[digest] == 1 for digest in before)


@pytest.mark.parametrize("lie", ["flipped", "longer", "shorter", "manifest"])
def test_a_registry_that_lies_is_not_believed(exported: Space, hub: str, lie: str) -> None:
    copied(exported, f"oci-layout:{exported.folder}/out", f"{hub}/lies:1")
    with relay(hub) as running:

        def interfere(asked: Any) -> Any:
            wanted = "/manifests/" if lie == "manifest" else "/blobs/"
            if asked.method != "GET" or wanted not in asked.path:
                return None
            with urllib.request.urlopen(f"http://{hub}{asked.path}") as answer:
                data, kind = answer.read(), answer.headers["Content-Type"]
            flipped = bytes([data[0] ^ 1]) + data[1:]
            data = {"longer": data + b"x", "shorter": data[:-1]}.get(lie, flipped)
            return 200, {"Content-Type": kind, "Docker-Content-Digest": asked.path.rpartition("/")[2]}, data

        running.interfere = interfere
        for target in (f"{hub}/believed-{lie}:1", f"oci-layout:{exported.folder}/believed:a:1"):
            result = exported.run("copy", f"{running.host}/lies:1", target, code=None)
            assert result.code in (1, 2)
    assert not (exported.folder / "believed" / "index.json").exists()
    with pytest.raises(subprocess.CalledProcessError):
        shown(f"{hub}/believed-{lie}:1")


def test_a_name_from_elsewhere_cannot_write_to_a_terminal(exported: Space) -> None:
    index = exported.folder / "out" / "index.json"
    value = json.loads(index.read_text())
    value["manifests"].append({**value["manifests"][0], "digest": "sha256:" + "0" * 64})
    for entry in value["manifests"]:
        entry["annotations"]["org.opencontainers.image.ref.name"] = "\x1b[31mred"
    index.write_text(json.dumps(value))
    result = exported.run("copy", f"oci-layout:{exported.folder}/out", "oci-layout:x", code=2)
    result.said("name one")
    assert "\x1b" not in result.err


def test_an_interrupted_copy_says_so_and_moves_no_tag(exported: Space, counting: Relay) -> None:
    process: list[subprocess.Popen[str]] = []
    told: list[str] = []

    def interfere(asked: Any) -> None:
        if asked.method == "PUT" and "/blobs/" in asked.path and counting.sent() and not told:
            told.append(asked.path)
            process[0].send_signal(signal.SIGINT)
            raise Reset

    counting.interfere = interfere
    process.append(exported.start("copy", f"oci-layout:{exported.folder}/out", f"{counting.host}/a:1"))
    _, said = process[0].communicate()
    assert process[0].returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert not counting.of("PUT", "/manifests/")
