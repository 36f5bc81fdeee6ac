"""Every shipped reconciler passes the suite over a fake; tests/integration/controllers runs it over the real store."""

import pytest
from tests.integration.controllers.worlds import WORLDS, worlds_of

from aspora.testing.fake_client import FakeClient
from aspora.testing.reconcile_suite import NewWorld, ReconcilerSuite


@pytest.fixture(params=sorted(WORLDS))
def new_world(request: pytest.FixtureRequest) -> NewWorld:
    return worlds_of(FakeClient(), request.param)


class TestShippedReconcilers(ReconcilerSuite):
    """All of them."""
