"""Fingerprints agree between hosts with one pepper, and the pepper file is kept private."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import (
    Pepper,
    UnsafePepper,
    args_hash,
    canonical_json,
    fingerprint,
    identifier,
    is_fingerprint,
)

ONE, OTHER = bytes(32), bytes([1] * 32)


def test_the_pepper_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "pepper"
    first = Pepper.load(path)
    assert (0o600, 32) == (path.stat().st_mode & 0o777, len(path.read_bytes()))
    assert first == Pepper.load(path)


def test_two_hosts_with_one_pepper_agree(tmp_path: Path) -> None:
    here = Pepper.load(tmp_path / "here")
    (tmp_path / "there").write_bytes((tmp_path / "here").read_bytes())
    (tmp_path / "there").chmod(0o600)
    there = Pepper.load(tmp_path / "there")
    assert here.fingerprint == there.fingerprint
    assert fingerprint(here.secret, "sk-1") == fingerprint(there.secret, "sk-1")


def test_another_pepper_gives_other_fingerprints() -> None:
    assert fingerprint(ONE, "sk-1") != fingerprint(OTHER, "sk-1")
    assert Pepper(ONE).fingerprint != Pepper(OTHER).fingerprint


def test_a_pepper_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "pepper"
    Pepper.load(path)
    path.chmod(0o640)
    with pytest.raises(UnsafePepper, match=r"mode 0640.*chmod 600"):
        Pepper.load(path)


def test_a_cut_pepper_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pepper"
    path.write_bytes(b"short")
    path.chmod(0o600)
    with pytest.raises(UnsafePepper, match="32 bytes"):
        Pepper.load(path)


def test_a_pepper_never_shows_its_secret() -> None:
    assert "\\x00" not in repr(Pepper(ONE)) and ONE.hex() not in repr(Pepper(ONE))


def test_a_fingerprint_passes_unchanged_and_anything_else_is_hashed() -> None:
    known = fingerprint(ONE, "sk-1")
    assert known == identifier(ONE, known)
    assert is_fingerprint(identifier(ONE, "hmac:sk-raw-key-in-disguise"))


def test_key_order_spacing_and_number_spelling_do_not_matter() -> None:
    assert args_hash(ONE, {"a": 1, "b": [2.0]}) == args_hash(ONE, {"b": [2], "a": 1.0})


def test_what_rfc_8785_cannot_say_still_has_a_fingerprint() -> None:
    odd = [2**53, -(10**400), float("nan"), float("inf"), "\ud800", {1: None}]
    assert len(odd) == len({args_hash(ONE, value) for value in odd})
    deep: object = 0
    for _ in range(500):
        deep = [deep]
    assert b'{"$deep":true}' in canonical_json(deep)


def test_a_large_value_is_still_independent_of_key_order() -> None:
    long = "x" * 300_000
    assert args_hash(ONE, {"a": long, "b": 1}) == args_hash(ONE, {"b": 1, "a": long})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_every_json_value_has_a_fingerprint(value: object) -> None:
    assert is_fingerprint(args_hash(ONE, value))
