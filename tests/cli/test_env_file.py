"""Files of variables: what they say, and what is wrong with them, without a value in the error."""

from pathlib import Path

import pytest

from buildrules.cli.env_file import read_env_file
from buildrules.errors import LoadError, UsageError


def test_values_stand_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_SHELL", "shell")
    monkeypatch.delenv("NOT_SET", raising=False)
    file = tmp_path / "x.env"
    file.write_bytes(
        b'\xef\xbb\xbfA=1\r\n  B= not trimmed \nC="quoted" #no comment\n#D=4\n\nE=\nOF_THE_SHELL\nNOT_SET\n'
    )
    assert read_env_file(str(file)) == {
        "A": "1",
        "B": " not trimmed ",
        "C": '"quoted" #no comment',
        "E": "",
        "OF_THE_SHELL": "shell",
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"=hidden", "there is no name before the `=`"),
        (b"export KEY=hidden", "the name of a variable holds a space"),
        (b"KEY =hidden", "the name of a variable holds a space"),
        (b"KEY=hidden\xff", "this line is not UTF-8"),
        (b"KEY=hid\0den", "holds a NUL"),
    ],
)
def test_what_is_malformed_is_named_by_its_line(tmp_path: Path, line: bytes, message: str) -> None:
    file = tmp_path / "x.env"
    file.write_bytes(b"# first\nGOOD=1\n" + line + b"\n")
    with pytest.raises(LoadError) as caught:
        read_env_file(str(file))
    assert message in caught.value.message
    assert str(caught.value.position) == f"{file}:3:1"
    assert "hid" not in f"{caught.value.message}{caught.value.hint}{caught.value.position.excerpt}"  # type: ignore[union-attr]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        read_env_file(str(tmp_path))


def test_a_line_ends_at_its_line_feed(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_bytes(b"A=1\r2\r\nB=3\x0b4\r\r\nC=5\r")
    assert read_env_file(str(file)) == {"A": "1\r2", "B": "3\x0b4\r", "C": "5"}


def test_a_file_without_an_end_is_not_read_to_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has more than 16 MiB"):
        read_env_file("/dev/zero")
    file = tmp_path / "x.env"
    file.write_bytes(b"A=" + bytes([120]) * (16 << 20))
    with pytest.raises(UsageError, match="has more than 16 MiB"):
        read_env_file(str(file))
