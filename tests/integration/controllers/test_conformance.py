"""Every shipped reconciler passes the suite over the real store."""

import pytest
from tests.integration.controllers.worlds import WORLDS, worlds_of

from aspora.client.api_client import ApiClient
from aspora.testing.reconcile_suite import NewWorld, ReconcilerSuite


@pytest.fixture(params=sorted(WORLDS))
def new_world(request: pytest.FixtureRequest, admin: ApiClient) -> NewWorld:
    return worlds_of(admin, request.param)


class TestShippedReconcilers(ReconcilerSuite):
    """All of them."""
