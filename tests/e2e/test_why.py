"""`why` in words, from edits of a workspace: row E of what was met in the field."""

import os
import re

import pytest

from tests.support.space import APP, Space, make_base, wheel


def _reasons(space: Space, *options: str) -> list[str]:
    """The lines that `why` gives, without the goal's."""
    return [line.strip() for line in space.run("why", APP, *options).out.splitlines() if not line.startswith("//:app")]


def test_e_an_edited_script_is_told_by_its_lines_and_bytes(built: Space) -> None:
    built.write("src/score.py", "import helper\n\n\ndef run(data):\n    return helper.answer\n")
    assert _reasons(built)[:2] == ["code code: would run", "file src/score.py changed: 31 -> 56 bytes, +4 -1 lines"]
    built.run("build", APP).said("code code  file src/score.py changed: 31 -> 56 bytes\n")
    last = _reasons(built)
    assert "last built because: file src/score.py changed: 31 -> 56 bytes" in last


def test_e_other_edits_of_files(built: Space) -> None:
    built.path("src/score.py").chmod(0o755)
    built.append("weights/labels.txt", "mouse\n")
    built.write("src/data.bin", b"\0\1")
    found = _reasons(built)
    assert "file src/score.py changed: executable now" in found
    assert "file src/data.bin is new" in found
    assert "file weights/labels.txt changed: 8 -> 14 bytes, +1 -0 lines" in found
    built.run("build", APP)
    built.write("src/data.bin", b"\0\1\2")
    assert "file src/data.bin changed: 2 -> 3 bytes" in _reasons(built)


def test_e_lines_are_not_counted_where_the_old_layer_is_damaged(built: Space) -> None:
    layer = next(row["digest"] for row in built.build().targets[APP]["layers"] if row["origin"] == "code code")
    blob = built.blobs()[layer]
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    built.append("src/score.py", "# edited\n")
    assert "file src/score.py changed: 31 -> 40 bytes" in _reasons(built)
    built.run("build", APP).said("2 built")


def test_e_another_requirement_is_told_by_name_and_version(built: Space) -> None:
    built.edit("BUILD.yaml", "numlib==1.0", "numlib==2.0")
    assert _reasons(built)[0] == "would lock //:env again: the requirements have changed"
    built.run("build", APP).said("small wheels 2  numlib 1.0 -> 2.0\n", "lock of the environment changed: ")
    found = _reasons(built)
    at = found.index("small wheels 2: up to date")
    assert found[at + 1] == "last built because: numlib 1.0 -> 2.0"
    assert not [line for line in found if "sha256" in line or "params" in line or ".whl" in line]
    built.edit("BUILD.yaml", "numlib==2.0", "numlib==2.0, needy")
    built.run("build", APP)
    assert "last built because: input small wheels 3 is new" in _reasons(built)


@pytest.mark.parametrize(("size", "title"), [(10, "small wheels"), (2 << 20, "heavy 2.0: ")])
def test_e_a_large_wheel_of_another_version_is_no_first_build(workspace: Space, size: int, title: str) -> None:
    for version in ("1.0", "2.0"):
        name, data = wheel("heavy", version, extra=os.urandom(size))
        (workspace.wheels / name).write_bytes(data)
    workspace.edit("BUILD.yaml", "numlib==1.0", "numlib==1.0, heavy==1.0")
    workspace.run("build", APP)
    workspace.edit("BUILD.yaml", "heavy==1.0", "heavy==2.0")
    assert workspace.run("build", APP).said("heavy 1.0 -> 2.0\n").out.count("first build here") == 0
    found = _reasons(workspace)
    assert found[found.index("last built because: heavy 1.0 -> 2.0") - 1].startswith(title)


def test_e_another_base_is_another_image(built: Space) -> None:
    make_base(built.root / "base", files={"etc/os-release": b"ID=other\n"})
    built.run("lock", "//:base")
    found = _reasons(built)
    assert found[0] == "base base: would run"
    assert re.fullmatch("image changed: [0-9a-f]{12} -> [0-9a-f]{12}", found[1])
    built.run("build", APP)
    assert [line for line in _reasons(built) if "lock of the base changed: " in line]


def test_e_settings_are_told_by_the_names_people_wrote(built: Space) -> None:
    built.edit("BUILD.yaml", "    code: :code\n", "    code: :code\n    environment: {A: b}\n")
    assert _reasons(built)[:2] == ["image of //:app: would run", "environment.A is new"]
    built.run("build", APP)
    built.edit("BUILD.yaml", "{A: b}", "{A: c}")
    built.edit("rules/tiny.yaml", "ports: [8080]", "ports: [8080, 8081]")
    assert _reasons(built)[1:3] == ["environment.A changed: b -> c", "ports changed: [8080] -> [8080, 8081]"]
    verbose = _reasons(built, "--verbose")
    assert "sees params.config.ports = [8080, 8081]" in verbose
    assert all(len(word) < 64 or "/" in word for line in verbose for word in line.split()), "no long digests"
