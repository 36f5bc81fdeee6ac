import pytest

from aspora.kit.registry import Registry, UnknownExtension


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    registry: Registry[object] = Registry(what="thing", builtins={"absent": "no.such.module:X", "dumps": "json:dumps"})
    assert registry.names() == ["absent", "dumps"]
    assert registry.load("dumps") is registry.load("dumps")
    with pytest.raises(ModuleNotFoundError):
        registry.load("absent")


def test_an_unknown_name_lists_the_known() -> None:
    registry: Registry[object] = Registry(what="scanner", builtins={"jwt": "json:dumps"})
    with pytest.raises(UnknownExtension, match="unknown scanner 'aws'; known: jwt"):
        registry.load("aws")
