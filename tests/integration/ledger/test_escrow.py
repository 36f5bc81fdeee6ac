"""A call's money from reservation to settlement, on a real PostgreSQL."""

from tests.integration.ledger.conftest import PLATFORM, SKILL, Site, send, wanted


async def test_one_call_end_to_end(site: Site) -> None:
    ledger = await site.open()
    hold = await send(ledger, wanted(1000))
    [intent] = await site.rows("select * from ledger_intents")
    assert (intent["id"], intent["hold"], intent["in_doubt"]) == (hold.id, 1000, False)
    from aspora.ledger.interface import Settlement

    settled = await ledger.settle(hold, Settlement(upstream_micro_usd=700))
    assert (settled.cost_micro_usd, settled.is_new, settled.findings) == (700, True, ())
    assert await site.rows("select * from ledger_intents") == []
    assert [r["cost"] for r in await site.rows("select * from ledger_calls")] == [700]
    await ledger.close()
    for scope in (SKILL, PLATFORM):
        account = await site.account(scope)
        assert (account["spent"], account["leased"], account["in_doubt"]) == (700, 0, 0)
