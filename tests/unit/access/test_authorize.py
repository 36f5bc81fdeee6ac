"""Who may do what, and what a refusal tells."""

import pytest

from aspora.access.authorize import authorize, domains_allowed, is_allowed, lacking
from aspora.access.interface import ANY, ANY_STATUS, Caller, Grant
from aspora.meta.errors import Forbidden, NotFound


def grant(domain: str | None, verbs: str, kinds: str, names: str = "") -> Grant:
    return Grant(domain, frozenset(verbs.split()), frozenset(kinds.split()), frozenset(names.split()))


ADMIN = Caller("root", "user", (grant(None, ANY, f"{ANY} {ANY_STATUS}"),))
AUTHOR = Caller("ann", "user", (grant("fraud", "get list create", "skills executions"), grant("", "get", "models")))


@pytest.mark.parametrize(
    ("caller", "verb", "plural", "domain", "name", "allowed"),
    [
        (ADMIN, "delete", "domains", None, "fraud", True),
        (ADMIN, "update", "skills/status", "fraud", "x", True),
        (AUTHOR, "get", "skills", "fraud", "x", True),
        (AUTHOR, "get", "skills", "ecm", "x", False),
        (AUTHOR, "delete", "skills", "fraud", "x", False),
        (AUTHOR, "get", "skills", None, None, False),
        (AUTHOR, "get", "models", None, "m", True),
        (AUTHOR, "get", "models", "fraud", "m", False),
        (Caller("a", "user", (grant("d", ANY, ANY),)), "update", "skills/status", "d", "x", False),
        (Caller("a", "user", (grant("d", "get", "domains"),)), "get", "domains", None, "d", True),
        (Caller("a", "user", (grant("d", "get", "domains"),)), "get", "domains", None, "e", False),
        (Caller("a", "user", (grant("d", "get", "skills", "one"),)), "get", "skills", "d", "one", True),
        (Caller("a", "user", (grant("d", "get", "skills", "one"),)), "get", "skills", "d", "two", False),
        (Caller("a", "user", (grant("d", "list", "skills", "one"),)), "list", "skills", "d", None, False),
    ],
)
def test_decisions(
    caller: Caller, verb: str, plural: str, domain: str | None, name: str | None, *, allowed: bool
) -> None:
    assert is_allowed(caller, verb, plural, domain, name) is allowed


def test_an_unseen_domain_answers_like_one_that_does_not_exist() -> None:
    with pytest.raises(NotFound) as unseen:
        authorize(AUTHOR, "get", "skills", "ecm", "x")
    with pytest.raises(NotFound) as absent:
        authorize(AUTHOR, "list", "routes", "nowhere")
    assert unseen.value.message.replace("ecm", "nowhere") == absent.value.message


def test_at_home_a_refusal_is_forbidden_and_says_what() -> None:
    with pytest.raises(Forbidden, match=r"'ann' may not delete skills 'x' in domain 'fraud'"):
        authorize(AUTHOR, "delete", "skills", "fraud", "x")


def test_where_a_list_is_allowed() -> None:
    assert domains_allowed(ADMIN, "list", "skills") is None
    assert domains_allowed(AUTHOR, "list", "skills") == {"fraud"}
    assert domains_allowed(AUTHOR, "get", "models") == {""}
    assert domains_allowed(AUTHOR, "watch", "skills") == frozenset()


@pytest.mark.parametrize(
    ("have", "want", "held"),
    [
        (grant(None, ANY, ANY), grant("d", "get", "skills"), True),
        (grant("d", ANY, ANY), grant("d", ANY, ANY), True),
        (grant("d", ANY, ANY), grant(None, "get", "skills"), False),
        (grant("d", ANY, ANY), grant("d", "get", "skills/status"), False),
        (grant("d", ANY, ANY), grant("d", "get", ANY_STATUS), False),
        (grant("d", "get list", "skills"), grant("d", ANY, "skills"), False),
        (grant("d", "get", "skills"), grant("d", "get", ANY), False),
        (grant("d", "get", "skills", "a"), grant("d", "get", "skills"), False),
        (grant("d", "get", "skills", "a b"), grant("d", "get", "skills", "a"), True),
        (grant("d", "get", "skills"), grant("d", "get", "skills", "a"), True),
    ],
)
def test_nobody_holds_more_than_they_have(have: Grant, want: Grant, *, held: bool) -> None:
    assert (lacking(Caller("a", "user", (have,)), [want]) == []) is held
