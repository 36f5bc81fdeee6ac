"""Events and audit rows as tables."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from aspora.apis.kind import Column
from aspora.gateway.tables import TableForm, age_text
from aspora.meta.errors import API_VERSION, BadRequest

Wire = Mapping[str, Any]


def _object(obj: Wire) -> str:
    regarding = obj["regarding"]
    name = regarding.get("name", "")
    return f"{str(regarding['kind']).lower()}/{name}" if name else str(regarding["kind"]).lower()


def event_table(*, with_domain: bool, now: datetime) -> TableForm:
    """The table of events: when, what, about which object."""
    domain = (Column("DOMAIN", "metadata.domain"),) if with_domain else ()
    return TableForm(
        (
            *domain,
            Column("LAST SEEN", lambda o: age_text(o["lastTimestamp"], now=now)),
            Column("TYPE", "type"),
            Column("REASON", "reason"),
            Column("OBJECT", _object),
            Column("COUNT", lambda o: str(o["count"])),
            Column("MESSAGE", "message"),
            Column("FIRST SEEN", lambda o: age_text(o["firstTimestamp"], now=now), wide=True),
            Column("CONTROLLER", "reportingController", wide=True),
        )
    )


AUDIT_TABLE: Final = TableForm(
    (
        Column("TIME", "metadata.creationTimestamp"),
        Column("CALLER", lambda o: o["caller"] + (f" (by {o['impersonatedBy']})" if "impersonatedBy" in o else "")),
        Column("VERB", "verb"),
        Column("DOMAIN", "regarding.domain"),
        Column("OBJECT", _object),
        Column("OUTCOME", "outcome"),
        Column("KEY", "key", wide=True),
        Column("REMOTE", "remote", wide=True),
        Column("VERSION", "resourceVersion", wide=True),
        Column("REQUEST", "requestId", wide=True),
    )
)


def list_form(items: Sequence[Wire], form: str, *, kind: str, table: TableForm, metadata: Wire) -> Wire:
    """A page in the form asked for."""
    if form == "Table":
        return table.table(items, metadata=metadata)
    if form == "Description":
        raise BadRequest("a list has no Description; ask for as=Table")
    return {"apiVersion": API_VERSION, "kind": f"{kind}List", "metadata": dict(metadata), "items": list(items)}
