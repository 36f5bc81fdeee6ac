-- The ledger as people look at it.

-- name: get_budget
select * from ledger_accounts where id = %(id)s

-- name: list_budgets
-- The windows that are open now; an execution's only when asked for.
select a.*
from (values
    ('minute', date_trunc('minute', now(), 'UTC')), ('hour', date_trunc('hour', now(), 'UTC')),
    ('day', date_trunc('day', now(), 'UTC')), ('month', date_trunc('month', now(), 'UTC')),
    ('execution', timestamptz 'epoch')
) as present (window_kind, window_start)
join ledger_accounts as a using (window_kind, window_start)
where (%(scope_kind)s::text is null and a.window_kind <> 'execution' or a.scope_kind = %(scope_kind)s)
    and (%(domains)s::text[] is null or aspora_ledger_domain(a.scope_kind, a.scope_name) = any(%(domains)s))
    and (%(before_id)s::bigint is null or a.id < %(before_id)s)
order by a.id desc
limit %(limit)s

-- name: list_calls
-- Those that are over, and those that are under way or in doubt, newest first.
select * from (
    (
        select id, reserved_at, settled_at, 'Settled' as state, was_in_doubt, hold, cost, cost_source, input_tokens,
            output_tokens, upstream_micro_usd, priced_micro_usd, model, provider, outcome, findings, domain, skill,
            revision, execution, user_name, trigger_name, cost_center, route
        from ledger_calls
        where %(settled)s
            and (%(id)s::text is null or id = %(id)s)
            and (%(domains)s::text[] is null or domain = any(%(domains)s))
            and (%(skill)s::text is null or skill = %(skill)s)
            and (%(since)s::timestamptz is null
                or reserved_at >= %(since)s and day >= (%(since)s::timestamptz at time zone 'UTC')::date)
            and (%(before)s::timestamptz is null or (reserved_at, id) < (%(before)s, %(before_id)s))
        order by reserved_at desc, id desc
        limit %(limit)s
    )
    union all
    (
        select id, reserved_at, null, case when in_doubt then 'InDoubt' else 'Open' end, in_doubt, hold, null, null, null,
            null, null, null, model, provider, null, '{}', coalesce(attribution ->> 'domain', ''),
            coalesce(attribution ->> 'skill', ''), coalesce(attribution ->> 'revision', ''),
            coalesce(attribution ->> 'execution', ''), coalesce(attribution ->> 'user', ''),
            coalesce(attribution ->> 'trigger', ''), coalesce(attribution ->> 'cost_center', ''), route
        from ledger_intents
        where (in_doubt and %(in_doubt)s or not in_doubt and %(open)s)
            and (%(id)s::text is null or id = %(id)s)
            and (%(domains)s::text[] is null or coalesce(attribution ->> 'domain', '') = any(%(domains)s))
            and (%(skill)s::text is null or attribution ->> 'skill' = %(skill)s)
            and (%(since)s::timestamptz is null or reserved_at >= %(since)s)
            and (%(before)s::timestamptz is null or (reserved_at, id) < (%(before)s, %(before_id)s))
        order by reserved_at desc, id desc
        limit %(limit)s
    )
) as both_sorts
order by reserved_at desc, id desc
limit %(limit)s

-- name: sum_costs
-- The first row is the sum of all; then one for each name, the dearest first. What is under way costs nothing yet.
with calls as (
    select domain, skill, revision, model, provider, user_name, trigger_name, cost_center, day, cost, null::bigint as doubt,
        input_tokens, output_tokens
    from ledger_calls
    where reserved_at >= %(since)s and day >= (%(since)s::timestamptz at time zone 'UTC')::date
    union all
    select coalesce(attribution ->> 'domain', ''), coalesce(attribution ->> 'skill', ''),
        coalesce(attribution ->> 'revision', ''), model, provider, coalesce(attribution ->> 'user', ''),
        coalesce(attribution ->> 'trigger', ''), coalesce(attribution ->> 'cost_center', ''),
        (reserved_at at time zone 'UTC')::date, null, hold, null, null
    from ledger_intents
    where in_doubt and reserved_at >= %(since)s
), named as (
    select c.*, case %(by)s::text
            when 'domain' then domain
            when 'skill' then case when skill = '' then '' else domain || '/' || skill end
            when 'revision' then case when revision = '' then '' else domain || '/' || revision end
            when 'model' then model
            when 'provider' then provider
            when 'user' then user_name
            when 'trigger' then trigger_name
            when 'cost-center' then cost_center
            when 'day' then to_char(day, 'YYYY-MM-DD')
        end as name
    from calls as c
    where %(domains)s::text[] is null or domain = any(%(domains)s)
)
select grouping(name) = 1 as is_total, name, count(cost) as calls, coalesce(sum(cost), 0)::numeric(38) as cost,
    count(doubt) as doubtful_calls, coalesce(sum(doubt), 0)::numeric(38) as doubt,
    coalesce(sum(input_tokens), 0)::numeric(38) as input_tokens,
    coalesce(sum(output_tokens), 0)::numeric(38) as output_tokens
from named
group by grouping sets ((name), ())
order by is_total desc, coalesce(sum(cost), 0) + coalesce(sum(doubt), 0) desc, name
limit %(limit)s
