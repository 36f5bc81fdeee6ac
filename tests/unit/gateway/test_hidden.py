"""What is hidden leaves by no way, and survives a round trip."""

import pytest

from aspora.apis.api_key import KIND as API_KEY
from aspora.apis.route import KIND as ROUTE
from aspora.gateway.objects.hidden import check_fields, mask, restore
from aspora.meta.errors import BadRequest
from aspora.meta.selectors import parse_selector

KEY = {"metadata": {"name": "k"}, "spec": {"owner": "o", "keyHash": "sha256:0"}}


def test_mask_cuts_and_restore_brings_back() -> None:
    shown = mask(API_KEY, KEY)
    assert shown == {"metadata": {"name": "k"}, "spec": {"owner": "o"}}
    assert KEY["spec"]["keyHash"] == "sha256:0"
    assert restore(API_KEY, KEY, shown) == KEY
    assert mask(ROUTE, KEY) is KEY


@pytest.mark.parametrize(
    "selector",
    ["spec.keyHash=sha256:0", "spec!=x", "spec.keyHash.x=1", "kind=ApiKey", "metadata=x", "%%%", "spec..x=1"],
)
def test_selectors_are_no_oracle(selector: str) -> None:
    with pytest.raises(BadRequest, match="field selector"):
        check_fields(API_KEY, parse_selector(selector, what="field"))


def test_selectors_ask_for_fields_that_there_are() -> None:
    passing = (
        "metadata.name=a,spec.owner!=b,status.observedGeneration=1,metadata.labels.team=x,metadata.annotations.any"
    )
    check_fields(API_KEY, parse_selector(passing, what="field"))
    for selector, says in (
        ("spec.ownr=b", "did you mean 'owner'"),
        ("spec.nope=1", "no field 'nope'; known: "),
        ("status.x=1", "apikey.status has no field 'x'"),
        ("metadata.name.x=1", "apikey.metadata.name has no field 'x'"),
    ):
        with pytest.raises(BadRequest, match=says):
            check_fields(API_KEY, parse_selector(selector, what="field"))
