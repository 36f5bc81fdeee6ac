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

-- The cap that an object names opens an account; when the object names another one, that counts from then on, whatever a
-- person has set in between.
alter table ledger_accounts add column declared bigint;
update ledger_accounts set declared = cap;
comment on column ledger_accounts.declared is 'The cap that whoever leases named last; another one than this replaces cap.';

create function aspora_ledger_declare(requests jsonb) returns void
language plpgsql
as $$
declare
    changed bigint[];
begin
    select array_agg(distinct a.id) into changed
    from jsonb_array_elements(requests) as r (parts)
    cross join jsonb_to_recordset(r.parts)
        as p (kind text, name text, "window" text, start timestamptz, unit text, cap bigint)
    join ledger_accounts as a on a.scope_kind = p.kind and a.scope_name = p.name and a.window_kind = p."window"
        and a.window_start = p.start and a.unit = p.unit
    where a.declared is distinct from p.cap;
    if changed is null then
        return;
    end if;
    perform from ledger_accounts where id = any (changed) order by rank, id for update;
    with named as (
        select a.id, min(p.cap) as cap
        from jsonb_array_elements(requests) as r (parts)
        cross join jsonb_to_recordset(r.parts)
            as p (kind text, name text, "window" text, start timestamptz, unit text, cap bigint)
        join ledger_accounts as a on a.scope_kind = p.kind and a.scope_name = p.name and a.window_kind = p."window"
            and a.window_start = p.start and a.unit = p.unit
        where a.id = any (changed)
        group by a.id
    ), level as (
        select n.*, (
            select max(p.percent) from unnest(array[0, 80, 95, 100]) as p (percent)
            where p.percent = 0 or n.cap is not null and a.spent > a.forgiven
                and (a.spent - a.forgiven)::numeric * 100 >= n.cap::numeric * p.percent
        ) as percent
        from named as n join ledger_accounts as a on a.id = n.id
    )
    update ledger_accounts as a
    set cap = l.cap, declared = l.cap, fired = least(a.fired, l.percent),
        paused = case
            when a.paused = 'Overrun' then 'Overrun' when a.unit = 'micro_usd' and l.percent = 100 then 'Cap'
        end
    from level as l where a.id = l.id;
end
$$;

-- Lease slices for a list of requests, each all its parts or none. Nothing at all is answered for a holder whose time
-- is over. A request that can't be met is refused without a lock, so that many refusals cost little.
create or replace function aspora_ledger_grant(holder bigint, requests jsonb)
returns table (
    request integer, part integer, account bigint, slice bigint, cap bigint, used bigint, leased bigint, paused text,
    granted boolean
)
language plpgsql
as $$
#variable_conflict use_column
declare
    wanted jsonb;
    place integer := 0;
    is_locked boolean := false;
    is_met boolean;
begin
    perform from live_ledger_holders where epoch = holder for key share;
    if not found then
        return;
    end if;
    insert into ledger_accounts (scope_kind, scope_name, window_kind, window_start, unit, rank, cap, declared)
    select distinct on (p.rank, p.name, p.kind, p."window", p.start, p.unit)
        p.kind, p.name, p."window", p.start, p.unit, p.rank, p.cap, p.cap
    from jsonb_array_elements(requests) as r (parts)
    cross join jsonb_to_recordset(r.parts)
        as p (kind text, name text, "window" text, start timestamptz, unit text, rank smallint, cap bigint)
    where not exists (
        select from ledger_accounts as a
        where a.scope_kind = p.kind and a.scope_name = p.name and a.window_kind = p."window"
            and a.window_start = p.start and a.unit = p.unit
    )
    order by p.rank, p.name, p.kind, p."window", p.start, p.unit
    on conflict do nothing;
    perform aspora_ledger_declare(requests);

    for wanted in select value from jsonb_array_elements(requests) loop
        select bool_and(s.slice is not null) into is_met from aspora_ledger_slices(wanted) as s;
        if is_met and not is_locked then
            perform from ledger_accounts
            where id in (
                select s.account
                from jsonb_array_elements(requests) as r (parts)
                cross join lateral aspora_ledger_slices(r.parts) as s
            )
            order by rank, id for update;
            is_locked := true;
            select bool_and(s.slice is not null) into is_met from aspora_ledger_slices(wanted) as s;
        end if;
        return query
            select place, s.part, s.account, s.slice, s.cap, s.used, s.leased, s.paused, is_met
            from aspora_ledger_slices(wanted) as s order by s.part;
        if is_met then
            with slices as materialized (
                select s.account, s.slice from aspora_ledger_slices(wanted) as s
            ), taken as (
                update ledger_accounts as a set leased = a.leased + s.slice from slices as s where a.id = s.account
            )
            insert into ledger_leases as l (account_id, epoch, amount)
            select s.account, holder, s.slice from slices as s
            on conflict (account_id, epoch) do update set amount = l.amount + excluded.amount;
        end if;
        place := place + 1;
    end loop;
end
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
            end as actual,
            coalesce((i.item ->> 'bounded')::boolean, true) as is_bounded
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
            case
                when p.act in ('settle', 'reconcile') and p.is_bounded then greatest(p.actual - p.hold, 0) else 0
            end as overrun,
            -- An overrun pauses the execution and the narrowest scope that outlasts it, in all their windows.
            p.rank <= coalesce(min(p.rank) filter (where p.rank > 0) over (partition by p.id), 0) as is_narrow,
            max(
                case
                    when p.act in ('settle', 'reconcile') and p.is_bounded and p.unit = 'micro_usd'
                        then p.actual - p.hold
                    else 0
                end
            )
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
