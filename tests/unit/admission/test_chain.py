"""The order of plugins, and that no problem is lost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from aspora.admission.builtins import BUILTINS, load_chain
from aspora.admission.chain import Chain
from aspora.admission.interface import AdmissionPorts, AdmissionRequest, Mutation, Review
from aspora.meta.errors import FieldError, Invalid


@dataclass
class Mutator:
    name: str
    log: list[str] = field(default_factory=list)

    async def mutate(self, request: AdmissionRequest) -> Mutation:
        self.log.append(self.name)
        new = {**(request.new or {}), "seen": [*(request.new or {}).get("seen", []), self.name]}
        return Mutation(new, warnings=(f"{self.name} warns",), once={self.name: "x"})


@dataclass
class Validator:
    name: str
    errors: tuple[FieldError, ...] = ()
    seen: list[Any] = field(default_factory=list)

    async def validate(self, request: AdmissionRequest) -> Review:
        self.seen.append(request.new)
        return Review(errors=self.errors, warnings=[f"{self.name} warns"])


async def test_all_mutate_then_all_validate(ask: Callable[..., AdmissionRequest], skill: Callable[..., Any]) -> None:
    validator = Validator("v")
    chain = Chain([validator, Mutator("m1"), Mutator("m2")])
    admitted = await chain.admit(ask("Skill", skill()))
    assert validator.seen[0]["seen"] == ["m1", "m2"]
    assert admitted.object is not None
    assert admitted.object["seen"] == ["m1", "m2"]
    assert admitted.warnings == ("m1 warns", "m2 warns", "v warns")
    assert set(admitted.once) == {"m1", "m2"}


async def test_problems_of_all_plugins_come_together(
    ask: Callable[..., AdmissionRequest], skill: Callable[..., Any]
) -> None:
    chain = Chain(
        [Validator("schema"), Validator("a", (FieldError("x", "1"),)), Validator("b", (FieldError("y", "2"),))]
    )
    with pytest.raises(Invalid) as refused:
        await chain.admit(ask("Skill", skill()))
    assert [d.field for d in refused.value.details] == ["x", "y"]


async def test_without_the_shape_nobody_else_is_asked(
    ask: Callable[..., AdmissionRequest], skill: Callable[..., Any]
) -> None:
    other = Validator("other")
    with pytest.raises(Invalid):
        await Chain([Validator("schema", (FieldError("x", "1"),)), other]).admit(ask("Skill", skill()))
    assert other.seen == []


async def test_a_delete_is_validated_and_never_mutated(
    ask: Callable[..., AdmissionRequest], skill: Callable[..., Any]
) -> None:
    mutator, validator = Mutator("m"), Validator("v")
    admitted = await Chain([mutator, validator]).admit(ask("Skill", None, old=skill()))
    assert (admitted.object, mutator.log, validator.seen) == (None, [], [None])


async def test_the_shipped_chain_admits_a_plain_skill(
    ports: AdmissionPorts, ask: Callable[..., AdmissionRequest], skill: Callable[..., Any]
) -> None:
    assert next(name for name in BUILTINS if name not in {"keys", "secrets", "defaulting"}) == "schema"
    admitted = await load_chain(ports).admit(ask("Skill", skill()))
    assert admitted.object is not None
    assert admitted.object["spec"]["runtime"]["memoryBytes"] == 512_000_000
