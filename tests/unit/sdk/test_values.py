"""Immutable values: what a dataclass would give, without its import."""

import copy
import pickle

import pytest

from aspora_sdk import SkillInput, SkillResult


def test_values_compare_print_copy_and_do_not_change() -> None:
    value = SkillInput("hi", metadata={"a": [1]})
    assert value == SkillInput(user_message="hi", metadata={"a": [1]})
    assert value != SkillInput("ho")
    assert value != SkillResult(True, "hi")
    assert repr(value) == "SkillInput(domain='', metadata={'a': [1]}, user_id='', user_message='hi')"
    with pytest.raises(AttributeError, match="immutable"):
        value.user_id = "x"
    with pytest.raises(AttributeError, match="immutable"):
        del value.user_id
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert SkillResult(success=True, message="m").data == {}
