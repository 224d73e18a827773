"""Records that are not what they seem are refused, and said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildrules.remote.envelope import Envelope, read_envelope
from buildrules.remote.keys import PrivateKey, PublicKey, new_key, read_private, read_public
from buildrules.remote.trust import FOREIGN, FORGED, REPLAYED, UNKNOWN, UNSIGNED, Trust, Verdict

KEY = "ab" * 32
OTHER = "cd" * 32
BODY = {"kind": "files_layer/1", "outputs": {"blobs": {"a": "sha256:" + "0" * 64}}, "sizes": [1, 2]}
CI = PrivateKey("ci", b"c" * 32)
DEVELOPER = PrivateKey("dev", b"d" * 32)
STRANGER = PrivateKey("ci", b"s" * 32)  # of the same name
TRUSTED = [CI.public(("main",)), DEVELOPER.public(("developer/*",))]


def sealed(signer: PrivateKey | None = CI, key: str = KEY, namespace: str = "main") -> Envelope:
    return read_envelope(Envelope(key, namespace, BODY).seal(signer))


CASES = {
    "signed": (sealed(), ""),
    "unsigned": (sealed(None), UNSIGNED),
    "by a stranger": (sealed(STRANGER), UNKNOWN),
    "tampered with": (sealed()._replace(body={**BODY, "sizes": [1, 3]}), FORGED),
    "in somebody's name": (sealed(STRANGER)._replace(writer=CI.writer), FORGED),
    "by one who may not write there": (sealed(DEVELOPER), FOREIGN),
    "for another key": (sealed(key=OTHER), REPLAYED),
    "of another namespace": (sealed(DEVELOPER, namespace="developer/ada"), REPLAYED),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_required_is_refused_without(case: str) -> None:
    envelope, why = CASES[case]
    assert Trust("require", TRUSTED).judge(envelope, KEY, "main") == Verdict(not why, why)


@pytest.mark.parametrize("case", CASES)
def test_a_warning_lets_pass_what_nobody_vouches_for_and_no_forgery(case: str) -> None:
    envelope, why = CASES[case]
    assert Trust("warn", TRUSTED).judge(envelope, KEY, "main") == Verdict(why in ("", UNSIGNED, UNKNOWN), why)


@pytest.mark.parametrize("case", CASES)
def test_without_signatures_a_record_is_still_for_one_key(case: str) -> None:
    envelope, why = CASES[case]
    assert Trust("off").judge(envelope, KEY, "main").accepted == (why != REPLAYED)


def test_a_name_with_a_star_stands_for_what_is_below_it() -> None:
    trust = Trust("require", TRUSTED)
    for namespace, good in (("developer/ada", True), ("developer", False), ("developers/ada", False), ("main", False)):
        assert trust.judge(sealed(DEVELOPER, namespace=namespace), KEY, namespace).accepted == good


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(body=st.dictionaries(st.text(max_size=6), JSON, max_size=4))
def test_what_was_sealed_is_read_and_believed(body: dict[str, Any]) -> None:
    envelope = read_envelope(Envelope(KEY, "main", body).seal(CI))
    assert envelope.body == body
    assert Trust("require", TRUSTED).judge(envelope, KEY, "main") == Verdict(True)


@given(changes=st.fixed_dictionaries({}, optional={
    "key": st.text(max_size=64),
    "namespace": st.sampled_from(["main", "developer/ada", "", "main/"]),
    "body": st.dictionaries(st.text(max_size=6), JSON, max_size=4),
    "writer": st.sampled_from([key.writer for key in TRUSTED]) | st.text(max_size=20),
    "signature": st.binary(max_size=80),
}))  # fmt: skip
def test_whatever_field_is_changed_is_noticed(changes: dict[str, Any]) -> None:
    envelope = sealed()
    changed = envelope._replace(**changes)
    accepted = Trust("require", TRUSTED).judge(changed, KEY, "main").accepted
    assert accepted == (changed == envelope)


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_flipped_bit_makes_another_record(place: int, bit: int) -> None:
    data = bytearray(Envelope(KEY, "main", BODY).seal(CI))
    data[place % len(data)] ^= 1 << bit
    try:
        envelope = read_envelope(bytes(data))
    except ValueError:
        return
    assert not Trust("require", TRUSTED).judge(envelope, KEY, "main").accepted or envelope == sealed()


def test_a_body_that_cannot_be_signed_is_a_forgery() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    envelope = Envelope(KEY, "main", {"outputs": deep}, CI.writer, b"s" * 64)
    assert Trust("warn", TRUSTED).judge(envelope, KEY, "main") == Verdict(False, FORGED)
    for _ in range(100_000):  # taken apart from outside: Python's own way would be as deep
        deep = deep["a"]


def test_nothing_to_tell_where_all_is_well() -> None:
    trust = Trust("require", TRUSTED)
    trust.judge(sealed(), KEY, "main")
    assert trust.lines() == []


def test_what_is_used_without_a_signature_is_one_line() -> None:
    trust = Trust("warn", TRUSTED)
    for envelope in [sealed(None)] * 12 + [sealed(STRANGER), sealed()]:
        trust.judge(envelope, KEY, "main")
    (line,) = trust.lines()
    assert "13 records of the cache were used without a trusted signature: 1 by an unknown writer, 12 unsigned" in line
    assert STRANGER.writer in line


def test_what_is_refused_is_counted_in_words() -> None:
    trust = Trust("require", TRUSTED)
    for envelope in [sealed(None)] * 12 + [sealed(DEVELOPER)] * 3 + [sealed()]:
        trust.judge(envelope, KEY, "main")
    (line,) = trust.lines()
    said, hint = line.split("\n")
    assert said == "15 records of the cache were refused: 3 of a foreign namespace, 12 unsigned"
    assert hint == "  hint: their keys are for other namespaces: buildrules cache key list"
    trust.judge(sealed()._replace(body={"other": 1}), KEY, "main")
    assert "audit --each" in trust.lines()[0]


def test_a_wrong_key_is_no_silent_miss() -> None:
    trust = Trust("require", [STRANGER.public(("main",))])
    for _ in range(40):
        trust.judge(sealed(), KEY, "main")
    (line,) = trust.lines()
    assert line.startswith("nothing was taken from the cache: 40 records of the cache were refused, 40 by an unknown")
    assert f"written by {CI.writer}" in line and "cache key trust" in line


def test_a_writer_with_a_hostile_name_is_not_shown() -> None:
    trust = Trust("require", TRUSTED)
    trust.judge(sealed()._replace(writer="\x1b]0;owned\x07"), KEY, "main")
    assert trust.lines()[0].isprintable() or "\x1b" not in trust.lines()[0]
    assert "(no name)" in trust.lines()[0]


def test_of_very_many_strangers_a_few_are_named() -> None:
    trust = Trust("require", TRUSTED)
    for number in range(100):
        trust.judge(sealed()._replace(writer=f"w{number}:{number:016x}"), KEY, "main")
    (line,) = trust.lines()
    assert "100 by an unknown writer" in line and line.count(":0000") == 5


def test_a_key_that_is_named_twice_counts_for_both_namespaces() -> None:
    trust = Trust("require", [CI.public(("main",)), CI.public(("release/*",)), CI.public(("main",))])
    for namespace in ("main", "release/1"):
        assert trust.judge(sealed(namespace=namespace), KEY, namespace).accepted
    assert trust.objection(CI.writer, "other") == f"the key '{CI.writer}' is for main, release/*, not for 'other'"


def test_a_writer_hears_that_nobody_would_believe_it() -> None:
    trust = Trust("require", TRUSTED)
    assert trust.objection(CI.writer, "main") is None
    assert trust.objection(CI.writer, "developer/ada") == f"the key '{CI.writer}' is for main, not for 'developer/ada'"
    assert "not among the public keys" in (trust.objection(STRANGER.writer, "main") or "")
    assert Trust("off").objection(STRANGER.writer, "main") is None
    assert "cache key new NAME --namespace developer/ada" in trust.remedy(CI.writer, "developer/ada")
    assert "cache key trust FILE" in trust.remedy(STRANGER.writer, "main")


def test_keys_are_read_as_they_are_written() -> None:
    key = new_key("ci-2026")
    again = read_private(key.text())
    assert (again.writer, again.sign(b"x")) == (key.writer, key.sign(b"x"))
    public = key.public(("main", "pull-request/*"))
    assert read_public(public.text().encode()) == public
    assert public.verifies(key.sign(b"x"), b"x") and not public.verifies(key.sign(b"x"), b"y")
    secret = key.text().strip().rpartition(":")[2]
    assert secret not in repr(key) and secret not in public.text()


GOOD = CI.public(("main",)).text()


@pytest.mark.parametrize("text", [
    "", "writer = 1", GOOD + 'more = "x"\n', GOOD.replace('"ci"', '"c i"'), GOOD.replace('["main"]', '"main"'),
    GOOD.replace('["main"]', "[]"), GOOD.replace('"main"', '"../main"'), GOOD.replace('"main"', '"*"'),
    GOOD.replace('"main"', "[]"), GOOD.replace('ed25519 = "', 'ed25519 = "A'),
    GOOD.replace("ed25519 = ", "ed25519 = 1 #"),
    "\udcff".join(GOOD).encode("utf-8", "surrogateescape").decode("latin-1"), CI.text(),
])  # fmt: skip
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_public(text.encode())


@pytest.mark.parametrize("text", ["", "secret", CI.text() + "x", CI.text().replace("ci", "c i"), CI.text()[:-9]])
def test_what_is_no_private_key_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_private(text)
    assert not text or text not in str(caught.value)


def test_a_writer_has_a_name() -> None:
    for name in ("", "a b", "../ci", "ü", "a" * 64, "a\n"):
        with pytest.raises(ValueError, match="no name of a writer"):
            new_key(name)


def test_keys_of_one_name_differ() -> None:
    assert isinstance(TRUSTED[0], PublicKey)
    assert CI.writer != STRANGER.writer
