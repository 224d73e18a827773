"""Who images run as, and the labels that tools know them by."""

import gzip
import io
import tarfile

import pytest

from tests.support.space import APP, Report, Space

STANDARD = "org.opencontainers.image."


def user_layer(space: Space, report: Report, user: str = "1000:1000") -> dict[str, tarfile.TarInfo]:
    blob = space.blobs()[report.layer(f"user {user}")["digest"]].read_bytes()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as archive:
        return {one.name: one for one in archive}


def labels(space: Space, report: Report) -> dict[str, str]:
    found = space.config(report.digest)["Labels"]
    return {name.removeprefix(STANDARD): text for name, text in found.items() if name.startswith(STANDARD)}


def test_b4_a_number_that_the_base_does_not_know_has_a_home_and_a_name(workspace: Space) -> None:
    workspace.append("BUILD.yaml", "    user: '1000:1000'\n")
    report = workspace.build()
    home = user_layer(workspace, report)["home/app"]
    assert (home.uid, home.gid, home.mode, home.isdir()) == (1000, 0, 0o775, True)
    config = workspace.config(report.digest)
    assert {"HOME=/home/app", "USER=app", "LOGNAME=app"} <= set(config["Env"])
    assert config["User"] == "1000:1000"
    assert report.digest == workspace.clean_build().digest


def test_b4_numbers_too_large_for_a_tar(workspace: Space) -> None:
    workspace.append("BUILD.yaml", "    user: '1000660000'\n")
    assert user_layer(workspace, workspace.build(), "1000660000")["home/app"].mode == 0o1777


def test_b4_the_user_that_nobody_named_on_an_image_of_others(workspace: Space) -> None:
    report = workspace.build()
    assert {"HOME=/tmp", "USER=app", "LOGNAME=app"} <= set(workspace.config(report.digest)["Env"])
    assert not [one for one in report.targets[APP]["layers"] if one["origin"].startswith("user ")]


def test_b4_variables_of_the_package_win(workspace: Space) -> None:
    workspace.append("BUILD.yaml", "    user: '1000'\n    environment: {HOME: /srv, USER: me}\n")
    variables = workspace.config(workspace.build().digest)["Env"]
    assert {"HOME=/srv", "USER=me", "LOGNAME=app"} <= set(variables)


@pytest.mark.parametrize("user", ["0", "root", "nonroot:nonroot"])
def test_b4_root_and_names_are_the_images_own(workspace: Space, user: str) -> None:
    workspace.append("BUILD.yaml", f"    user: '{user}'\n")
    report = workspace.build()
    assert not [one for one in report.targets[APP]["layers"] if one["origin"].startswith("user ")]
    assert not [text for text in workspace.config(report.digest)["Env"] if text.startswith(("HOME=", "USER="))]


def test_e_an_image_has_the_standard_labels(workspace: Space) -> None:
    assert labels(workspace, workspace.build()) == {"title": "model package for tiny"}
    workspace.append("BUILD.yaml", "    target_environment: 'regressor:7'\n")
    assert labels(workspace, workspace.build()) == {"title": "regressor", "version": "7"}
    workspace.append("BUILD.yaml", f"    labels: {{{STANDARD}title: Mine, {STANDARD}vendor: Acme}}\n")
    assert labels(workspace, workspace.build()) == {"title": "Mine", "version": "7", "vendor": "Acme"}
