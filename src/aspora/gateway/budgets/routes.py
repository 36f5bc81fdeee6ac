"""The routes of budgets, calls and costs."""

from starlette.routing import BaseRoute

from aspora.access.interface import ObjectReader
from aspora.audit.interface import RefusalTrail
from aspora.db.pool import Database
from aspora.gateway.auditing import Auditor
from aspora.gateway.budgets import contract
from aspora.gateway.budgets.handlers import BUDGETS, CALLS, COSTS, BudgetHandlers
from aspora.gateway.contract import ContractRoute
from aspora.gateway.refusals import refusals
from aspora.kit.clock import Clock
from aspora.ledger.accounts import LedgerAccounts
from aspora.ledger.reports import LedgerReports


def budget_routes(
    database: Database, reader: ObjectReader, clock: Clock, trail: RefusalTrail | None = None
) -> list[BaseRoute]:
    """The routes; they come before the generic object routes, whose patterns match them too.

    Args:
        trail: Is told of refused changes; None to tell nobody.
    """
    handlers = BudgetHandlers(LedgerAccounts(database), LedgerReports(database), reader, clock)
    auditor = Auditor(trail)
    change = auditor.around(handlers.set_budget, verb=lambda _: "update", kind=lambda _: "Budget")
    reset = auditor.around(handlers.reset_budget, verb=lambda _: "update", kind=lambda _: "Budget")
    routes = [ContractRoute(f"/api/v1/{COSTS}", handlers.costs, contract.COSTS)]
    for base in ("/api/v1", "/api/v1/domains/{domain}"):
        budgets, calls = f"{base}/{BUDGETS}", f"{base}/{CALLS}"
        routes += [
            ContractRoute(budgets, handlers.list_budgets, contract.LIST_BUDGETS),
            ContractRoute(f"{budgets}/{{name}}", handlers.get_budget, contract.GET_BUDGET),
            ContractRoute(f"{budgets}/{{name}}", change, contract.SET_BUDGET, methods=["PATCH"]),
            ContractRoute(f"{budgets}/{{name}}/reset", reset, contract.RESET_BUDGET, methods=["POST"]),
            ContractRoute(calls, handlers.list_calls, contract.LIST_CALLS),
            ContractRoute(f"{calls}/{{name}}", handlers.get_call, contract.GET_CALL),
        ]
    return [*routes, *refusals(routes)]
