"""The whole suite in one class."""

from aspora.testing.store_suite.lists import ListsSuite
from aspora.testing.store_suite.watches import WatchesSuite
from aspora.testing.store_suite.writes import WritesSuite


class StoreSuite(WritesSuite, ListsSuite, WatchesSuite):
    """The conformance suite of `aspora.store.interface.Store`."""
