"""The cache packaged by buildrules itself: built from its locks, started, asked."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.example import REPOSITORY, Example

CACHE = REPOSITORY / "cache"
GIVEN = {"writers", "certificate.pem", "key.pem", "data/cache", "data/layers"}  # by who looks after it


@pytest.fixture
def cache(tmp_path: Path, real_store: Path) -> Example:
    """The folder `cache` in a workspace as the repository is one."""
    made = Example("cache", tmp_path / "buildrules" / "cache", real_store)
    shutil.copy(REPOSITORY / "BUILD.yaml", tmp_path / "buildrules")
    return made


@pytest.mark.network
@pytest.mark.slow
def test_it_answers_as_it_should(cache: Example) -> None:
    report = json.loads(cache.run("test", "//cache/...", "--locked", "--runner", "rootfs", "--json"))
    assert {test["label"]: test["status"] for test in report["tests"]} == {
        "//cache/test:answers": "passed",
        "//cache/test:without_writers": "passed",
        "//cache/test:registry": "passed",
    }


def test_compose_starts_what_is_packaged_with_files_that_are_there() -> None:
    services = yaml.safe_load((CACHE / "compose.yaml").read_text())["services"]
    targets = yaml.safe_load((CACHE / "BUILD.yaml").read_text())["targets"]
    assert {name: service["image"] for name, service in services.items()} == {
        name: f"{targets[name]['repository']}:latest" for name in ("web", "registry")
    }
    mounted = {place.split(":")[0].removeprefix("./") for service in services.values() for place in service["volumes"]}
    assert mounted >= GIVEN
    assert [name for name in sorted(mounted - GIVEN) if not (CACHE / name).is_file()] == []


def test_no_password_comes_with_it() -> None:
    kept = {str(path.relative_to(CACHE)) for path in CACHE.rglob("*") if path.name in GIVEN}
    assert kept == {"test/writers"}
