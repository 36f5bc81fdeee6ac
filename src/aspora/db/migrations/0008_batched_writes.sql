-- Writes of many callers in one statement, and an item the database can't take refused alone. Owned by aspora.store.

-- Objects change in place (their labels seldom do), so a page keeps room for the next form of a row. What waits to go
-- into the label index stays small: whoever fills it up sorts it in while all other writers wait.
alter table objects set (fillfactor = 80);
alter index objects_labels set (gin_pending_list_limit = 256);

-- As before; history's place is read only when the server is another one than at the last write.
create or replace function aspora_enter_object_epoch() returns void
language plpgsql
as $$
declare
    present_server text := format('%s/%s', extract(epoch from pg_postmaster_start_time()),
        (select oid from pg_database where datname = current_database()));
    next_floor bigint;
begin
    if present_server = (select server from object_epochs order by floor desc limit 1) then
        return;
    end if;
    select greatest(last_value + 1000000, extract(epoch from clock_timestamp()) * 1000000) into next_floor
    from object_versions;
    perform setval('object_versions', next_floor);
    insert into object_epochs (floor, newest_before, server)
    select next_floor, newest, server from object_position;
end
$$;

-- What every write of objects begins with; the caller's transaction then holds the writers' lock.
create function aspora_begin_object_writes() returns void
language plpgsql
as $$
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
end
$$;

-- Says the same as `aspora_write_objects` for items of which none can see another: each key comes once, no item lives in
-- an object that another one writes, and there are no conditions but livesIn and leader. Each table is touched once for
-- all of them.
--
-- The plan must be good for any number of objects, whatever the statistics say at the moment: by the key, row for row.
create function aspora_write_independent_objects(writes jsonb)
returns table (outcome text, result jsonb, present_version text)
language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
begin
    perform aspora_begin_object_writes();
    return query
    with judged as (
        select place, item, item ->> 'kind' as kind, item ->> 'domain' as domain, item ->> 'name' as name,
            present.uid, present.resource_version as former_version, present.object as former,
            case
                when item ?| array['livesIn', 'leader'] and aspora_place_refusal(item) is not null
                    then aspora_place_refusal(item)
                when item ->> 'op' = 'create' then case when present.uid is not null then 'exists' end
                when present.uid is null then 'missing'
                when item ->> 'expectedUid' <> present.uid then 'replaced'
                when item ->> 'expectedVersion' <> present.resource_version::text then 'stale'
            end as refusal
        from jsonb_array_elements(writes) with ordinality as given (item, place)
        left join lateral (
            select objects.uid, objects.resource_version, objects.object from objects
            where objects.kind = item ->> 'kind' and objects.domain = item ->> 'domain'
                and objects.name = item ->> 'name'
            limit 1
        ) as present on true
        order by place
    ), formed as (
        select judged.*, case when refusal is null then aspora_next_object(former, item) end as form
        from judged offset 0
    ), weighed as (
        select formed.*, not form -> 'metadata' ? 'finalizers'
            and (item ->> 'op' = 'delete' or form -> 'metadata' ? 'deletionTimestamp') as is_gone
        from formed offset 0
    ), numbered as (
        select weighed.*, case
            when refusal is null and (is_gone or former is distinct from form) then nextval('object_versions')
        end as version
        from weighed offset 0
    ), done as materialized (
        select place, item, kind, domain, name, uid, former_version, former, refusal, is_gone, version,
            case
                when version is null then form
                else jsonb_set(form, '{metadata,resourceVersion}', to_jsonb(version::text))
            end as answer
        from numbered
    ), removed as (
        delete from objects using done
        where objects.kind = done.kind and objects.domain = done.domain and objects.name = done.name
            and done.version is not null and done.is_gone
    ), stored as (
        insert into objects (kind, domain, name, uid, resource_version, object)
        select kind, domain, name, coalesce(uid, item ->> 'uid'), version, answer
        from done where version is not null and not is_gone
        on conflict on constraint objects_pkey do update
        set resource_version = excluded.resource_version, object = excluded.object
    ), logged as (
        insert into object_events (resource_version, kind, domain, name, type, object, previous)
        select version, kind, domain, name,
            case when is_gone then 'DELETED' when former is not null then 'MODIFIED' else 'ADDED' end, answer, former
        from done where version is not null
        returning object_events.resource_version
    ), told as materialized (
        select pg_notify('aspora_objects', '') from logged limit 1
    )
    select case
            when refusal is not null then refusal
            when version is null then 'unchanged'
            when is_gone then 'deleted'
            else 'written'
        end,
        answer, former_version::text
    from done left join told on true
    order by place;
end
$$;

-- Says the same as `aspora_write_objects`, and each item may fail alone: slower, for what has failed as a whole. An item
-- that the database can't take has the outcome refused, and the error's SQLSTATE for a version. Failures that are not the
-- item's (no room, no memory, a cancelled or colliding statement) fail the whole as ever.
create function aspora_write_doubtful_objects(writes text[])
returns table (outcome text, result jsonb, present_version text)
language plpgsql
as $$
declare
    given text;
    state text;
begin
    perform aspora_begin_object_writes();
    foreach given in array writes loop
        begin
            select written.* into outcome, result, present_version
            from aspora_write_objects(jsonb_build_array(given::jsonb)) as written;
        exception when others then
            get stacked diagnostics state = returned_sqlstate;
            if left(state, 2) in ('08', '25', '40', '53', '55', '57', '58') then
                raise;
            end if;
            outcome := 'refused';
            result := null;
            present_version := state;
        end;
        return next;
    end loop;
end
$$;
