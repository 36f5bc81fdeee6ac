-- compatible-with: 0008
-- A delete that holds its object by a finalizer, in one write; writes in fewer steps (owned by aspora.store). The audit of
-- a batch in one statement (owned by aspora.audit). One place that says when a node's word counts (owned by
-- aspora.records).

-- The fence: only while a node is here may it claim executions, go on with them or end them. A view and no function, for
-- it is planned as if its text stood in the query, whatever that joins it with.
create view live_nodes as
select id, epoch, classes from nodes where stopped_at is null and lease_expires_at > now();

-- As before, and a delete may bring a `finalizer`: the object then gets it together with its deletionTimestamp, unless it
-- is being deleted already. One expression, which the planner takes into the statement that calls it: each write costs
-- half as much as by a function of steps. Stable, since that is what jsonb_build_object is; else it is not taken in.
create or replace function aspora_next_object(present jsonb, item jsonb) returns jsonb
language sql
stable
as $$
    select case item ->> 'op'
        when 'create' then
            (item -> 'object') || jsonb_build_object('metadata',
                (item #> '{object,metadata}') || jsonb_build_object(
                    'uid', item -> 'uid', 'creationTimestamp', item -> 'at', 'generation', 1))
        when 'update' then
            (item -> 'object') || jsonb_build_object('metadata',
                (item #> '{object,metadata}') || jsonb_build_object(
                    'uid', present #> '{metadata,uid}',
                    'creationTimestamp', present #> '{metadata,creationTimestamp}',
                    'resourceVersion', present #> '{metadata,resourceVersion}',
                    'generation', (present #> '{metadata,generation}')::bigint
                        + aspora_spec_differs(present, item -> 'object', item)::integer)
                || case when present -> 'metadata' ? 'deletionTimestamp'
                    then jsonb_build_object('deletionTimestamp', present #> '{metadata,deletionTimestamp}')
                    else '{}' end)
            || case when present ? 'status'
                then jsonb_build_object('status', coalesce(item -> 'convertedStatus', present -> 'status'))
                else '{}' end
        when 'update_status' then
            (present - 'status') || (item -> 'object')
        when 'delete' then case
            when present -> 'metadata' ? 'deletionTimestamp'
                or not (present -> 'metadata' ? 'finalizers' or item ? 'finalizer')
                then present
            else present || jsonb_build_object('metadata', (present -> 'metadata') || jsonb_build_object(
                'deletionTimestamp', item -> 'at',
                'finalizers', coalesce(present #> '{metadata,finalizers}', '[]') || case
                    when coalesce(present #> '{metadata,finalizers}' ? (item ->> 'finalizer'), not item ? 'finalizer')
                        then '[]'
                    else item -> 'finalizer' end))
            end
        end
$$;

-- As before, but what is there is updated by its key and what is new is inserted: an insert that finds its row there costs
-- twice as much.
create or replace function aspora_write_independent_objects(writes jsonb)
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
    ), changed as (
        update objects set resource_version = done.version, object = done.answer
        from done
        where objects.kind = done.kind and objects.domain = done.domain and objects.name = done.name
            and done.version is not null and not done.is_gone and done.former_version is not null
    ), made as (
        insert into objects (kind, domain, name, uid, resource_version, object)
        select kind, domain, name, item ->> 'uid', version, answer
        from done where version is not null and former_version is null
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

-- As before, but each condition is looked at only in an item that has it.
create or replace function aspora_place_refusal(item jsonb) returns text
language sql
as $$
    select coalesce(
        case when item ? 'leader' then aspora_leader_refusal(item) end,
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
        case when item ?| array['needs', 'unlessHeld'] then aspora_reference_refusal(item) end
    )
$$;

-- As before, but an item without conditions is not asked for its refusal, which takes half of its time.
create or replace function aspora_write_objects(writes jsonb)
returns table (outcome text, result jsonb, present_version text)
language plpgsql
as $$
declare
    item jsonb;
    has_changes boolean := false;
begin
    perform aspora_begin_object_writes();
    for item in select value from jsonb_array_elements(writes) loop
        outcome := case
            when item ?| array['leader', 'livesIn', 'emptyDomain', 'needs', 'unlessHeld']
                then aspora_place_refusal(item)
        end;
        if outcome is null then
            select written.* into outcome, result, present_version from aspora_write_object(item) as written;
        else
            result := null;
            present_version := null;
        end if;
        has_changes := has_changes or outcome in ('written', 'deleted');
        return next;
    end loop;
    if has_changes then
        perform pg_notify('aspora_objects', '');
    end if;
end
$$;

-- The rows of all items of a batch, as `aspora_audit_write` makes one, in one statement. `outcomes`, `uids` and `versions`
-- are those of the items, in their order.
create function aspora_audit_writes(writes jsonb, outcomes text[], uids text[], versions text[]) returns void
language sql
as $$
    insert into audit_events (
        caller, impersonated_by, key, verb, kind, domain, name, uid, resource_version, request_id, remote, outcome
    )
    select act ->> 'caller', coalesce(act ->> 'impersonatedBy', ''), coalesce(act ->> 'key', ''),
        act ->> 'verb', item ->> 'kind', coalesce(item ->> 'domain', ''), coalesce(item ->> 'name', ''),
        coalesce(written.uid, ''), coalesce(written.version, ''),
        coalesce(act ->> 'requestId', ''), coalesce(act ->> 'remote', ''),
        case written.outcome when 'unchanged' then 'Unchanged' else 'Accepted' end
    from rows from (jsonb_array_elements(writes), unnest(outcomes), unnest(uids), unnest(versions))
        with ordinality as written (item, outcome, uid, version, place)
    cross join lateral (select item -> 'audit' as act offset 0) as said
    where item ? 'audit' and written.outcome in ('written', 'deleted', 'unchanged')
    order by place
$$;
