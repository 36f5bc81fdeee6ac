"""The whole suite in one class, and the part of it that holds through the gateway too."""

from collections.abc import Mapping

from aspora.testing.store_suite.lists import ListsSuite
from aspora.testing.store_suite.watches import WatchesSuite
from aspora.testing.store_suite.writes import WritesSuite


class StoreSuite(WritesSuite, ListsSuite, WatchesSuite):
    """The conformance suite of `aspora.store.interface.Store`."""


_CONDITIONS = "conditions on other objects are the gateway's own to set, no caller's"

STORE_ALONE: Mapping[str, str] = {
    "test_a_client_cannot_choose_the_servers_metadata": "the gateway refuses a name or a version that contradicts",
    "test_what_lives_in_an_object_is_refused_without_it": _CONDITIONS,
    "test_a_write_that_needs_an_empty_domain_waits_for_it": _CONDITIONS,
    "test_conditions_see_the_writes_before_them_in_the_list": _CONDITIONS,
    "test_a_bad_item_harms_none_of_its_neighbours": "a request of the API holds one write",
    "test_a_continue_token_is_good_for_its_own_query_alone": "an empty `continue` of a query is none",
    "test_field_selectors_of_fields_that_no_kind_has": "the gateway refuses them",
    "test_versions_that_were_never_given_out_are_expired": "an empty `resourceVersion` of a query is none",
}
"""Tests that only a store can pass → why. Everything else is promised to clients as well."""


class ClientSuite(StoreSuite):
    """What the API promises of objects: the store's suite, less `STORE_ALONE`."""


for _name in STORE_ALONE:
    setattr(ClientSuite, _name, None)
