"""The table of drivers."""

import pytest

from aspora.kit.registry import UnknownExtension
from aspora.sandbox.builtins import BUILTINS, drivers
from aspora.sandbox.process.driver import ProcessDriver


def test_each_built_in_loads() -> None:
    assert [drivers.load(name) for name in BUILTINS] == [ProcessDriver]


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(UnknownExtension, match="known: process"):
        drivers.load("gvisor")
