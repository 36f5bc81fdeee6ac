"""Shipped reconcilers pass the suite over the real store: some of them always, all with ASPORA_TEST_FAULTS=full.

All of them always pass it over the fake, in tests/contract.
"""

import os

import pytest
from tests.integration.controllers.worlds import WORLDS, worlds_of

from aspora.client.api_client import ApiClient
from aspora.testing.reconcile_suite import NewWorld, ReconcilerSuite

IS_FULL = os.environ.get("ASPORA_TEST_FAULTS") == "full"


@pytest.fixture(params=sorted(WORLDS) if IS_FULL else ["foreground", "skill"])
def new_world(request: pytest.FixtureRequest, admin: ApiClient) -> NewWorld:
    return worlds_of(admin, request.param)


class TestShippedReconcilers(ReconcilerSuite):
    """All of them."""
