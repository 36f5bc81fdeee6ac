-- compatible-with: 0003
-- What an installation knows of itself: which older code may work on its schema, which key its secrets are sealed with,
-- and how its history of objects begins anew after a restore.

alter table schema_migrations add column compatible_with integer;
comment on column schema_migrations.compatible_with is
    'Code that knows migrations up to this one still works after this migration; null: no older code does.';

-- Owned by aspora.sealing. The key itself is never in the database.
create table secret_keys (
    key_id  text        primary key,
    probe   text        not null,
    made_at timestamptz not null default now()
);
comment on column secret_keys.probe is 'A known text, sealed with the key: tells the right key from a wrong one.';

-- History goes on after a copy of the database was put back: whatever was given out since the copy was made is lost. As
-- in aspora_enter_object_epoch, but whatever the server is: the same one may have been restored over.
create function aspora_begin_restored_history(former_version bigint) returns bigint
language plpgsql
as $$
declare
    place object_position%rowtype;
    next_floor bigint;
begin
    perform aspora_lock_objects();
    select * into place from object_position;
    select greatest(
        last_value + 1000000, coalesce(former_version, 0) + 1000000, extract(epoch from clock_timestamp()) * 1000000
    ) into next_floor
    from object_versions;
    perform setval('object_versions', next_floor);
    insert into object_epochs (floor, newest_before, server) values (next_floor, place.newest, place.server);
    return next_floor;
end
$$;

-- Whether a write changes what is wanted. A form that was only converted from an older schema wants the same: the item
-- then brings the converted present form as `comparedSpec`.
create function aspora_spec_differs(present jsonb, given jsonb, item jsonb) returns boolean
language sql
immutable
as $$
    select given -> 'spec' is distinct from coalesce(item -> 'comparedSpec', present -> 'spec')
$$;

-- As before, but for how specs are compared.
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
        if present -> 'metadata' ? 'finalizers' and not present -> 'metadata' ? 'deletionTimestamp' then
            return jsonb_set(present, '{metadata,deletionTimestamp}', item -> 'at');
        end if;
        return present;
    end case;
end
$$;
