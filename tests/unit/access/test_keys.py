"""Keys: minted, hashed, recognised."""

import pytest

from aspora.access.keys import KeyId, hash_key, matches, mint_key, parse_key


def test_a_key_names_its_object_and_matches_its_hash_alone() -> None:
    for key_id in (KeyId("", "ci"), KeyId("fraud", "ci-2")):
        key = mint_key(key_id)
        assert parse_key(key.text) == key_id
        assert matches(key.text, key.key_hash)
        assert key.key_hash == hash_key(key.text)
        assert not matches(key.text[:-1] + ("0" if key.text[-1] != "0" else "1"), key.key_hash)
        assert not matches(key.text, "")
        assert key.text not in repr(key)


def test_two_keys_differ_and_a_nameless_one_gets_a_name() -> None:
    one, two = mint_key(), mint_key()
    assert one.text != two.text
    assert parse_key(one.text) != parse_key(two.text)
    assert len(mint_key(KeyId("", "a")).text) == len("aspora_a_") + 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aspora",
        "aspora_a_",
        "aspora_a_00",
        "aspora__" + "0" * 64,
        "aspora_a_" + "g" * 64,
        "x_a_" + "0" * 64,
        "aspora_a.b.c_" + "0" * 64,
        "aspora_A_" + "0" * 64,
        "aspora_a_" + "0" * 64 + "\n",
    ],
)
def test_other_texts_are_no_keys(text: str) -> None:
    assert parse_key(text) is None
