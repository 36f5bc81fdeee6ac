"""From a path to the kind and the object it names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aspora.apis.kind import Kind, Scope
from aspora.meta.errors import MethodNotAllowed, NotFound
from aspora.meta.names import check_name, did_you_mean
from aspora.store.interface import Key

RESERVED_PLURALS = frozenset(
    {
        "artifacts",
        "audit",
        "budgets",
        "calls",
        "can-i",
        "costs",
        "events",
        "executions",
        "explain",
        "health",
        "nodes",
        "status",
        "users",
        "whoami",
    }
)


@dataclass(frozen=True, slots=True)
class ResourceInfo:
    """A resource as discovery shows it; records, which are not objects, declare themselves with one.

    Attributes:
        plural: As in paths.
        singular: As people type it.
        kind: As in manifests.
        scope: `Cluster`, `Domain` or `Either`.
        verbs: What the API answers.
        short_names: Other words the CLI accepts.
    """

    plural: str
    singular: str
    kind: str
    scope: str
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """As an item of an APIResourceList."""
        return {
            "name": self.plural,
            "singularName": self.singular,
            "kind": self.kind,
            "shortNames": list(self.short_names),
            "scope": self.scope,
            "verbs": list(self.verbs),
        }


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about.

    Attributes:
        kind: The kind.
        domain: "" for the cluster, None for every domain (lists and watches alone).
        name: None for a whole list.
        is_status: Whether it is about the status alone.
    """

    kind: Kind
    domain: str | None
    name: str | None = None
    is_status: bool = False

    @property
    def plural(self) -> str:
        """As roles name it."""
        return f"{self.kind.plural}/status" if self.is_status else self.kind.plural

    @property
    def key(self) -> Key:
        """The object's key in the store."""
        return Key(self.kind.kind, self.domain or "", self.name or "")


class Resources:
    """All kinds by their plural.

    Raises:
        ValueError: Two kinds claim one plural, or one claims a word of the API's own.
    """

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_plural: dict[str, Kind] = {}
        for kind in kinds:
            if kind.plural in self._by_plural or kind.plural in RESERVED_PLURALS:
                raise ValueError(
                    f"kind {kind.kind!r} can't have the plural {kind.plural!r}: it is taken; choose another"
                )
            self._by_plural[kind.plural] = kind

    def kinds(self) -> Sequence[Kind]:
        """All of them, in the order of the table."""
        return list(self._by_plural.values())

    def kind_of(self, plural: str) -> Kind:
        """The kind behind a plural.

        Raises:
            NotFound: None; names the nearest.
        """
        kind = self._by_plural.get(plural)
        if kind is None:
            raise NotFound(f"no resource {_short(plural)!r}{did_you_mean(_short(plural), self._by_plural)}")
        return kind

    def target(self, plural: str, *, domain: str | None, name: str | None = None, is_status: bool = False) -> Target:
        """What a path names; `domain` None when the path has none.

        Raises:
            NotFound: No such resource there.
        """
        kind = self.kind_of(plural)
        if domain is not None and kind.scope is Scope.CLUSTER:
            raise NotFound(f"{kind.plural} are cluster-wide: use /api/v1/{kind.plural}")
        if name is not None and domain is None:
            require_place(Target(kind, None))
        for word in (domain, name):
            if word is not None and check_name(word, dots=True):
                raise NotFound(
                    f"{_short(word)!r} can't be the name of anything: {check_name(word, dots=True)[0].message}"
                )
        if domain is None and (kind.scope is Scope.CLUSTER or name is not None):
            domain = ""
        return Target(kind, domain, name, is_status)


def require_place(target: Target) -> None:
    """One object of a domain's kind is always named with its domain.

    Raises:
        NotFound: With the path that would do.
    """
    if _is_of_all_domains(target):
        raise NotFound(_elsewhere(target.kind.plural))


_COLLECTION_METHODS: Mapping[str, Sequence[str]] = {"GET": ("list", "watch"), "POST": ("create",)}
_OBJECT_METHODS: Mapping[str, Sequence[str]] = {
    "GET": ("get",),
    "PUT": ("update",),
    "PATCH": ("patch",),
    "DELETE": ("delete",),
}
_STATUS_METHODS: Mapping[str, Sequence[str]] = {"GET": ("get",), "PUT": ("update",)}


def allowed_methods(target: Target) -> Sequence[str]:
    """The HTTP methods that the target's path answers, in the order of the alphabet."""
    methods = {method for method, verbs in _methods(target).items() if not target.kind.verbs.isdisjoint(verbs)}
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def _methods(target: Target) -> Mapping[str, Sequence[str]]:
    """Method → verbs of which the kind has one, for it to be answered there."""
    if target.is_status:
        return _STATUS_METHODS
    if target.name is not None:
        return _OBJECT_METHODS
    # The path that lists all domains takes no new object.
    return {"GET": _COLLECTION_METHODS["GET"]} if _is_of_all_domains(target) else _COLLECTION_METHODS


def _is_of_all_domains(target: Target) -> bool:
    return target.domain is None and target.kind.scope is Scope.DOMAIN


def require_method(target: Target, method: str) -> None:
    """Refuse a method that the target's path doesn't answer.

    Raises:
        MethodNotAllowed: With those that it does, or the path that would do.
    """
    allowed, plural = allowed_methods(target), target.kind.plural
    if method in allowed:
        return
    if method == "POST" and target.name is None and _is_of_all_domains(target):
        raise MethodNotAllowed(_elsewhere(plural), allowed=allowed)
    for verb in _methods(target).get(method, ()):
        require_verb(target, verb)
    raise MethodNotAllowed(
        f"{method[:20]} is not answered at this path of {plural}; allowed: {', '.join(allowed)}", allowed=allowed
    )


def require_verb(target: Target, verb: str) -> None:
    """Refuse a verb that the kind doesn't have.

    Raises:
        MethodNotAllowed: With those that it has.
    """
    kind = target.kind
    if verb not in kind.verbs:
        raise MethodNotAllowed(
            f"{kind.plural} have no verb {verb!r}; they have: {', '.join(sorted(kind.verbs))}",
            allowed=allowed_methods(target),
        )


def _elsewhere(plural: str) -> str:
    return f"{plural} live in a domain: use /api/v1/domains/DOMAIN/{plural}; this path lists them all"


def resource_info(kind: Kind) -> ResourceInfo:
    """A kind as discovery shows it."""
    return ResourceInfo(
        kind.plural, kind.singular, kind.kind, kind.scope.value, tuple(sorted(kind.verbs)), kind.short_names
    )


def _short(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:80])
