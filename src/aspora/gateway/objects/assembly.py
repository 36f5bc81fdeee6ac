"""The object door put together: `main` calls this once and mounts what it gives."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from starlette.routing import BaseRoute

from aspora.access.authenticate import KINDS_READ, Authenticator
from aspora.admission.builtins import load_chain
from aspora.admission.interface import AdmissionPorts, NoSealer, Sealer, UploadedArtifacts
from aspora.apis.kind import Kind
from aspora.audit.interface import RefusalTrail
from aspora.gateway.auditing import Auditor
from aspora.gateway.contract import Schema
from aspora.gateway.objects.apply import ObjectApplies
from aspora.gateway.objects.bootstrap import Bootstrap
from aspora.gateway.objects.reads import ObjectReads
from aspora.gateway.objects.resources import Resources
from aspora.gateway.objects.routes import ObjectDoor, object_routes
from aspora.gateway.objects.secrets import SecretMarks
from aspora.gateway.objects.view import ObjectView
from aspora.gateway.objects.watches import ObjectWatches
from aspora.gateway.objects.writes import ObjectWrites
from aspora.gateway.streams import Streams
from aspora.kit.clock import Clock
from aspora.store.interface import Store
from aspora.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class ObjectParts:
    """What the door consists of.

    Attributes:
        routes: For `build_app`, last among its parts.
        view: To be run (`view.run`) and to be read by other parts.
        authenticate: For `AppConfig`, as its `impersonate` is.
        bootstrap: To be run once before serving.
        resources: All kinds.
        secrets: To be told at each start how it stands with the secret key.
    """

    routes: list[BaseRoute]
    view: ObjectView
    authenticate: Authenticator
    bootstrap: Bootstrap
    resources: Resources
    secrets: SecretMarks


def assemble(
    *,
    store: Store,
    kinds: Iterable[Kind],
    tail_age_seconds: Callable[[], float],
    artifacts: UploadedArtifacts,
    clock: Clock,
    metrics: Metrics,
    streams: Streams,
    trail: RefusalTrail | None = None,
    sealer: Sealer | None = None,
    records: Mapping[str, Schema] | None = None,
) -> ObjectParts:
    """Put the door together over a store.

    Args:
        store: Where objects live.
        kinds: All kinds, e.g. `load_kinds()`.
        tail_age_seconds: How long ago the store last knew that it had handed on every change.
        artifacts: Asked for what a skill names, which must have been uploaded.
        clock: For instants in objects and for expiry.
        metrics: Where to count.
        streams: Shared by all parts that stream.
        trail: Is told of refused writes; None to tell nobody.
        sealer: Seals the values of secrets; without one no secret can be written.
        records: The published schemas of records by kind, for explanations; None when nobody will ask.
    """
    resources = Resources(kinds)
    view = ObjectView(store=store, tail_age_seconds=tail_age_seconds, metrics=metrics)
    reads = ObjectReads(store=store, reader=view)
    writes = ObjectWrites(
        store=store,
        view=view,
        reads=reads,
        resources=resources,
        admission=load_chain(AdmissionPorts(reader=view, artifacts=artifacts, sealer=sealer or NoSealer())),
        clock=clock,
        metrics=metrics,
    )
    watches = ObjectWatches(store=store, reads=reads)
    door = ObjectDoor(
        resources, reads, writes, ObjectApplies(writes), watches, streams, clock, Auditor(trail), records or {}
    )
    return ObjectParts(
        routes=object_routes(door),
        view=view,
        authenticate=Authenticator(reader=view, clock=clock, version=lambda: view.version_of(*KINDS_READ)),
        bootstrap=Bootstrap(store=store, writes=writes, resources=resources, clock=clock),
        resources=resources,
        secrets=SecretMarks(store=store, writes=writes, resources=resources, clock=clock),
    )
