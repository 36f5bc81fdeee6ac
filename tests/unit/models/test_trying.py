"""What a person reads when no model answered."""

import pytest

from aspora.models.catalog import Catalog, Endpoint
from aspora.models.defaults import default_objects
from aspora.models.trying import Tried, tell
from aspora.models.upstream import Then, UpstreamFault, fault_of_status


def endpoint(alias: str, **environment: str) -> Endpoint:
    objects = default_objects()
    made = Catalog(
        [o for o in objects if o["kind"] == "Model"],
        [o for o in objects if o["kind"] == "Provider"],
        environment=environment or {"OPENROUTER_API_KEY": "k"},
    )
    return made.resolve([alias])[0]


def test_different_faults_are_told_in_their_order_and_equal_ones_once() -> None:
    slow = UpstreamFault("timeout", "no whole answer within 3.0 s", then=Then.FALL_BACK, in_doubt=True)
    busy = fault_of_status(503)
    tried = [Tried(endpoint("gpt-4o"), busy), Tried(endpoint("gpt-4o"), slow), Tried(endpoint("gpt-4o-mini"), busy)]
    assert tell([tried[0], *tried]) == (
        "openrouter: status 503 (gpt-4o 2x, gpt-4o-mini 1x), try again later; "
        "openrouter: no whole answer within 3.0 s (gpt-4o: 1 try), try again later"
    )


@pytest.mark.parametrize(
    ("status", "environment", "advice"),
    [
        (401, {"OPENROUTER_API_KEY": "k"}, "check OPENROUTER_API_KEY"),
        (403, {"ASPORA_MODEL_URL": "http://h/v1"}, "check ASPORA_MODEL_API_KEY"),
        (402, {"OPENROUTER_API_KEY": "k"}, "top up the account"),
        (404, {"ASPORA_MODEL_URL": "http://h/v1"}, "set ASPORA_MODEL_NAME to a model it knows"),
        (404, {"OPENROUTER_API_KEY": "k"}, "set spec.upstreamId of the Model"),
        (429, {"OPENROUTER_API_KEY": "k"}, "raise the limit"),
    ],
)
def test_each_fault_names_its_remedy(status: int, environment: dict[str, str], advice: str) -> None:
    assert advice in tell([Tried(endpoint("gpt-4o", **environment), fault_of_status(status))])
