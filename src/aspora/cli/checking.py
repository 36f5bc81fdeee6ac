"""What is wrong with a folder or manifest, and which of its fields do nothing yet: the server's own checks, offline."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from aspora.apis.builtins import load_kinds
from aspora.apis.decode import decode
from aspora.apis.fields import inactive_fields
from aspora.apis.kind import Kind, Scope, Wire
from aspora.cli.applying import Wanted, unsaid
from aspora.cli.targets import DEFAULT_DOMAIN
from aspora.cli.wanted import find_wanted, problems_of
from aspora.kit.registry import UnknownExtension
from aspora.meta.errors import Invalid, StatusError
from aspora.meta.names import did_you_mean


@dataclass(frozen=True, slots=True)
class Checked:
    """One skill, domain or object.

    Attributes:
        name: As `kind/domain/name`, or where it stands when that can't be known.
        problems: Empty when it is valid.
        warnings: What goes on working, and what does nothing yet.
    """

    name: str
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the server would take it, as far as can be told without it."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {**asdict(self), "valid": self.valid}


def refused(name: str, error: StatusError) -> Checked:
    """Something that can't even be looked at."""
    return Checked(name, tuple(problems_of(error)))


def check_path(path: str, *, domain: str, lenient: bool) -> Iterator[Checked]:
    """Check everything at a path.

    Raises:
        InvalidSkill: There is nothing at that path.
    """
    found = find_wanted(path, domain=domain, lenient=lenient)
    yield from (refused(r.source, r.error) for r in found.refused)
    yield from (_check(item, domain=domain) for item in found.wanted if not item.if_absent)


def _check(item: Wanted, *, domain: str) -> Checked:
    obj = dict(item.object)
    kinds = load_kinds()
    try:
        kind = kinds.load(obj["kind"])
    except UnknownExtension:
        message = f"kind: unknown kind {obj['kind']!r}{did_you_mean(obj['kind'], kinds.names())}"
        return Checked(item.source, (f"{item.source}: {message}",))
    if kind.scope is Scope.DOMAIN and not obj["metadata"].get("domain"):
        obj["metadata"] = {**obj["metadata"], "domain": domain or DEFAULT_DOMAIN}
    name = "/".join(p for p in (kind.singular, obj["metadata"].get("domain"), obj["metadata"]["name"]) if p)
    try:
        decode(kind, obj)
    except Invalid as e:
        return Checked(name, tuple(f"{item.source}: {problem}" for problem in problems_of(e)), item.warnings)
    return Checked(name, (), (*item.warnings, *unsaid(_inactive(kind, obj), said=item.warnings)))


def _inactive(kind: Kind, obj: Wire) -> Iterator[str]:
    return (f"Inactive: {path}: {why}" for path, why in inactive_fields(kind, obj))
