"""What every object store must do. Subclass `StoreSuite`, give it the fixture `under_test`, collect it with pytest.

Here belongs only what the interface promises; what one store alone does is tested beside it.
"""

from aspora.testing.store_suite.harness import StoreUnderTest
from aspora.testing.store_suite.suite import StoreSuite

__all__ = ["StoreSuite", "StoreUnderTest"]
