-- compatible-with: 0008
-- Money and rates: accounts with caps, leases of them by processes, intents of calls that went out, and calls that are
-- over. Owned by aspora.ledger; all amounts are whole numbers, money in micro-USD.
--
-- Locks are always taken in this order, and within each by id, accounts by rank first, so that the row that all calls
-- share comes last: holders, intents, accounts, leases.

create sequence ledger_epochs;
create sequence ledger_account_ids;

create table ledger_holders (
    epoch      bigint      primary key default nextval('ledger_epochs'),
    name       text        not null,
    started_at timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at   timestamptz
);
create index ledger_holders_open on ledger_holders (epoch) where ended_at is null;
comment on table ledger_holders is 'Processes that hold leases, alive until expires_at by this clock; one that ended is not revived.';
comment on column ledger_holders.ended_at is 'When its leases were given back and its open intents put in doubt.';

-- The fence: only while a holder is here may it lease, give back or say what goes out.
create view live_ledger_holders as
select epoch from ledger_holders where ended_at is null and expires_at > clock_timestamp();

create table ledger_accounts (
    id           bigint      primary key default nextval('ledger_account_ids'),
    scope_kind   text        not null,
    scope_name   text        not null,
    window_kind  text        not null,
    window_start timestamptz not null,
    unit         text        not null check (unit in ('micro_usd', 'requests', 'tokens')),
    rank         smallint    not null,
    cap          bigint,
    spent        bigint      not null default 0,
    leased       bigint      not null default 0,
    in_doubt     bigint      not null default 0,
    forgiven     bigint      not null default 0,
    overrun      bigint      not null default 0,
    fired        smallint    not null default 0,
    paused       text        check (paused in ('Cap', 'Overrun')),
    opened_at    timestamptz not null default now(),
    unique (scope_kind, scope_name, window_kind, window_start, unit)
) with (fillfactor = 50);
create index ledger_accounts_by_age on ledger_accounts (opened_at);
comment on column ledger_accounts.window_start is 'UTC; 1970 for the window of an execution, which has no start.';
comment on column ledger_accounts.rank is 'Narrow scopes first: the order in which rows are locked.';
comment on column ledger_accounts.cap is 'Null: no cap.';
comment on column ledger_accounts.spent is 'What the calls of this window cost, those in doubt at their full hold.';
comment on column ledger_accounts.leased is 'What processes hold for calls to come or under way: the sum of its leases.';
comment on column ledger_accounts.in_doubt is 'The part of spent that waits to be reconciled.';
comment on column ledger_accounts.forgiven is 'The part of spent that a reset took off: the cap is for the rest.';
comment on column ledger_accounts.overrun is 'By how much calls went over their holds; only then may spent and leased pass the cap.';
comment on column ledger_accounts.fired is 'The highest threshold, in percent, that was told.';

create table ledger_leases (
    account_id bigint not null,
    epoch      bigint not null,
    amount     bigint not null,
    primary key (account_id, epoch)
) with (fillfactor = 50);
create index ledger_leases_by_holder on ledger_leases (epoch);
comment on column ledger_leases.amount is 'Free for calls to come, and the holds of those whose outcome is not known yet.';

create table ledger_intents (
    id          text        collate "C" primary key,
    epoch       bigint      not null,
    accounts    bigint[]    not null,
    holds       bigint[]    not null,
    hold        bigint      not null,
    in_doubt    boolean     not null default false,
    doubted_at  timestamptz,
    model       text        not null,
    provider    text        not null,
    attribution jsonb       not null,
    reserved_at timestamptz not null
) with (fillfactor = 80);
create index ledger_intents_by_holder on ledger_intents (epoch) where not in_doubt;
create index ledger_intents_in_doubt on ledger_intents (reserved_at, id) where in_doubt;
comment on table ledger_intents is 'Calls that may have gone out and are not settled.';
comment on column ledger_intents.holds is 'What each account holds for the call, in the unit of the account.';
comment on column ledger_intents.hold is 'The upper bound of the cost, in micro-USD.';

create table ledger_calls (
    id                 text        collate "C" not null,
    day                date        not null,
    reserved_at        timestamptz not null,
    settled_at         timestamptz not null default now(),
    epoch              bigint      not null,
    accounts           bigint[]    not null,
    was_in_doubt       boolean     not null,
    hold               bigint      not null,
    cost               bigint      not null,
    cost_source        text        not null,
    upstream_micro_usd bigint,
    priced_micro_usd   bigint,
    input_tokens       bigint,
    output_tokens      bigint,
    model              text        not null,
    provider           text        not null,
    outcome            text        not null,
    findings           text[]      not null,
    domain             text        not null,
    skill              text        not null,
    revision           text        not null,
    execution          text        not null,
    user_name          text        not null,
    trigger_name       text        not null,
    cost_center        text        not null,
    primary key (id, day)
) partition by range (day);
create table ledger_calls_default partition of ledger_calls default;
create index ledger_calls_by_skill on ledger_calls (domain, skill, day);
comment on table ledger_calls is 'Calls that are over, each once; rows are never changed.';
comment on column ledger_calls.day is 'The UTC day in which it was reserved.';
comment on column ledger_calls.cost is 'As booked, in micro-USD; cost_source says by which rule.';

create table ledger_thresholds (
    account_id bigint      not null,
    percent    smallint    not null,
    spent      bigint      not null,
    cap        bigint      not null,
    fired_at   timestamptz not null default now()
);
create index ledger_thresholds_by_account on ledger_thresholds (account_id, fired_at);
comment on table ledger_thresholds is 'Each threshold that was passed, with what was spent then.';

-- What an account would give one part of a request: null when it can't give what the call needs.
--
-- Near the cap a slice shrinks to the call itself, so that no process keeps from another what it does not use; that of an
-- execution is all there is, since one process spends it.
create function aspora_ledger_slices(request jsonb)
returns table (
    part integer, account bigint, slice bigint, cap bigint, used bigint, leased bigint, paused text
)
language sql
stable
as $$
    select p.place::integer, a.id,
        case
            when a.paused is not null then null
            when a.cap is null then greatest(p.need, p.want)
            when a.cap - (a.spent - a.forgiven) - a.leased < p.need then null
            when a.window_kind = 'execution' then a.cap - (a.spent - a.forgiven) - a.leased
            else greatest(p.need, least(p.want, (a.cap - (a.spent - a.forgiven) - a.leased) / 16))
        end,
        a.cap, a.spent - a.forgiven, a.leased, a.paused
    from rows from (
        jsonb_to_recordset(request)
            as (kind text, name text, "window" text, start timestamptz, unit text, need bigint, want bigint)
    ) with ordinality as p (kind, name, window_kind, window_start, unit, need, want, place)
    join ledger_accounts as a on a.scope_kind = p.kind and a.scope_name = p.name and a.window_kind = p.window_kind
        and a.window_start = p.window_start and a.unit = p.unit
$$;

-- Lease slices for a list of requests, each all its parts or none. Nothing at all is answered for a holder whose time
-- is over. A request that can't be met is refused without a lock, so that many refusals cost little.
create function aspora_ledger_grant(holder bigint, requests jsonb)
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
    insert into ledger_accounts (scope_kind, scope_name, window_kind, window_start, unit, rank, cap)
    select distinct on (p.rank, p.name, p.kind, p."window", p.start, p.unit)
        p.kind, p.name, p."window", p.start, p.unit, p.rank, p.cap
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

-- Book changes of accounts and answer the thresholds that were passed by that, each once: those of the settling
-- statement. Whoever is at the cap is paused until the truth is below it; who went over a hold, until a person says so.
create function aspora_ledger_book(changes jsonb) returns jsonb
language plpgsql
as $$
declare
    told jsonb;
begin
    perform from ledger_accounts
    where id in (select c.account from jsonb_to_recordset(changes) as c (account bigint))
    order by rank, id for update;

    with booked as materialized (
        select a.id, a.cap, a.fired as former, a.spent + c.spent as spent, a.leased + c.leased as leased,
            a.in_doubt + c.in_doubt as in_doubt, a.overrun + c.overrun as overrun,
            a.spent + c.spent - a.forgiven as used, a.paused = 'Overrun' or c.pauses as is_overrun,
            a.unit = 'micro_usd' and a.cap is not null and a.spent + c.spent > a.forgiven as is_watched
        from jsonb_to_recordset(changes)
            as c (account bigint, spent bigint, leased bigint, in_doubt bigint, overrun bigint, pauses boolean)
        join ledger_accounts as a on a.id = c.account
    ), passed as (
        select b.id, p.percent, b.used, b.cap
        from booked as b cross join unnest(array[80, 95, 100]) as p (percent)
        where b.is_watched and p.percent > b.former and b.used::numeric * 100 >= b.cap::numeric * p.percent
    ), saved as (
        update ledger_accounts as a
        set spent = b.spent, leased = b.leased, in_doubt = b.in_doubt, overrun = b.overrun,
            fired = greatest(b.former, (select max(p.percent) from passed as p where p.id = b.id)),
            paused = case when b.is_overrun then 'Overrun' when b.is_watched and b.used >= b.cap then 'Cap' end
        from booked as b where a.id = b.id
    ), kept as (
        insert into ledger_thresholds (account_id, percent, spent, cap)
        select p.id, p.percent, p.used, p.cap from passed as p
    )
    select jsonb_agg(jsonb_build_object(
        'scope_kind', a.scope_kind, 'scope_name', a.scope_name, 'window_kind', a.window_kind,
        'window_start', a.window_start, 'percent', p.percent, 'spent', p.used, 'cap', p.cap) order by a.rank, p.percent)
    into told
    from passed as p join ledger_accounts as a on a.id = p.id;
    return coalesce(told, '[]'::jsonb);
end
$$;

-- What is known of calls: each item has the call's id and an act. `settle` books its cost, of one in doubt too;
-- `doubt` charges its hold; `release` says that it never went out, and leaves its hold in the lease, for the holder to
-- use again. `reconcile` settles only what is in doubt. Safe to repeat: an intent that is gone is not touched again.
--
-- Answers {"known": {id: "open" or "in_doubt"}, "fired": [...], "paused": [account]}.
create function aspora_ledger_settle(items jsonb) returns jsonb
language plpgsql
as $$
declare
    known jsonb;
    changes jsonb;
    given jsonb;
    fired jsonb;
begin
    perform from ledger_intents
    where id in (select item ->> 'id' from jsonb_array_elements(items) as i (item))
    order by id for update;

    select jsonb_object_agg(n.id, case when n.in_doubt then 'in_doubt' else 'open' end), jsonb_agg(i.item)
    into known, given
    from (
        -- One item a call: another for the same call in this batch finds it gone.
        select distinct on (item ->> 'id') item from jsonb_array_elements(items) as g (item) order by item ->> 'id'
    ) as i
    join ledger_intents as n on n.id = i.item ->> 'id'
    where i.item ->> 'act' <> 'reconcile' or n.in_doubt;
    if known is null then
        return jsonb_build_object('known', '{}'::jsonb, 'fired', '[]'::jsonb, 'paused', '[]'::jsonb);
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
        execution, user_name, trigger_name, cost_center
    )
    select n.id, (n.reserved_at at time zone 'UTC')::date, n.reserved_at, n.epoch, n.accounts, n.in_doubt, n.hold,
        s.cost, s.cost_source, s.upstream_micro_usd, s.priced_micro_usd, s.input_tokens, s.output_tokens,
        coalesce(s.model, n.model), coalesce(s.provider, n.provider), s.outcome, s.findings,
        coalesce(n.attribution ->> 'domain', ''), coalesce(n.attribution ->> 'skill', ''),
        coalesce(n.attribution ->> 'revision', ''), coalesce(n.attribution ->> 'execution', ''),
        coalesce(n.attribution ->> 'user', ''), coalesce(n.attribution ->> 'trigger', ''),
        coalesce(n.attribution ->> 'cost_center', '')
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

    return jsonb_build_object('known', known, 'fired', fired, 'paused', (
        select coalesce(jsonb_agg(a.id), '[]'::jsonb) from ledger_accounts as a
        where a.paused is not null and a.id in (select c.account from jsonb_to_recordset(changes) as c (account bigint))
    ));
end
$$;

-- Give back what a live holder does not use: parts of {account, amount}. Answers whether the holder is alive.
create function aspora_ledger_give_back(holder bigint, parts jsonb) returns boolean
language plpgsql
as $$
begin
    perform from live_ledger_holders where epoch = holder for key share;
    if not found then
        return false;
    end if;
    perform aspora_ledger_book(jsonb_agg(jsonb_build_object('account', p.account, 'spent', 0, 'leased', - p.amount,
        'in_doubt', 0, 'overrun', 0, 'pauses', false)))
    from jsonb_to_recordset(parts) as p (account bigint, amount bigint);
    update ledger_leases as l set amount = l.amount - p.amount
    from jsonb_to_recordset(parts) as p (account bigint, amount bigint)
    where l.account_id = p.account and l.epoch = holder;
    delete from ledger_leases as l
    using jsonb_to_recordset(parts) as p (account bigint, amount bigint)
    where l.account_id = p.account and l.epoch = holder and l.amount = 0;
    return true;
end
$$;

-- End one holder whose time is over, or `own`: its calls that are not settled are charged in full, in doubt; the rest of
-- its leases goes back. Answers null when there is none, else {"epoch", "doubted", "fired"}. Safe to run by many.
create function aspora_ledger_sweep(own bigint) returns jsonb
language plpgsql
as $$
declare
    holder bigint;
    doubted bigint;
    changes jsonb;
    fired jsonb;
begin
    select h.epoch into holder from ledger_holders as h
    where h.ended_at is null and (h.epoch = own or own is null and h.expires_at < clock_timestamp())
    order by h.epoch limit 1 for update skip locked;
    if holder is null then
        return null;
    end if;
    perform from ledger_intents where epoch = holder and not in_doubt order by id for update;
    with held as (
        select h.account, sum(h.hold) as hold
        from ledger_intents as n cross join unnest(n.accounts, n.holds) as h (account, hold)
        where n.epoch = holder and not n.in_doubt
        group by h.account
    ), leased as (
        select l.account_id as account, l.amount from ledger_leases as l where l.epoch = holder
    ), summed as (
        select account, coalesce(held.hold, 0) as spent, coalesce(held.hold, 0) as in_doubt,
            - coalesce(leased.amount, 0) as leased, 0 as overrun, false as pauses
        from held full join leased using (account)
    )
    select coalesce(jsonb_agg(to_jsonb(s)), '[]'::jsonb) into changes from summed as s;
    fired := aspora_ledger_book(changes);
    update ledger_intents set in_doubt = true, doubted_at = clock_timestamp() where epoch = holder and not in_doubt;
    get diagnostics doubted = row_count;
    delete from ledger_leases where epoch = holder;
    update ledger_holders set ended_at = clock_timestamp() where epoch = holder;
    return jsonb_build_object('epoch', holder, 'doubted', doubted, 'fired', fired);
end
$$;

-- Change the cap of an account, or with `resets` forget what was spent, and keep who did it, in one transaction. Thresholds
-- that are ahead again will be told again. Answers the row, or none.
create function aspora_ledger_amend(account bigint, resets boolean, new_cap bigint, audit jsonb)
returns setof ledger_accounts
language plpgsql
as $$
begin
    perform from ledger_accounts where id = account for update;
    perform aspora_audit(audit || jsonb_build_object('kind', 'Budget', 'name',
        format('%s/%s/%s', a.scope_kind, a.scope_name, a.window_kind)))
    from ledger_accounts as a where a.id = account;
    return query
        with wanted as (
            select a.id, case when resets then a.spent else a.forgiven end as forgiven,
                case when resets then a.cap else new_cap end as cap
            from ledger_accounts as a where a.id = account
        ), level as (
            select w.*, (
                select max(p.percent) from unnest(array[0, 80, 95, 100]) as p (percent)
                where p.percent = 0 or w.cap is not null and a.spent > w.forgiven
                    and (a.spent - w.forgiven)::numeric * 100 >= w.cap::numeric * p.percent
            ) as percent
            from wanted as w join ledger_accounts as a on a.id = w.id
        )
        update ledger_accounts as a
        set cap = l.cap, forgiven = l.forgiven, fired = least(a.fired, l.percent),
            paused = case when a.unit = 'micro_usd' and l.percent = 100 then 'Cap' end
        from level as l where a.id = l.id
        returning a.*;
end
$$;

select aspora_ensure_day_partitions('ledger_calls', (now() at time zone 'UTC')::date, 4);
