-- compatible-with: 0008
-- Why a call went where it went. What is said of one call in one batch takes effect in order. Thresholds as an outbox:
-- each is told once, in the transaction that marks it. Owned by aspora.ledger.

alter table ledger_intents add column route jsonb not null default '{}';
alter table ledger_calls add column route jsonb not null default '{}';
comment on column ledger_calls.route is 'Why it went there.';
create index ledger_calls_by_time on ledger_calls (reserved_at, id);

create index ledger_accounts_by_window on ledger_accounts (window_kind, window_start, id);

create sequence ledger_threshold_ids;
alter table ledger_thresholds add column id bigint not null default nextval('ledger_threshold_ids');
alter table ledger_thresholds add column told_at timestamptz;
create index ledger_thresholds_untold on ledger_thresholds (id) where told_at is null;
comment on column ledger_thresholds.told_at is 'When it was told; null: somebody has to.';

-- Whether so much of a cap is used that calls are let through slowly.
create function aspora_ledger_is_near_cap(cap bigint, used bigint) returns boolean
language sql
immutable
as $$
    select coalesce(used > 0 and used::numeric * 100 >= cap::numeric * 95, false)
$$;

-- The domain whose owner may look after a scope; '' for what is the platform's alone. As ledger/windows.py domain_of.
create function aspora_ledger_domain(scope_kind text, scope_name text) returns text
language sql
immutable
as $$
    select case
        when scope_kind = 'domain' then scope_name
        when scope_kind = 'key' and scope_name like '%@%' then substr(scope_name, strpos(scope_name, '@') + 1)
        when scope_kind in ('skill', 'user', 'trigger', 'arm') and scope_name like '%/%' then split_part(scope_name, '/', 1)
        else ''
    end
$$;

-- One turn of the settling statement: items of {place, item}, of each call at most one, whose intents are locked.
-- Answers {"places": of the items that changed something or could, "fired": how many thresholds, "accounts": changed}.
create function aspora_ledger_settle_turn(items jsonb) returns jsonb
language plpgsql
as $$
declare
    places jsonb;
    changes jsonb;
    given jsonb;
    fired jsonb;
begin
    select jsonb_agg(i.place), jsonb_agg(i.item) into places, given
    from jsonb_to_recordset(items) as i (place integer, item jsonb)
    join ledger_intents as n on n.id = i.item ->> 'id'
    where i.item ->> 'act' <> 'reconcile' or n.in_doubt;
    if given is null then
        return jsonb_build_object('places', '[]'::jsonb, 'fired', 0, 'accounts', '[]'::jsonb);
    end if;

    with part as materialized (
        select n.id, n.epoch, n.in_doubt, h.account, h.hold, i.item ->> 'act' as act, a.rank, a.unit,
            case a.unit
                when 'micro_usd' then (i.item ->> 'cost')::bigint
                when 'tokens' then coalesce((i.item ->> 'tokens')::bigint, h.hold)
                else h.hold
            end as actual
        from jsonb_array_elements(given) as i (item)
        join ledger_intents as n on n.id = i.item ->> 'id'
        cross join unnest(n.accounts, n.holds) as h (account, hold)
        join ledger_accounts as a on a.id = h.account
    ), weighed as (
        select p.*,
            case
                when p.act = 'release' then case when p.in_doubt then - p.hold else 0 end
                when p.act = 'doubt' then case when p.in_doubt then 0 else p.hold end
                else p.actual - case when p.in_doubt then p.hold else 0 end
            end as spent,
            case when p.in_doubt or p.act = 'release' then 0 else - p.hold end as leased,
            case
                when p.act = 'doubt' then case when p.in_doubt then 0 else p.hold end
                else case when p.in_doubt then - p.hold else 0 end
            end as in_doubt_change,
            case when p.act in ('settle', 'reconcile') then greatest(p.actual - p.hold, 0) else 0 end as overrun,
            -- An overrun pauses the execution and the narrowest scope that outlasts it, in all their windows.
            p.rank <= coalesce(min(p.rank) filter (where p.rank > 0) over (partition by p.id), 0) as is_narrow,
            max(case when p.act in ('settle', 'reconcile') and p.unit = 'micro_usd' then p.actual - p.hold else 0 end)
                over (partition by p.id) > 0 as is_overrun
        from part as p
    ), summed as (
        select w.account, sum(w.spent) as spent, sum(w.leased) as leased, sum(w.in_doubt_change) as in_doubt,
            sum(w.overrun) as overrun, bool_or(w.is_overrun and w.is_narrow and w.unit = 'micro_usd') as pauses
        from weighed as w
        group by w.account
    )
    select coalesce(jsonb_agg(to_jsonb(s)), '[]'::jsonb) into changes from summed as s;
    fired := aspora_ledger_book(changes);

    with parts as (
        select n.epoch, h.account, sum(h.hold) as hold
        from jsonb_array_elements(given) as i (item)
        join ledger_intents as n on n.id = i.item ->> 'id' and not n.in_doubt and i.item ->> 'act' <> 'release'
        cross join unnest(n.accounts, n.holds) as h (account, hold)
        group by n.epoch, h.account
    )
    update ledger_leases as l set amount = l.amount - p.hold
    from parts as p where l.account_id = p.account and l.epoch = p.epoch;

    insert into ledger_calls (
        id, day, reserved_at, epoch, accounts, was_in_doubt, hold, cost, cost_source, upstream_micro_usd,
        priced_micro_usd, input_tokens, output_tokens, model, provider, outcome, findings, domain, skill, revision,
        execution, user_name, trigger_name, cost_center, route
    )
    select n.id, (n.reserved_at at time zone 'UTC')::date, n.reserved_at, n.epoch, n.accounts, n.in_doubt, n.hold,
        s.cost, s.cost_source, s.upstream_micro_usd, s.priced_micro_usd, s.input_tokens, s.output_tokens,
        coalesce(s.model, n.model), coalesce(s.provider, n.provider), s.outcome, s.findings,
        coalesce(n.attribution ->> 'domain', ''), coalesce(n.attribution ->> 'skill', ''),
        coalesce(n.attribution ->> 'revision', ''), coalesce(n.attribution ->> 'execution', ''),
        coalesce(n.attribution ->> 'user', ''), coalesce(n.attribution ->> 'trigger', ''),
        coalesce(n.attribution ->> 'cost_center', ''), n.route
    from jsonb_to_recordset(given) as s (
        id text, act text, cost bigint, cost_source text, upstream_micro_usd bigint, priced_micro_usd bigint,
        input_tokens bigint, output_tokens bigint, model text, provider text, outcome text, findings text[]
    )
    join ledger_intents as n on n.id = s.id
    where s.act in ('settle', 'reconcile');

    update ledger_intents as n set in_doubt = true, doubted_at = clock_timestamp()
    from jsonb_array_elements(given) as i (item)
    where n.id = i.item ->> 'id' and i.item ->> 'act' = 'doubt' and not n.in_doubt;

    delete from ledger_intents as n
    using jsonb_array_elements(given) as i (item)
    where n.id = i.item ->> 'id' and i.item ->> 'act' <> 'doubt';

    return jsonb_build_object('places', places, 'fired', jsonb_array_length(fired), 'accounts', (
        select coalesce(jsonb_agg(c.account), '[]'::jsonb) from jsonb_to_recordset(changes) as c (account bigint)
    ));
end
$$;

-- What is known of calls: each item has the call's id and an act. `settle` books its cost, of one in doubt too;
-- `doubt` charges its hold; `release` says that it never went out, and leaves its hold in the lease, for the holder to
-- use again. `reconcile` settles only what is in doubt. Safe to repeat: an intent that is gone is not touched again.
-- Items of one call take effect in their order: the first of each, then the second of each, and so on; later turns
-- touch only rows that the first has locked.
--
-- Answers {"known": places (from 1) of the items whose call had an intent still, "fired": how many thresholds were
-- passed, "paused": [account], "throttled": [account]}.
create or replace function aspora_ledger_settle(items jsonb) returns jsonb
language plpgsql
as $$
declare
    batch jsonb;
    answer jsonb;
    places jsonb := '[]';
    accounts jsonb := '[]';
    fired bigint := 0;
begin
    perform from ledger_intents
    where id in (select item ->> 'id' from jsonb_array_elements(items) as i (item))
    order by id for update;

    for batch in
        select jsonb_agg(jsonb_build_object('place', t.place, 'item', t.item))
        from (
            select i.item, i.place, row_number() over (partition by i.item ->> 'id' order by i.place) as turn
            from jsonb_array_elements(items) with ordinality as i (item, place)
        ) as t
        group by t.turn order by t.turn
    loop
        answer := aspora_ledger_settle_turn(batch);
        places := places || (answer -> 'places');
        accounts := accounts || (answer -> 'accounts');
        fired := fired + (answer ->> 'fired')::bigint;
    end loop;

    return (
        with changed as materialized (
            select a.* from ledger_accounts as a
            where a.id in (select value::bigint from jsonb_array_elements_text(accounts))
        )
        select jsonb_build_object(
            'known', places,
            'fired', fired,
            'paused', (select coalesce(jsonb_agg(c.id), '[]'::jsonb) from changed as c where c.paused is not null),
            'throttled', (
                select coalesce(jsonb_agg(c.id), '[]'::jsonb) from changed as c
                where c.unit = 'micro_usd' and aspora_ledger_is_near_cap(c.cap, c.spent - c.forgiven)
            )
        )
    );
end
$$;
