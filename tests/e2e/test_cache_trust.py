"""Whose records a build takes, when others write into the cache what they should not."""

import json

import pytest

from buildrules.remote.envelope import Envelope
from tests.support.team import CI, DEVELOPER, STRANGER, Team


def forged(envelope: Envelope) -> bytes:
    """Other outputs under the signature of the first ones."""
    text = json.dumps(envelope.body)
    other = text.replace("sha256:", "sha256:0", 1).replace("0", "1", 1)
    changed = envelope._replace(body=json.loads(other) | {"more": 1})
    return changed.seal(Signature(envelope.writer, envelope.signature))


class Signature:
    """Signs everything with what was signed before."""

    def __init__(self, writer: str, signature: bytes) -> None:
        self.writer, self._signature = writer, signature

    def sign(self, data: bytes) -> bytes:
        return self._signature


def test_what_a_trusted_key_signed_is_taken(filled: Team) -> None:
    report = filled.built(filled.machine("reader"))
    assert report.executed == 0
    assert "warning" not in report.err


def test_what_is_unsigned_is_not_taken_and_said_aloud(filled: Team) -> None:
    filled.replace(lambda envelope: Envelope(envelope.key, envelope.namespace, envelope.body).seal(None))
    report = filled.built(filled.machine("reader"))
    assert report.executed > 0
    (line,) = [line for line in report.err.splitlines() if line.startswith("warning: nothing was taken from the cache")]
    assert line.endswith(" unsigned")


def test_what_is_unsigned_may_be_taken_with_a_warning(filled: Team) -> None:
    filled.replace(lambda envelope: Envelope(envelope.key, envelope.namespace, envelope.body).seal(None))
    report = filled.built(filled.machine("reader", signatures="warn"))
    assert report.executed == 0
    (line,) = [line for line in report.err.splitlines() if line.startswith("warning")]
    assert "used without a trusted signature" in line and line.endswith(" unsigned")
    assert "warning" not in filled.built(filled.machine("easy", signatures='"off"')).err


def test_a_wrong_key_is_one_loud_line(filled: Team) -> None:
    reader = filled.machine("reader")
    reader.write("keys/ci.pub", STRANGER.public(("main",)).text())
    report = filled.built(reader)
    assert report.executed > 0
    assert report.err.count("nothing was taken from the cache") == 1
    assert f"written by {CI.writer}" in report.err


@pytest.mark.parametrize("signatures", ["warn", "require"])
def test_what_was_tampered_with_is_never_taken(filled: Team, signatures: str) -> None:
    assert filled.replace(forged) > 0
    report = filled.built(filled.machine("reader", signatures=signatures))
    assert report.executed > 0
    assert "with a wrong signature" in report.err


@pytest.mark.parametrize("signatures", ["warn", "require"])
def test_what_a_developer_plants_in_main_is_not_taken(filled: Team, signatures: str) -> None:
    filled.replace(lambda envelope: Envelope(envelope.key, "main", envelope.body).seal(DEVELOPER))
    report = filled.built(filled.machine("reader", signatures=signatures))
    assert report.executed > 0
    assert "of a foreign namespace" in report.err


def test_a_team_without_keys_is_told_of_no_signatures(filled: Team) -> None:
    keys = "public_keys: [keys/ci.pub, keys/ada.pub]"
    for name, old, told in (
        ("keyless", f"{keys}, signatures: require, signing_key: {{env: SIGNING}}", False),
        ("with keys", f"{keys}, signatures: require", True),
    ):
        reader = filled.machine(name)
        reader.edit("BUILD.yaml", old, "upload: never")
        report = filled.built(reader)
        assert report.executed == 0
        assert ("warning" in report.err) == told


@pytest.mark.parametrize("signatures", ["require", '"off"'])
def test_a_record_that_is_sound_is_not_taken_for_another_key(filled: Team, signatures: str) -> None:
    found = list(filled.records())
    for (path, _), (_, other) in zip(found, [*found[1:], found[0]], strict=True):
        path.chmod(0o644)
        path.write_bytes(other.seal(CI))
    report = filled.built(filled.machine("reader", signatures=signatures))
    assert report.executed > 0
    assert "of another key or namespace than asked for" in report.err


def test_records_of_any_size_do_no_harm(filled: Team) -> None:
    for path, _ in list(filled.records()):
        path.chmod(0o644)
    for number, data in enumerate((b"[" * (3 << 20), b"[" * 900_000, b"")):
        for path in (filled.cache / "ac").rglob("*"):
            if path.is_file():
                path.write_bytes(data)
        assert filled.built(filled.machine(f"reader {number}")).executed > 0


def test_one_who_may_not_write_there_sends_nothing(team: Team) -> None:
    for name, signer, why in (
        ("developer", DEVELOPER, "is for developer/ada, not for 'main'; nothing is uploaded"),
        ("stranger", STRANGER, "is not among the public keys of this workspace; nothing is uploaded"),
        ("nobody", None, "signing_key names no key; nothing is uploaded"),
    ):
        report = team.built(team.writer(name, signer))
        assert why in report.err
        assert f"{why} to the cache\n  hint: " in report.err and "buildrules cache key" in report.err
    assert list(team.records()) == []


def test_a_developer_reads_main_and_plants_nothing_there(filled: Team) -> None:
    before = {path: path.read_bytes() for path, _ in filled.records()}
    ada = filled.writer("ada", DEVELOPER, namespace="developer/ada")
    assert filled.built(ada).executed == 0
    ada.append("src/score.py", "# mine\n")
    mine = ada.build()
    assert mine.executed > 0
    new = [envelope for path, envelope in filled.records() if path not in before]
    assert new and {envelope.namespace for envelope in new} == {"developer/ada"}
    assert all(path.read_bytes() == data for path, data in before.items())
    again = filled.machine("laptop")
    again.env["BUILDRULES_CACHE_NAMESPACE"] = "developer/ada"
    again.append("src/score.py", "# mine\n")
    assert again.build().executed == 0
    other = filled.machine("reader")
    other.append("src/score.py", "# mine\n")
    assert other.build().executed > 0
    other.run("build", "//:app", code=2, env={"BUILDRULES_CACHE_NAMESPACE": "../main"}).said("is '../main'")
