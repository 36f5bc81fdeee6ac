-- Objects of all kinds and the log of their changes. Owned by aspora.store.
--
-- Versions are given out under one lock that is held until the commit, so their order is the order of commits: whoever
-- sees a version sees every lower one, and a tail that reads "greater than the last" misses nothing. A sequence alone
-- would not do: the later number may commit first.

create sequence object_versions;

create table objects (
    kind             text collate "C" not null,
    domain           text collate "C" not null,
    name             text collate "C" not null,
    uid              text   not null,
    resource_version bigint not null,
    object           jsonb  not null,
    labels           jsonb  not null generated always as (coalesce(object #> '{metadata,labels}', '{}'::jsonb)) stored,
    primary key (kind, domain, name)
);
comment on column objects.domain is 'Empty for a cluster-wide object.';
create index objects_labels on objects using gin (labels jsonb_path_ops);

create table object_events (
    resource_version bigint      not null,
    at               timestamptz not null default clock_timestamp(),
    kind             text        not null,
    domain           text        not null,
    name             text        not null,
    type             text        not null check (type in ('ADDED', 'MODIFIED', 'DELETED')),
    object           jsonb       not null,
    previous         jsonb,
    primary key (resource_version, at)
) partition by range (at);
create table object_events_default partition of object_events default;
comment on column object_events.previous is
    'The form before, from which a watch with selectors tells whether the object began or ceased to match.';

create table object_history (
    is_only_row boolean primary key default true check (is_only_row),
    compacted   bigint  not null default 0
);
comment on column object_history.compacted is 'Events up to this version are gone.';
insert into object_history default values;

-- One row for each run of a server (or copy of the database) that wrote objects. Versions above `newest_before` and up
-- to `floor` were never given out in this history: a reader who holds one comes from a history that was lost.
create table object_epochs (
    floor         bigint      primary key,
    newest_before bigint      not null,
    server        text        not null,
    began_at      timestamptz not null default clock_timestamp(),
    check (newest_before < floor)
);

-- Where history stands in the present snapshot.
create view object_position as
select
    greatest(compacted, (select max(resource_version) from object_events)) as newest,
    compacted,
    format('%s/%s', extract(epoch from pg_postmaster_start_time()),
        (select oid from pg_database where datname = current_database())) as server
from object_history;

create function aspora_lock_objects() returns void
language sql
as $$
    select pg_advisory_xact_lock(hashtextextended('aspora_objects', 0))
$$;

-- After each start of the server the versions jump to the clock's microseconds. A server that lost its last writes (no
-- flush, a late replica, an old backup) thus never gives a version out twice: as long as nobody writes a million objects
-- a second, whatever was given out in a lost history lies below the clock.
create function aspora_enter_object_epoch() returns void
language plpgsql
as $$
declare
    place object_position%rowtype;
    next_floor bigint;
begin
    select * into place from object_position;
    if place.server = (select server from object_epochs order by floor desc limit 1) then
        return;
    end if;
    select greatest(last_value + 1000000, extract(epoch from clock_timestamp()) * 1000000) into next_floor
    from object_versions;
    perform setval('object_versions', next_floor);
    insert into object_epochs (floor, newest_before, server) values (next_floor, place.newest, place.server);
end
$$;

-- What an object becomes by a write; its version is not yet counted up. `item.object` holds only what a client may say.
create function aspora_next_object(present jsonb, item jsonb) returns jsonb
language plpgsql
immutable
as $$
declare
    given jsonb := item -> 'object';
    kept jsonb;
begin
    case item ->> 'op'
    when 'create' then
        return jsonb_set(given, '{metadata}', given -> 'metadata' || jsonb_build_object(
            'uid', item -> 'uid', 'creationTimestamp', item -> 'at', 'generation', 1));
    when 'update' then
        select jsonb_object_agg(key, value) into kept from jsonb_each(present -> 'metadata')
        where key in ('uid', 'creationTimestamp', 'generation', 'resourceVersion', 'deletionTimestamp');
        given := jsonb_set(given, '{metadata}', given -> 'metadata' || kept);
        if present ? 'status' then
            given := jsonb_set(given, '{status}', present -> 'status');
        end if;
        if given -> 'spec' is distinct from present -> 'spec' then
            given := jsonb_set(given, '{metadata,generation}', to_jsonb((kept -> 'generation')::bigint + 1));
        end if;
        return given;
    when 'update_status' then
        return (present - 'status') || given;
    when 'delete' then
        if present -> 'metadata' ? 'finalizers' and not present -> 'metadata' ? 'deletionTimestamp' then
            return jsonb_set(present, '{metadata,deletionTimestamp}', item -> 'at');
        end if;
        return present;
    end case;
end
$$;

-- One write. The outcome is one of: written, deleted, unchanged (nothing to do), exists, missing, replaced (another uid),
-- stale (another version). The caller holds the lock.
create function aspora_write_object(item jsonb, out outcome text, out result jsonb, out present_version text)
language plpgsql
as $$
declare
    op text := item ->> 'op';
    present objects%rowtype;
    exists_now boolean;
    is_gone boolean;
    version bigint;
begin
    select * into present from objects
    where kind = item ->> 'kind' and domain = item ->> 'domain' and name = item ->> 'name';
    exists_now := found;
    present_version := present.resource_version::text;
    outcome := case
        when op = 'create' and exists_now then 'exists'
        when op = 'create' then null
        when not exists_now then 'missing'
        when item ->> 'expectedUid' <> present.uid then 'replaced'
        when item ->> 'expectedVersion' <> present_version then 'stale'
    end;
    if outcome is not null then
        return;
    end if;

    result := aspora_next_object(present.object, item);
    is_gone := not result -> 'metadata' ? 'finalizers' and (op = 'delete' or result -> 'metadata' ? 'deletionTimestamp');
    if exists_now and not is_gone and result = present.object then
        outcome := 'unchanged';
        return;
    end if;

    version := nextval('object_versions');
    result := jsonb_set(result, '{metadata,resourceVersion}', to_jsonb(version::text));
    if is_gone then
        delete from objects where kind = present.kind and domain = present.domain and name = present.name;
    elsif exists_now then
        update objects set resource_version = version, object = result
        where kind = present.kind and domain = present.domain and name = present.name;
    else
        insert into objects (kind, domain, name, uid, resource_version, object)
        values (item ->> 'kind', item ->> 'domain', item ->> 'name', item ->> 'uid', version, result);
    end if;
    insert into object_events (resource_version, kind, domain, name, type, object, previous)
    values (version, item ->> 'kind', item ->> 'domain', item ->> 'name',
        case when is_gone then 'DELETED' when exists_now then 'MODIFIED' else 'ADDED' end, result, present.object);
    outcome := case when is_gone then 'deleted' else 'written' end;
end
$$;

-- Apply writes in their order, one row of answer for each; a refused one leaves its neighbours alone. Each item is
-- {op, kind, domain, name, object, uid, at, expectedVersion, expectedUid}; see aspora.store.payload.
--
-- Call it as a statement of its own: the lock is then held for no round trip, only until the commit is on disk.
create function aspora_write_objects(writes jsonb)
returns table (outcome text, result jsonb, present_version text)
language plpgsql
as $$
declare
    item jsonb;
    has_changes boolean := false;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'objects must be written in a read committed transaction, not %',
            current_setting('transaction_isolation');
    end if;
    if current_setting('synchronous_commit') in ('off', 'local') then
        -- A version that somebody has seen must survive a crash.
        perform set_config('synchronous_commit', 'on', true);
    end if;
    perform aspora_lock_objects();
    perform aspora_enter_object_epoch();
    for item in select value from jsonb_array_elements(writes) loop
        select written.* into outcome, result, present_version from aspora_write_object(item) as written;
        has_changes := has_changes or outcome in ('written', 'deleted');
        return next;
    end loop;
    if has_changes then
        perform pg_notify('aspora_objects', '');
    end if;
end
$$;

-- Whether an object satisfies all terms: [{path, operator: in|notin|exists|absent, wanted: [text]}]. A path that leads to
-- a list, to a map or nowhere has no value. Says the same as aspora.meta.selectors.
create function aspora_object_matches(object jsonb, terms jsonb) returns boolean
language sql
immutable
as $$
    select not exists (
        select
        from jsonb_to_recordset(terms) as term (path jsonpath, operator text, wanted jsonb)
        cross join lateral (select jsonb_path_query_first(object, path, silent => true)) as place (found)
        cross join lateral (
            select case when jsonb_typeof(found) in ('string', 'number', 'boolean') then found #>> '{}' end
        ) as scalar (value)
        where case operator
            when 'in' then not coalesce(wanted ? value, false)
            when 'notin' then coalesce(wanted ? value, false)
            when 'exists' then value is null
            else value is not null
        end
    )
$$;

-- Forget the events of all days before `first_kept_day`; answers how far history is gone. Takes the writers' lock first,
-- so that it can't deadlock with them.
create function aspora_compact_object_events(first_kept_day date) returns bigint
language plpgsql
set lock_timeout = '5s'
as $$
declare
    kept_from timestamptz := first_kept_day::timestamp at time zone 'UTC';
    mark bigint;
    old_partition regclass;
begin
    perform aspora_lock_objects();
    update object_history set compacted = greatest(
        compacted, (select max(resource_version) from object_events where at < kept_from))
    returning compacted into mark;
    for old_partition in
        select inhrelid::regclass from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = 'object_events'::regclass
            and to_date(substring(relname from '_p(\d{8})$'), 'YYYYMMDD') < first_kept_day
    loop
        execute format('drop table %s', old_partition);
    end loop;
    delete from object_events where at < kept_from;
    delete from object_epochs
    where floor <= mark and floor < (select max(floor) from object_epochs);
    return mark;
end
$$;

select aspora_ensure_day_partitions('object_events', (now() at time zone 'UTC')::date, 4);
