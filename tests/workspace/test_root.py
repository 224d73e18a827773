"""Where a workspace begins and which directories are packages."""

import os
from pathlib import Path

import pytest

from buildrules.errors import LoadError, UsageError
from buildrules.workspace.root import find_packages, find_root, is_workspace_file, package_of


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def test_the_nearest_workspace_wins(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "BUILD.yaml": "workspace: {name: outer}\n",
            "a/BUILD.yaml": "targets: {}\n",
            "a/b/c/x": "",
            "inner/BUILD.yaml": "# a note\ntargets: {}\nworkspace:\n  name: inner\n",
            "inner/d/x": "",
        },
    )
    assert find_root(str(tmp_path / "a/b/c")) == str(tmp_path.resolve())
    assert find_root(str(tmp_path / "inner/d")) == str((tmp_path / "inner").resolve())


def test_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_root(str(tmp_path))
    assert "buildrules init" in str(caught.value.hint)
    write(tmp_path, {"BUILD.yml": "workspace: {}\n"})
    with pytest.raises(UsageError) as caught:
        find_root(str(tmp_path))
    assert "BUILD.yml" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("targets: {}\n", "has no `workspace:` section, nor has one above", "add `workspace: {name: NAME}`"),
        ("# a\nworksapce:\n  name: a\n", ":2: there is no section 'worksapce'", "did you mean 'workspace'?"),
        ("\0\1\n", "has no `workspace:` section", "add `workspace:"),
    ],
)
def test_a_file_that_opens_no_workspace(tmp_path: Path, text: str, message: str, hint: str) -> None:
    write(tmp_path, {"BUILD.yaml": text, "below/x": ""})
    with pytest.raises(UsageError) as caught:
        find_root(str(tmp_path / "below"))
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workspace:\n", True),
        ("workspace: {}", True),
        ("workspace:", True),
        ("'workspace': {}", True),
        ('"workspace" : {}', True),
        ("\ufeffworkspace: {}", True),
        ("workspace:\r\n  name: x\r\n", True),
        ("targets:\n  workspace: {}\n", False),
        ("# workspace:\n", False),
        ("workspaces: {}\n", False),
        ("workspace\n", False),
        ("workspace:x\n", False),
        ("", False),
    ],
)
def test_workspace_key(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "BUILD.yaml").write_bytes(text.encode())
    assert is_workspace_file(str(tmp_path / "BUILD.yaml")) is expected


def test_packages(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "BUILD.yaml": "workspace: {name: x}\n",
            "a/BUILD.yaml": "",
            "a/b/c/BUILD.yaml": "",
            "nested/BUILD.yaml": "workspace: {name: y}\n",
            "nested/below/BUILD.yaml": "",
            ".venv/BUILD.yaml": "",
            ".git/x/BUILD.yaml": "",
            "node_modules/m/BUILD.yaml": "",
            "env/pyvenv.cfg": "",
            "env/lib/BUILD.yaml": "",
            "ignored/BUILD.yaml": "",
            "wrong/BUILD.yml": "",
        },
    )
    (tmp_path / "link").symlink_to("a")
    found = find_packages(str(tmp_path), ["ignored"])
    assert found.packages == ["", "a", "a/b/c"]
    assert found.directories == ["", "a", "a/b", "a/b/c", "env", "nested", "wrong"]
    assert found.misspelt == ["wrong/BUILD.yml"]


def test_package_of(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    root = str(tmp_path.resolve())
    assert package_of(root, root) == ""
    assert package_of(root, str(tmp_path / "a/b")) == "a/b"
    with pytest.raises(UsageError):
        package_of(str(tmp_path / "a"), root)


def test_files_of_nested_workspaces_are_told(tmp_path: Path) -> None:
    write(tmp_path, {"BUILD.yaml": "workspace: {name: x}\n", "in/BUILD.yaml": "workspace: {name: y}\n"})
    found = find_packages(str(tmp_path))
    assert (found.packages, found.nested) == ([""], ["in/BUILD.yaml"])


def test_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, {"BUILD.yaml": "workspace: {name: x}\n"})
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in/BUILD.yaml")
    with pytest.raises(LoadError, match="is not a regular file"):
        find_packages(str(tmp_path))
    (tmp_path / "in/BUILD.yaml").unlink()
    (tmp_path / "in/BUILD.yaml").symlink_to("/dev/zero")
    with pytest.raises(LoadError, match="is not a regular file"):
        find_packages(str(tmp_path))


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "BUILD.yaml", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LoadError, match="more than 16 MiB"):
        is_workspace_file(str(tmp_path / "BUILD.yaml"))


def test_directories_too_deep_for_the_system_are_told(tmp_path: Path) -> None:
    write(tmp_path, {"BUILD.yaml": "workspace: {name: x}\n"})
    name, levels = "d" * 250, 20
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(LoadError, match="cannot list the directory") as caught:
        find_packages(str(tmp_path))
    assert "ignore" in (caught.value.hint or "")
    assert find_packages(str(tmp_path), [name]).packages == [""]
