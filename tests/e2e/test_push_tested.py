"""`buildrules push --tested`: what passed its tests leaves, and nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildrules.cli.invocation import Invocation
from buildrules.cli.request import Request
from buildrules.cli.tested import untested
from buildrules.oci.registry import Registry
from tests.oci.registry.servers import registry
from tests.support.package_tests import TEST, answering, forget
from tests.support.space import APP, Space

pytestmark = [pytest.mark.network]  # the program for the image is downloaded

ROOTFS = ("--runner", "rootfs")


@pytest.fixture
def space(new_space: Callable[..., Space], busybox: bytes) -> Iterator[Space]:
    """A workspace whose package passes its test."""
    made = answering(new_space(), busybox)
    made.append("BUILD.yaml", TEST)
    yield made
    forget(made)


def test_a_package_that_passed_is_pushed(space: Space, tmp_path: Path) -> None:
    space.run("test", "//...", *ROOTFS)
    with registry(tmp_path) as host:
        space.run("push", "//...", "--tested", "--to", f"{host}/tested").said("1 tag moved")
        assert Registry(host, "tested/app").manifest_digest("latest") == space.build().digest


def test_what_was_edited_between_build_and_test_does_not_leave(space: Space) -> None:
    options = {"runner": "rootfs", "quiet": True}
    with space.inside(".", {}):
        invocation = Invocation(str(space.root), "", (), Request("push", [APP], options))
        try:
            invocation.prepare(None)
            invocation.build()
            assert untested(invocation, [APP]) == {}
            space.edit("src/score", "X-Greeting", "x-greeting")
            (left,) = untested(invocation, [APP]).values()
        finally:
            invocation.close()
    assert left == "//:app_test tested another image on linux/amd64: its files were edited meanwhile"
