-- Leaders, and what a write may ask of its surroundings beside its place: that its writer still leads, that what it names
-- is there, that nothing names what it removes. Retention of records by dropping day partitions. Owned by aspora.db
-- (leaders), aspora.store (conditions) and aspora.records (index).

create table leaders (
    name        text        primary key,
    holder      text        not null,
    epoch       bigint      not null,
    acquired_at timestamptz not null,
    renewed_at  timestamptz not null
);
comment on table leaders is
    'Who leads what. Whoever holds the session lock of the name counts the epoch up; a write of an older epoch is refused.';

-- Wait for the session lock of a name; false when the time is over. A wait that times out is no error here, so that a
-- standby fills no log; and it is bounded, so that a standby holds back no vacuum.
create function aspora_wait_to_lead(leader text, patience interval) returns boolean
language plpgsql
as $$
begin
    perform set_config('lock_timeout', (extract(epoch from patience) * 1000)::bigint::text, true);
    perform pg_advisory_lock(hashtextextended('aspora_leader ' || leader, 0));
    return true;
exception when lock_not_available then
    return false;
end
$$;

-- Begin a new epoch; the caller's session holds the lock of the name. The writers' lock comes first: once the epoch is
-- there, no write of the one before is still on its way.
create function aspora_begin_epoch(leader text, new_holder text) returns bigint
language plpgsql
as $$
declare
    begun bigint;
begin
    perform set_config('synchronous_commit', 'on', true);
    perform aspora_lock_objects();
    insert into leaders as known (name, holder, epoch, acquired_at, renewed_at)
    values (leader, new_holder, 1, clock_timestamp(), clock_timestamp())
    on conflict (name) do update set
        holder = excluded.holder, epoch = known.epoch + 1,
        acquired_at = excluded.acquired_at, renewed_at = excluded.renewed_at
    returning epoch into begun;
    return begun;
end
$$;

-- Why an item's writer may not write any more, or null. fenced: another leader has begun. The caller holds the lock.
create function aspora_leader_refusal(item jsonb) returns text
language sql
as $$
    select case
        when item ? 'leader' and not exists (
            select from leaders
            where name = item #>> '{leader,name}' and epoch::text = item #>> '{leader,epoch}'
        ) then 'fenced'
    end
$$;

-- Why an item does not go with other objects, or null. dangling: one of those it needs is not there or is being deleted.
-- referenced: an object holds the JSON that none may hold. The caller holds the lock.
create function aspora_reference_refusal(item jsonb) returns text
language sql
as $$
    select case
        when item ? 'needs' and exists (
            select from jsonb_to_recordset(item -> 'needs') as needed (kind text, domain text, name text)
            where not exists (
                select from objects as o
                where o.kind = needed.kind and o.domain = needed.domain and o.name = needed.name
                    and not o.object -> 'metadata' ? 'deletionTimestamp'
            )
        ) then 'dangling'
        when item ? 'unlessHeld' and exists (
            select from jsonb_to_recordset(item -> 'unlessHeld') as held (kind text, domain text, part jsonb)
            join objects as o on o.kind = held.kind and o.domain = held.domain and o.object @> held.part
        ) then 'referenced'
    end
$$;

-- As before, and the other conditions: each item may also have leader: {name, epoch}, needs: [{kind, domain, name}],
-- unlessHeld: [{kind, domain, part}]; see aspora.store.payload.
create or replace function aspora_place_refusal(item jsonb) returns text
language sql
as $$
    select coalesce(
        aspora_leader_refusal(item),
        case
            when item ? 'livesIn' and not exists (
                select from objects
                where kind = item #>> '{livesIn,kind}' and domain = item #>> '{livesIn,domain}'
                    and name = item #>> '{livesIn,name}' and not object -> 'metadata' ? 'deletionTimestamp'
            ) then 'homeless'
            when item ? 'emptyDomain' and exists (
                select from objects where domain = item ->> 'emptyDomain'
            ) then 'occupied'
        end,
        aspora_reference_refusal(item)
    )
$$;

-- Drop the oldest day partition of a table that lies wholly before `first_kept` and is none of the days to spare; answers
-- the day, or null when there is none. The strong lock is waited for only as long as `patience`, since whoever writes
-- waits behind us: on a busy table this fails with lock_not_available, and is tried again. One a call, so that the lock
-- is held for one drop.
create function aspora_drop_day_partition(parent regclass, first_kept date, spared date[], patience interval)
returns date
language plpgsql
as $$
declare
    oldest record;
begin
    select to_date(substring(c.relname from '_p(\d{8})$'), 'YYYYMMDD') as day, c.oid::regclass as partition
    into oldest
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = parent and c.relname ~ '_p\d{8}$'
        and to_date(substring(c.relname from '_p(\d{8})$'), 'YYYYMMDD') < first_kept
        and to_date(substring(c.relname from '_p(\d{8})$'), 'YYYYMMDD') <> all (spared)
    order by 1
    limit 1;
    if oldest is null then
        return null;
    end if;
    perform set_config('lock_timeout', (extract(epoch from patience) * 1000)::bigint::text, true);
    execute format('lock table only %s in access exclusive mode', parent);
    execute format('drop table %s', oldest.partition);
    return oldest.day;
end
$$;

-- Delete up to `most` rows of such days that the default partition caught; answers how many.
create function aspora_delete_stray_days(parent regclass, first_kept date, spared date[], most integer)
returns bigint
language plpgsql
set timezone = 'UTC'
as $$
declare
    key_name text;
    key_type text;
    default_partition regclass;
    gone bigint;
begin
    select a.attname, format_type(a.atttypid, null), nullif(p.partdefid, 0)::regclass
    into key_name, key_type, default_partition
    from pg_partitioned_table p
    join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    where p.partrelid = parent;
    if default_partition is null then
        return 0;
    end if;
    execute format(
        'delete from %s where ctid in (select ctid from %s'
        ' where %I < %L::%s and %I::timestamptz::date <> all ($1) limit $2)',
        default_partition, default_partition, key_name,
        to_char(first_kept, 'YYYY-MM-DD "00:00:00+00"'), key_type, key_name)
    using spared, most;
    get diagnostics gone = row_count;
    return gone;
end
$$;

-- The health of skills is counted over the executions that ended in a window.
create index executions_ended on executions (finished_at) where finished_at is not null;
