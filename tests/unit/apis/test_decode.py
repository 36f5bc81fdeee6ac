from typing import Any

import pytest
from pydantic import Field

from aspora.apis.decode import decode
from aspora.apis.kind import Kind, Scope
from aspora.meta.errors import FieldError, Invalid
from aspora.meta.objects import ApiModel, to_wire


class Part(ApiModel):
    share_bp: int = 0


class ToySpec(ApiModel):
    max_size: int = Field(ge=1)
    parts: list[Part] = Field(default_factory=list[Part])


def no_thirteen(toy: Any) -> list[FieldError]:
    return [FieldError("spec.maxSize", "13 is unlucky")] if toy.spec.max_size == 13 else []


TOY = Kind(kind="Toy", plural="toys", scope=Scope.DOMAIN, spec=ToySpec, validate=no_thirteen)


def wire(spec: Any, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "aspora.dev/v1",
        "kind": "Toy",
        "metadata": {"name": "x", "domain": "d", **metadata},
        "spec": spec,
    }


def test_round_trip() -> None:
    data = wire({"maxSize": 3, "parts": [{"shareBp": 5}]})
    assert to_wire(decode(TOY, data))["spec"] == data["spec"]


def test_all_problems_at_once_with_path_and_nearest_name() -> None:
    with pytest.raises(Invalid) as caught:
        decode(TOY, wire({"maxsize": 3, "parts": [{"shareBp": "many"}, {"share": 1}]}))
    problems = {d.field: d for d in caught.value.details}
    assert problems["spec.maxSize"].reason == "Required"
    assert "did you mean 'maxSize'" in problems["spec.maxsize"].message
    assert "did you mean 'shareBp'" in problems["spec.parts[1].share"].message
    assert "spec.parts[0].shareBp" in problems


@pytest.mark.parametrize("value", ["3", 3.0, True, None])
def test_a_number_is_a_number(value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        decode(TOY, wire({"maxSize": value}))
    assert [(e.field, e.message) for e in caught.value.details] == [("spec.maxSize", "input should be a valid integer")]


def test_times_are_text_on_the_wire() -> None:
    now = "2026-02-18T12:00:00.000Z"
    assert to_wire(decode(TOY, wire({"maxSize": 1}, creationTimestamp=now)))["metadata"]["creationTimestamp"] == now


def test_snake_case_is_refused_on_the_wire() -> None:
    with pytest.raises(Invalid, match="did you mean 'maxSize'"):
        decode(TOY, wire({"max_size": 3}))


def test_the_kinds_own_validation_runs() -> None:
    with pytest.raises(Invalid, match="unlucky"):
        decode(TOY, wire({"maxSize": 13}))


@pytest.mark.parametrize("metadata", [{"name": "Not_A_Name"}, {"domain": None}, {"labels": {"a b": "c"}}])
def test_bad_metadata(metadata: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        decode(TOY, wire({"maxSize": 1}, **metadata))


def test_a_value_never_reaches_the_message() -> None:
    with pytest.raises(Invalid) as caught:
        decode(TOY, wire({"maxSize": "hunter2-secret"}))
    assert "hunter2" not in str(caught.value.to_status())
