-- The ledger but for what only people look at, which is in reports.sql. What touches several tables at once is a function, one round trip each, of migration 0011_ledger but for
--   0012  aspora_ledger_grant, aspora_ledger_declare, aspora_ledger_settle, aspora_ledger_settle_turn, aspora_ledger_is_near_cap

-- name: register_holder
insert into ledger_holders (name, expires_at)
values (%(name)s, clock_timestamp() + make_interval(secs => %(ttl_seconds)s))
returning epoch

-- name: renew_holder
-- A lease that ran out is not renewed: what it held may be others' by now. Answers which of its accounts are paused or near their cap.
with renewed as (
    update ledger_holders set expires_at = clock_timestamp() + make_interval(secs => %(ttl_seconds)s)
    where epoch = %(epoch)s and ended_at is null and expires_at > clock_timestamp()
    returning epoch
)
select coalesce(array_agg(a.id) filter (where a.paused is not null), '{}') as paused,
    coalesce(array_agg(a.id) filter (
        where a.unit = 'micro_usd' and aspora_ledger_is_near_cap(a.cap, a.spent - a.forgiven)
    ), '{}') as throttled
from renewed as r
left join ledger_leases as l on l.epoch = r.epoch
left join ledger_accounts as a on a.id = l.account_id
group by r.epoch

-- name: grant
select *, aspora_ledger_is_near_cap(cap, used) as is_near_cap from aspora_ledger_grant(%(epoch)s, %(requests)s::jsonb)

-- name: intend
-- Each call's row once: a repeated statement finds it there.
with alive as materialized (
    select epoch from live_ledger_holders where epoch = %(epoch)s for key share
), kept as (
    insert into ledger_intents (id, epoch, accounts, holds, hold, model, provider, attribution, route, reserved_at)
    select i.id, alive.epoch, i.accounts, i.holds, i.hold, i.model, i.provider, i.attribution, i.route, i.reserved_at
    from alive cross join jsonb_to_recordset(%(intents)s::jsonb) as i (
        id text, accounts bigint[], holds bigint[], hold bigint, model text, provider text, attribution jsonb,
        route jsonb, reserved_at timestamptz
    )
    on conflict (id) do nothing
)
select epoch from alive

-- name: settle
select aspora_ledger_settle(%(items)s::jsonb) as answer

-- name: give_back
select aspora_ledger_give_back(%(epoch)s, %(parts)s::jsonb) as is_alive

-- name: list_leases
select account_id, amount from ledger_leases where epoch = %(epoch)s

-- name: sweep
select aspora_ledger_sweep(%(own)s::bigint) as answer

-- name: get_account
select * from ledger_accounts
where scope_kind = %(scope_kind)s and scope_name = %(scope_name)s and window_kind = %(window_kind)s
    and window_start = %(window_start)s and unit = %(unit)s

-- name: list_accounts
select * from ledger_accounts
where (%(scope_kind)s::text is null or scope_kind = %(scope_kind)s)
    and (%(scope_name)s::text is null or scope_name = %(scope_name)s)
order by window_start desc, id desc
limit %(limit)s

-- name: amend
select * from aspora_ledger_amend(%(account)s, %(resets)s, %(cap)s::bigint, %(audit)s::jsonb)

-- name: take_thresholds
-- What nobody was told of, marked as told; what another is telling is left out. An account that was forgotten is told no
-- more: its row goes with it.
with taken as (
    update ledger_thresholds set told_at = clock_timestamp()
    where id in (
        select id from ledger_thresholds where told_at is null order by id limit %(limit)s for update skip locked
    )
    returning id, account_id, percent, spent, cap, fired_at
)
select t.percent, t.spent, t.cap, t.fired_at, a.scope_kind, a.scope_name, a.window_kind, a.window_start, a.unit
from taken as t join ledger_accounts as a on a.id = t.account_id
order by t.id

-- name: list_doubts
select id, hold, model, provider, reserved_at, attribution, route from ledger_intents
where in_doubt order by reserved_at, id limit %(limit)s

-- name: get_doubt
select hold from ledger_intents where id = %(id)s and in_doubt

-- name: forget
-- Accounts of windows that are over and owe nothing, and holders that ended; some at a time.
with old as (
    (
        select id from ledger_accounts
        where opened_at < now() - make_interval(days => %(keep_days)s) and leased = 0 and in_doubt = 0
        order by opened_at limit %(limit)s
    )
    union
    (
        select id from ledger_accounts
        where window_kind in ('minute', 'hour') and window_start < now() - interval '7 days' and leased = 0
            and in_doubt = 0
        order by window_kind, window_start limit %(limit)s
    )
), accounts as (
    delete from ledger_accounts as a using old where a.id = old.id and a.leased = 0 and a.in_doubt = 0 returning a.id
), thresholds as (
    delete from ledger_thresholds as t using accounts where t.account_id = accounts.id
), holders as (
    delete from ledger_holders where ended_at < now() - interval '7 days'
)
select count(*) from accounts

-- name: end_holders
select count(*) as holders, coalesce(sum((s.answer ->> 'doubted')::bigint), 0) as doubted
from (select aspora_ledger_sweep(epoch) as answer from ledger_holders where ended_at is null order by epoch) as s

-- name: jump_epochs
select setval('ledger_epochs', greatest(last_value, %(former)s::bigint) + 1000) from ledger_epochs
