"""Which builds of python-build-standalone there are, and which is taken."""

import re

import pytest

from buildrules.errors import IntegrityError, ResolutionError, UsageError
from buildrules.locking.standalone import builds
from buildrules.locking.standalone.builds import Build, address_of, named, read_request, sums
from buildrules.locking.standalone.choose import pick


@pytest.fixture(scope="module")
def table() -> list[Build]:
    return builds.table()


def chosen(table: list[Build], version: str, machine: str = "x86_64") -> Build:
    found = [one for one in table if one.machine == machine]
    return pick(version, read_request(version), f"linux/{machine}", found)


def test_the_whole_table_is_sound(table: list[Build]) -> None:
    assert len(table) > 200
    for one in table:
        assert one.sha256 is None or re.fullmatch("[0-9a-f]{64}", one.sha256), one
        assert address_of(one.build, one.filename).startswith(f"{builds.RELEASES}/{one.build}/cpython-3.")
        assert named(one.filename, one.sha256) == one
    assert {one.filename for one in table if one.sha256 is None} == {
        "cpython-3.9.6-x86_64-unknown-linux-gnu-install_only-20210724T1424.tar.gz",
        "cpython-3.9.7-x86_64-unknown-linux-gnu-install_only-20211017T1616.tar.gz",
        "cpython-3.10.0-x86_64-unknown-linux-gnu-install_only-20211017T1616.tar.gz",
    }


def test_addresses_are_those_of_the_table() -> None:
    import json
    from importlib.resources import files

    rows = json.loads(files("pbs_installer").joinpath("versions.json").read_text("utf-8"))
    urls = {file["filename"]: file["url"] for row in rows for file in row["files"]}
    assert all(address_of(one.build, one.filename) == urls[one.filename] for one in builds.table())


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_there_is_a_newest_patch_of_every_minor(table: list[Build], machine: str) -> None:
    for minor in range(8, 16):
        found = chosen(table, f"3.{minor}", machine)
        same = [one.version for one in table if one.version[1] == minor and one.machine == machine]
        assert found.version == max(same) and found.sha256 and found.flavour == "install_only_stripped"
        assert not found.free_threaded
    for minor in range(13, 16):
        assert chosen(table, f"3.{minor}t", machine).free_threaded


def test_an_old_patch_is_there_in_the_plain_flavour(table: list[Build]) -> None:
    assert chosen(table, "3.8.12").flavour == "install_only"
    assert chosen(table, "3.8.12").python == "3.8.12"


def test_what_never_was_is_an_error_with_what_there_is(table: list[Build]) -> None:
    newest = chosen(table, "3.12").python
    with pytest.raises(ResolutionError, match=r"no Python 3\.12\.99 for") as error:
        chosen(table, "3.12.99")
    assert f"the newest there is {newest}" in str(error.value.hint)
    with pytest.raises(ResolutionError, match=r"no Python 3\.99 for") as error:
        chosen(table, "3.99")
    assert newest in str(error.value.hint) and chosen(table, "3.8").python in str(error.value.hint)
    with pytest.raises(ResolutionError) as error:
        chosen(table, "3.12t")
    assert chosen(table, "3.13t").python in str(error.value.hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((text, "not a version") for text in ("3", "3.x", ">=3.12", f"3.{'9' * 5000}", f"3.12.{'9' * 5000}")),
        *((text, "too old") for text in ("3.7", "2.7")),
    ],
    ids=lambda text: text[:10],
)
def test_what_is_no_version_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_request(text)


def test_sums_add_what_nobody_knows_and_contradict_nothing(table: list[Build]) -> None:
    known = chosen(table, "3.12")
    own = "cpython-3.12.99+20300101-x86_64-unknown-linux-gnu-install_only.tar.gz"
    text = f"{'0' * 64}  {own}\n{known.sha256} *{known.filename}\n{'1' * 64}  something-else.tar.gz\nnonsense\n"
    text += f"{'2' * 64}  {own.replace('99', '9' * 5000)}\n"
    assert [one.filename for one in sums(text, "SHA256SUMS", table)] == [own, known.filename]
    with pytest.raises(IntegrityError, match="another digest"):
        sums(f"{'0' * 64}  {known.filename}\n", "SHA256SUMS", table)


@pytest.mark.parametrize(
    "text", ["<!DOCTYPE html>\n<title>Sign in</title>\n", "version https://git-lfs.github.com/spec/v1"]
)
def test_what_is_no_list_is_not_an_empty_one(text: str) -> None:
    with pytest.raises(IntegrityError, match="is no list of SHA-256 and names"):
        sums(text, "SHA256SUMS", [])
    assert sums("", "SHA256SUMS", []) == sums(f"{'0' * 64}  other.tar.gz\n", "SHA256SUMS", []) == []
