import pytest
from hypothesis import given
from hypothesis import strategies as st

from aspora.meta.errors import Invalid
from aspora.sealing.cipher import SealBroken, new_key, parse_secret_key, seal, sealed_with, unseal

PLACE = "Secret/wealth/crm"
VALUES = {"token": "s3cret-välue", "user": ""}


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_what_is_sealed_comes_back(values: dict[str, str]) -> None:
    key = new_key()
    text = seal(key, values, place=PLACE)
    assert unseal(key, text, place=PLACE) == values
    assert sealed_with(text) == key.key_id


def test_no_seal_is_like_another_and_none_shows_anything() -> None:
    key = new_key()
    one, two = seal(key, VALUES, place=PLACE), seal(key, VALUES, place=PLACE)
    assert one != two
    assert "s3cret" not in one
    assert key.text not in one
    assert key.secret.hex() not in repr(key)


def test_another_key_another_place_or_any_damage_is_refused() -> None:
    key = new_key()
    text = seal(key, VALUES, place=PLACE)
    with pytest.raises(SealBroken, match="put that one back"):
        unseal(new_key(), text, place=PLACE)
    with pytest.raises(SealBroken, match="for another object"):
        unseal(key, text, place="Secret/fraud/crm")
    head, key_id, *parts = text.split(".")
    for i in range(3):
        changed = [*parts]
        changed[i] = ("B" if changed[i][0] == "A" else "A") + changed[i][1:]
        with pytest.raises(SealBroken, match="damaged"):
            unseal(key, ".".join([head, key_id, *changed]), place=PLACE)
    for nothing in ("", "v2.a.b.c.d", "v1.x"):
        with pytest.raises(SealBroken):
            sealed_with(nothing)


def test_a_key_is_64_hex_digits_and_never_repeated() -> None:
    key = new_key()
    assert parse_secret_key(key.text + "\n") == key
    for text in ("", "abcd", "z" * 64, key.text[:-1], key.text + "00"):
        with pytest.raises(Invalid, match="is not 64 hex digits") as refused:
            parse_secret_key(text)
        assert not text or text not in str(refused.value)
