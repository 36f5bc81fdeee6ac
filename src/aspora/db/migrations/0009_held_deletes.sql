-- compatible-with: 0008
-- A delete that holds its object by a finalizer, in one write (owned by aspora.store). One place that says when a node's
-- word counts (owned by aspora.records).

-- The fence: only while a node is here may it claim executions, go on with them or end them. A view and no function, for
-- it is planned as if its text stood in the query, whatever that joins it with.
create view live_nodes as
select id, epoch, classes from nodes where stopped_at is null and lease_expires_at > now();

-- As before, and a delete may bring a `finalizer`: the object then gets it together with its deletionTimestamp, unless it
-- is being deleted already.
create or replace function aspora_next_object(present jsonb, item jsonb) returns jsonb
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
            given := jsonb_set(given, '{status}', coalesce(item -> 'convertedStatus', present -> 'status'));
        end if;
        if aspora_spec_differs(present, given, item) then
            given := jsonb_set(given, '{metadata,generation}', to_jsonb((kept -> 'generation')::bigint + 1));
        end if;
        return given;
    when 'update_status' then
        return (present - 'status') || given;
    when 'delete' then
        if present -> 'metadata' ? 'deletionTimestamp' then
            return present;
        end if;
        kept := coalesce(present #> '{metadata,finalizers}', '[]');
        if item ? 'finalizer' and not kept ? (item ->> 'finalizer') then
            kept := kept || (item -> 'finalizer');
        end if;
        if kept = '[]' then
            return present;
        end if;
        return jsonb_set(present, '{metadata}', present -> 'metadata' || jsonb_build_object(
            'finalizers', kept, 'deletionTimestamp', item -> 'at'));
    end case;
end
$$;
