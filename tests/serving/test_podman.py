"""A Podman that hangs: a program of that name that never ends, since the real one cannot be made to."""

from pathlib import Path

import pytest

from buildrules.errors import ServingError
from buildrules.serving import podman
from buildrules.serving.runner import Package
from tests.support.handmade import Shelf, image_of


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shelf: Shelf) -> podman.PodmanContainer:
    """A container of a Podman that does not answer."""
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(podman, "_SECONDS", 0.2)
    image = image_of([shelf.layer({"a": b"1"}, "a", packed=True)])
    container = podman.PodmanContainer(Package("//:app", "acme/app", image, shelf.stream, "linux/amd64", (8080,)))
    container._there = True
    return container


def test_a_log_that_cannot_be_had_hides_nothing(hanging: podman.PodmanContainer) -> None:
    """It is asked for where something else went wrong, which is what the user must hear of."""
    assert hanging.log() == "podman logs did not end within 0.2 s"


def test_a_file_that_cannot_be_had_is_an_error(hanging: podman.PodmanContainer) -> None:
    with pytest.raises(ServingError, match=r"podman cp did not end within 0\.2 s"):
        hanging.read("/out")


def test_a_state_that_cannot_be_had_is_an_error(hanging: podman.PodmanContainer) -> None:
    with pytest.raises(ServingError, match=r"podman container did not end within 0\.2 s"):
        hanging.state()


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (
            'could not find slirp4netns, the network namespace can\'t be configured: exec: "slirp4netns"',
            "--runner rootfs",
        ),
        ("crun: executable file `/bin/nothing` not found in $PATH: No such file or directory", "entry point"),
        ("out of patience", None),
    ],
)
def test_why_it_does_not_start(hanging: podman.PodmanContainer, tmp_path: Path, said: str, hint: str | None) -> None:
    (tmp_path / "podman").write_text(f"#!/bin/sh\ncat >&2 <<'END'\nError: {said}\nEND\nexit 127\n")
    with pytest.raises(ServingError, match="cannot start '//:app'") as caught:
        hanging.start()
    assert (hint or "None") in str(caught.value.hint)
