"""Where a workspace begins and which directories are packages."""

from pathlib import Path

import pytest

from buildrules.errors import UsageError
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
