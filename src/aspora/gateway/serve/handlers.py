"""The handlers of the serving door: requests in, records out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from aspora.access.authorize import authorize, domains_allowed, no_such_domain
from aspora.access.interface import ObjectReader
from aspora.artifacts.interface import ArtifactStore
from aspora.db.listen import Listener
from aspora.gateway.http import caller_of, flag_in, integer_in, json_response, query_of, read_json_object, wants
from aspora.gateway.origin import origin_of
from aspora.gateway.serve.acceptance import PLURAL, Acceptance, Order
from aspora.gateway.serve.contract import DEFAULT_LIMIT, MAX_LIMIT, MAX_WAIT_SECONDS
from aspora.gateway.serve.following import events_so_far, follow
from aspora.gateway.serve.forms import EXECUTION_COLUMNS, NODE_COLUMNS, Details, execution_form, list_form, node_form
from aspora.gateway.serve.pages import LIST_PARAMETERS, list_filter, token_after
from aspora.gateway.serve.run_request import idempotency_key, parse_run_request
from aspora.gateway.serve.waiting import EndWatch
from aspora.gateway.streams import LinesResponse, Streams
from aspora.kit.clock import Clock
from aspora.meta.errors import Conflict, Forbidden
from aspora.meta.names import ExecutionId
from aspora.records.effects import Effects
from aspora.records.events import TAKEOVERS, Events, event_wire
from aspora.records.executions import Executions, execution_wire
from aspora.records.ids import is_execution_id
from aspora.records.nodes import Nodes, node_wire
from aspora.records.state import is_terminal
from aspora.records.wakeups import CANCELLED, CHANGED, Wakeups

NODES: Final = "nodes"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServeHandlers:
    """One method a route, and the parts they call."""

    acceptance: Acceptance
    executions: Executions
    effects: Effects
    events: Events
    nodes: Nodes
    ends: EndWatch
    wakeups: Wakeups
    listener: Listener
    reader: ObjectReader
    blobs: ArtifactStore
    streams: Streams
    clock: Clock

    async def run_skill(self, request: Request) -> Response:
        """Run a skill; with `wait` the answer comes when it has ended or the time is up."""
        began = self.clock.monotonic()
        query = query_of(request, ("wait",))
        wait_seconds = integer_in(query, "wait", default=0, minimum=0, maximum=MAX_WAIT_SECONDS)
        order = Order(
            caller=caller_of(request),
            domain=request.path_params["domain"],
            skill=request.path_params["skill"],
            request=parse_run_request(await read_json_object(request)),
            key=idempotency_key(request.headers.getlist("idempotency-key")),
            waits=wait_seconds > 0,
            began=began,
            origin=origin_of(request),
        )
        accepted = await self.acceptance.accept(order)
        row = await self._ended(accepted.id, wait_seconds)
        code = (201 if is_terminal(row["state"]) else 202) if accepted.is_new else 200
        location = f"/api/v1/domains/{order.domain}/{PLURAL}/{accepted.id}"
        return await self._answer(request, row, status=code, headers={"Location": location})

    async def list_executions(self, request: Request) -> Response:
        """Executions, newest first."""
        query = query_of(request, LIST_PARAMETERS)
        domain: str | None = request.path_params.get("domain")
        domains = await self._visible_domains(request, "list", domain)
        limit = integer_in(query, "limit", default=DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
        rows = await self.executions.page(list_filter(query, domains=domains), limit=limit + 1)
        page = rows[:limit]
        body = list_form(
            [execution_wire(row) for row in page],
            wants(request),
            kind="Execution",
            columns=EXECUTION_COLUMNS,
            with_domain=domain is None,
            continue_token=token_after(page[-1]) if len(rows) > limit else None,
            now=self.clock.now(),
        )
        return json_response(body)

    async def get_execution(self, request: Request) -> Response:
        """One execution, by its id or a unique beginning of it."""
        query_of(request, ())
        return await self._answer(request, await self._find(request, "get"))

    async def get_events(self, request: Request) -> Response:
        """What happened, as lines of JSON; with `follow=true` until the execution has ended."""
        follows = flag_in(query_of(request, ("follow",)), "follow")
        row = await self._find(request, "watch" if follows else "get")
        lines = follow(self.events, self.listener, row["id"]) if follows else events_so_far(self.events, row["id"])
        return LinesResponse(lines, streams=self.streams)

    async def cancel(self, request: Request) -> Response:
        """End an execution; with `wait` the answer comes when it has ended or the time is up."""
        query = query_of(request, ("wait",))
        wait_seconds = integer_in(query, "wait", default=0, minimum=0, maximum=MAX_WAIT_SECONDS)
        row = await self._find(request, "cancel")
        execution, domain = ExecutionId(row["id"]), row["domain"]
        caller = caller_of(request)
        act = origin_of(request).act(caller, "cancel").to_wire()
        state = await self.executions.request_cancel(execution, domain=domain, caller=caller.name, audit=act)
        if state is None:
            ended = await self.executions.get(execution)
            if ended["state"] != "Cancelled":
                raise Conflict(
                    f"execution {execution!r} has ended already ({ended['state']}); see how: aspora logs {execution}"
                )
            return await self._answer(request, ended)
        self.wakeups.send(CHANGED if is_terminal(state) else CANCELLED)
        row = await self._ended(execution, wait_seconds)
        return await self._answer(request, row, status=200 if is_terminal(row["state"]) else 202)

    async def list_nodes(self, request: Request) -> Response:
        """Executor processes, alive or ended within a day."""
        query = query_of(request, ("limit",))
        authorize(caller_of(request), "list", NODES)
        limit = integer_in(query, "limit", default=DEFAULT_LIMIT, minimum=1, maximum=MAX_LIMIT)
        body = list_form(
            [node_wire(row) for row in await self.nodes.page(limit=limit)],
            wants(request),
            kind="Node",
            columns=NODE_COLUMNS,
            with_domain=False,
            continue_token=None,
            now=self.clock.now(),
        )
        return json_response(body)

    async def get_node(self, request: Request) -> Response:
        """One executor process."""
        query_of(request, ())
        name = request.path_params["name"]
        authorize(caller_of(request), "get", NODES, None, name)
        node = node_wire(await self.nodes.get(name))
        return json_response(node_form(node, wants(request), now=self.clock.now()))

    async def _ended(self, execution: ExecutionId, wait_seconds: int) -> Row:
        """The row, as soon as it has ended but no later than asked."""
        row = await self.ends.wait(execution, wait_seconds) if wait_seconds else None
        return row or await self.executions.get(execution)

    async def _answer(
        self, request: Request, row: Row, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """One execution in the form asked for; what was put aside for its size comes along in plain JSON."""
        form = wants(request)
        obj = execution_wire(row)
        details = await self._details(row["id"]) if form == "Description" else Details()
        if not form and row["result_ref"] is not None:
            obj["status"]["result"] = json.loads(await self.blobs.get(row["result_ref"]))
        if not form and row["input_ref"] is not None:
            obj["spec"]["input"] = json.loads(await self.blobs.get(row["input_ref"]))
        body = execution_form(obj, form, details=details, now=self.clock.now())
        return json_response(body, status=status, headers=headers)

    async def _details(self, execution: str) -> Details:
        """What else was recorded of an execution."""
        return Details(
            model_calls=await self.executions.model_calls(execution),
            effects=await self.effects.of(execution),
            takeovers=[event_wire(e) for e in await self.events.of_types(execution, TAKEOVERS)],
        )

    async def _find(self, request: Request, verb: str) -> Row:
        """The execution a path names, if the caller may do that with it."""
        domain: str | None = request.path_params.get("domain")
        name: str = request.path_params["name"]
        if domain is not None and is_execution_id(name):
            await self._visible_domains(request, verb, domain)
            return await self.executions.get(name, domain=domain)
        return await self.executions.resolve(name, domains=await self._visible_domains(request, verb, domain))

    async def _visible_domains(self, request: Request, verb: str, domain: str | None) -> list[str] | None:
        """Where the caller may do that: the given domain, or without one all there are (None for everywhere).

        Raises:
            NotFound: No such domain, or none the caller may see.
            Forbidden: They may do it nowhere.
        """
        caller = caller_of(request)
        if domain is not None:
            authorize(caller, verb, PLURAL, domain)
            if await self.reader.get("Domain", domain) is None:
                raise no_such_domain(domain)
            return [domain]
        allowed = domains_allowed(caller, verb, PLURAL)
        if allowed is None:
            return None
        if not allowed - {""}:
            raise Forbidden(
                f"{caller.name!r} may not {verb} {PLURAL} in any domain; bind a role that allows it to them"
            )
        return sorted(allowed - {""})
