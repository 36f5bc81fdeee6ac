"""What every object store must do. Subclass `StoreSuite`, give it the fixture `under_test`, collect it with pytest.

Here belongs only what the interface promises; what one store alone does is tested beside it. `ClientSuite` is the part
that clients are promised too; it runs over a client of the API that `ClientStore` makes look like a store.
"""

from aspora.testing.store_suite.harness import StoreUnderTest
from aspora.testing.store_suite.over_client import ClientStore
from aspora.testing.store_suite.suite import STORE_ALONE, ClientSuite, StoreSuite

__all__ = ["STORE_ALONE", "ClientStore", "ClientSuite", "StoreSuite", "StoreUnderTest"]
