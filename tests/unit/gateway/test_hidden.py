"""What is hidden leaves by no way, and survives a round trip."""

import pytest

from aspora.apis.api_key import KIND as API_KEY
from aspora.apis.route import KIND as ROUTE
from aspora.gateway.objects.hidden import mask, refuse_hidden, restore
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
    "selector", ["spec.keyHash=sha256:0", "spec!=x", "spec.keyHash.x=1", "kind=ApiKey", "metadata=x"]
)
def test_selectors_are_no_oracle(selector: str) -> None:
    with pytest.raises(BadRequest, match="field selector"):
        refuse_hidden(API_KEY, parse_selector(selector, what="field"))


def test_other_selectors_pass() -> None:
    refuse_hidden(API_KEY, parse_selector("metadata.name=a,spec.owner!=b,status.x=1", what="field"))
