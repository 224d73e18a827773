"""Loading a whole workspace: settings, targets, and what was looked at."""

from pathlib import Path

import pytest

from buildrules.document.problems import Problems
from buildrules.errors import LoadError
from buildrules.workspace.disk import CONTENT, SEARCHED, Disk
from buildrules.workspace.labels import Label
from buildrules.workspace.loader import Workspace, load_workspace


def write(root: Path, files: dict[str, str]) -> str:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return str(root)


def load(root: str) -> Workspace:
    problems = Problems()
    workspace = load_workspace(Disk(root), problems)
    problems.raise_all()
    return workspace


def found(root: Path, text: str) -> list[tuple[str, str, str | None]]:
    with pytest.raises(LoadError) as caught:
        load(write(root, {"BUILD.yaml": text}))
    return [(str(e.position).removeprefix("BUILD.yaml:"), e.message, e.hint) for e in caught.value.errors]


def test_a_workspace(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "BUILD.yaml": """
                workspace:
                  name: acme
                  platforms: [linux/amd64, linux/arm64]
                  plugins: [acme.build]
                  debian: {suite: bookworm, snapshot: 20250131T000000Z}
                  locks: {portable: true}
                  default_registry: registry.example/team
                  cache: {remote: "https://cache.example/acme", upload: ci, connection: cache}
                  connections:
                    feed: {type: python_feed, target: "https://feed.example/simple", credentials: {pat: {env: FEED}}}
                    cache:
                      {type: http, target: "https://cache.example", credentials: {username: me, password: {file: pw}}}
                """.replace("\n                ", "\n"),
            "models/BUILD.yaml": "targets:\n  m: {rule: model, path: x}\n  n:\n    rule: //rules:mine\n",
            "empty/BUILD.yaml": "",
            "none/BUILD.yaml": "targets:\n",
        },
    )
    disk = Disk(root)
    workspace = load_workspace(disk, Problems())
    assert workspace.settings.name == "acme"
    assert workspace.settings.platforms == ["linux/amd64", "linux/arm64"]
    credentials = workspace.settings.connections["feed"].credentials
    assert credentials is not None
    assert credentials.pat is not None
    assert credentials.pat.env == "FEED"
    assert list(workspace.targets) == [Label("models", "m"), Label("models", "n")]
    target = workspace.targets[Label("models", "m")]
    assert target.rule == "model"
    assert {name: node.value() for name, node in target.attributes.items()} == {"path": "x"}
    assert str(target.attributes["path"].position) == "models/BUILD.yaml:2:26"
    assert disk.seen(CONTENT) == ["BUILD.yaml", "empty/BUILD.yaml", "models/BUILD.yaml", "none/BUILD.yaml"]
    assert disk.seen(SEARCHED) == ["", "empty", "models", "none"]


def test_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, {"BUILD.yaml": "workspace: {name: x}\n"})).settings
    assert settings.platforms == ["linux/amd64"]
    assert settings.cache.upload == "ci"
    assert settings.locks.portable is False


@pytest.mark.parametrize(
    ("section", "place", "message", "hint"),
    [
        ("{}", "1:12", "'name' is missing in workspace", None),
        ("{name: a b}", "1:19", "'a b' is not a name: use letters, digits and `_ . -`", None),
        ("{name: x, platform: []}", "1:22", "unknown key 'platform'", "did you mean 'platforms'?"),
        (
            "{name: x, platforms: [linux/amd46]}",
            "1:34",
            "'platforms': 'linux/amd46' is not one of the choices",
            "did you mean 'linux/amd64'?",
        ),
        ("{name: x, debian: {suite: 12}}", "1:38", "'suite': expected a text, not '12'", 'quote it: "12"'),
        (
            "{name: x, locks: {portable: 'yes'}}",
            "1:40",
            "'portable': expected true or false, not 'yes'",
            "write true or false",
        ),
        ("{name: x, cache: {conection: y}}", "1:30", "unknown key 'conection'", "did you mean 'connection'?"),
        ("{name: x, ignore: [../y]}", "1:31", "'../y' is not a path inside the workspace", None),
        ("{name: x, plugins: [a-b]}", "1:32", "'a-b' is not the name of a Python module", None),
        ("{name: x, cache: {connection: y}}", "1:12", "cache.connection: there is no connection 'y'", None),
        ("[a]", "1:12", "workspace must be a map, not a list", None),
    ],
)
def test_settings_errors(tmp_path: Path, section: str, place: str, message: str, hint: str | None) -> None:
    assert found(tmp_path, f"workspace: {section}\n") == [(place, message, hint)]


@pytest.mark.parametrize(
    "connection",
    [
        "{type: http, target: 'https://x.example', credentials: {pat: hunter2}}",
        "{type: http, target: 'https://x.example', credentials: {username: me, password: hunter2}}",
        "{type: http, target: 'https://me:hunter2@x.example'}",
    ],
)
def test_a_written_out_secret_is_refused_and_not_shown(tmp_path: Path, connection: str) -> None:
    text = f"workspace:\n  name: x\n  connections:\n    c: {connection}\n"
    with pytest.raises(LoadError) as caught:
        load(write(tmp_path, {"BUILD.yaml": text}))
    (error,) = caught.value.errors
    assert error.position is not None
    assert "hunter2" not in f"{error.message} {error.hint} {error.position.excerpt} {error!r} {error.__cause__}"


def test_a_credential_names_one_place(tmp_path: Path) -> None:
    text = (
        "workspace:\n  name: x\n  connections:\n    c: {type: http, target: t, credentials: {pat: {env: A, file: b}}}\n"
    )
    assert [message for _, message, _ in found(tmp_path, text)] == [
        "a credential names exactly one of env, file and keyring"
    ]


def test_all_files_are_read_before_an_error_is_raised(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "BUILD.yaml": "workspace: {nam: x}\ntarget: {}\n",
            "a/BUILD.yaml": "targets:\n  x: {rul: model}\n  all: {rule: model}\n  y z: {rule: model}\n",
            "b/BUILD.yaml": "targets: [x]\n",
            "c/BUILD.yaml": "x: {rule: model}\n",
            "d/BUILD.yaml": "- x\n",
            "e f/BUILD.yaml": "targets: {}\n",
            "g/BUILD.yml": "",
            "h/BUILD.yaml": "targets: {x: model, y: {rule: 1.0}}\n",
        },
    )
    with pytest.raises(LoadError) as caught:
        load(root)
    assert str(caught.value) == "13 errors in 8 files"
    assert [f"{error.position}: {error.message}" for error in caught.value.errors] == [
        "BUILD.yaml:1:12: 'name' is missing in workspace",
        "BUILD.yaml:1:13: unknown key 'nam'",
        "BUILD.yaml:2:1: unknown section 'target'",
        "a/BUILD.yaml:2:3: target 'x' has no 'rule'",
        "a/BUILD.yaml:3:3: 'all' is a reserved name: `:all` means every target of a package",
        "a/BUILD.yaml:4:3: 'y z' is not a target name: "
        "use letters, digits and `_ . + -`, not starting with `.`, `+` or `-`",
        "b/BUILD.yaml:1:10: targets must be a map from names to targets, not a list",
        "c/BUILD.yaml:1:1: unknown section 'x'",
        "d/BUILD.yaml:1:1: a BUILD.yaml holds a map, not a list",
        "e f/BUILD.yaml:1:1: the directory 'e f' cannot be a package: 'e f' is not a target name: "
        "use letters, digits and `_ . + -`, not starting with `.`, `+` or `-`",
        "g/BUILD.yml:1:1: 'g/BUILD.yml' is not read",
        "h/BUILD.yaml:1:11: target 'x' must be a map, not 'model'",
        "h/BUILD.yaml:1:31: expected the name of a rule, but an unquoted '1.0' is a number",
    ]
