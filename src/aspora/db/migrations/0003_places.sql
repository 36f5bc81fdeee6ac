-- Where an object may live. A write may carry conditions on its surroundings; they are checked under the writers' lock,
-- with nothing between the look and the write. Owned by aspora.store.

-- Why an item's conditions refuse it, or null. homeless: the object it lives in is not there or is being deleted.
-- occupied: the domain that must be empty is not. The caller holds the lock.
create function aspora_place_refusal(item jsonb) returns text
language sql
as $$
    select case
        when item ? 'livesIn' and not exists (
            select from objects
            where kind = item #>> '{livesIn,kind}' and domain = item #>> '{livesIn,domain}'
                and name = item #>> '{livesIn,name}' and not object -> 'metadata' ? 'deletionTimestamp'
        ) then 'homeless'
        when item ? 'emptyDomain' and exists (
            select from objects where domain = item ->> 'emptyDomain'
        ) then 'occupied'
    end
$$;

-- As before, and each item's conditions come first. Each item is {op, kind, domain, name, object, uid, at,
-- expectedVersion, expectedUid, livesIn: {kind, domain, name}, emptyDomain}; see aspora.store.payload.
create or replace function aspora_write_objects(writes jsonb)
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
        outcome := aspora_place_refusal(item);
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
