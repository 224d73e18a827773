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
