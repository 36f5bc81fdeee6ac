"""What every reconciler must do. Subclass `ReconcilerSuite`, give it the fixture `new_world`, collect it with pytest.

Here belongs only what the contract of a reconciler promises; what one controller decides is tested elsewhere.
"""

from aspora.testing.reconcile_suite.clients import BreakingClient, CountingClient
from aspora.testing.reconcile_suite.suite import NewWorld, ReconcilerSuite, World

__all__ = ["BreakingClient", "CountingClient", "NewWorld", "ReconcilerSuite", "World"]
