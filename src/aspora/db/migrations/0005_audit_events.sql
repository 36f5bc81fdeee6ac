-- Who wrote what (owned by aspora.audit), and what happened to objects (owned by aspora.records).

-- One row for each write that was accepted, and for each that was refused once its caller was known. Never what was
-- written: no spec, no input, no message.
create sequence audit_event_ids;

create table audit_events (
    id               bigint      not null default nextval('audit_event_ids'),
    at               timestamptz not null default clock_timestamp(),
    caller           text        not null,
    impersonated_by  text        not null default '',
    key              text        not null default '',
    verb             text        not null,
    kind             text        not null,
    domain           text        not null default '',
    name             text        not null default '',
    uid              text        not null default '',
    resource_version text        not null default '',
    request_id       text        not null default '',
    remote           text        not null default '',
    outcome          text        not null,
    primary key (at, id)
) partition by range (at);
create table audit_events_default partition of audit_events default;
comment on column audit_events.outcome is 'Accepted, Unchanged (accepted, and nothing to do), or the reason of the refusal.';
comment on column audit_events.impersonated_by is 'Who really called, when they acted as somebody else; the key is theirs.';
create index audit_events_by_object on audit_events (kind, domain, name, at desc, id desc);
create index audit_events_by_caller on audit_events (caller, at desc, id desc);

-- Keep one row; `entry` has the columns' names in camelCase. Nothing for null, so that callers need no branch.
create function aspora_audit(entry jsonb) returns void
language sql
as $$
    insert into audit_events (
        caller, impersonated_by, key, verb, kind, domain, name, uid, resource_version, request_id, remote, outcome
    )
    select entry ->> 'caller', coalesce(entry ->> 'impersonatedBy', ''), coalesce(entry ->> 'key', ''),
        entry ->> 'verb', entry ->> 'kind', coalesce(entry ->> 'domain', ''), coalesce(entry ->> 'name', ''),
        coalesce(entry ->> 'uid', ''), coalesce(entry ->> 'resourceVersion', ''),
        coalesce(entry ->> 'requestId', ''), coalesce(entry ->> 'remote', ''),
        coalesce(entry ->> 'outcome', 'Accepted')
    where entry is not null
$$;

-- The row of one item of `aspora_write_objects`, when the item says who writes and was accepted. What the store refuses
-- is told by the caller, who may try again first.
create function aspora_audit_write(item jsonb, outcome text, result jsonb) returns void
language sql
as $$
    select aspora_audit(item -> 'audit' || jsonb_build_object(
        'kind', item -> 'kind', 'domain', item -> 'domain', 'name', item -> 'name',
        'uid', result #> '{metadata,uid}', 'resourceVersion', result #> '{metadata,resourceVersion}',
        'outcome', case outcome when 'unchanged' then 'Unchanged' else 'Accepted' end))
    where item ? 'audit' and outcome in ('written', 'deleted', 'unchanged')
$$;

-- What happened to objects, for people who look. The same event again within ten minutes raises `count`, for at most a
-- day: then a new row begins, so that days can be retired.
--
-- `seq` and `xid` are the row's latest change: a tail that reads by them and stops before the oldest open transaction
-- sees every change of a row, or a later one.
create sequence event_ids;

create table events (
    id               bigint      not null default nextval('event_ids'),
    day              date        not null default (now() at time zone 'UTC')::date,
    xid              xid8        not null default pg_current_xact_id(),
    seq              bigint      not null default nextval('event_ids'),
    digest           bytea       not null,
    domain           text        not null,
    regarding_kind   text        not null,
    regarding_name   text        not null,
    regarding_uid    text        not null default '',
    type             text        not null check (type in ('Normal', 'Warning')),
    reason           text        not null,
    message          text        not null,
    controller       text        not null,
    count            integer     not null default 1,
    first_at         timestamptz not null default now(),
    last_at          timestamptz not null default now(),
    primary key (id, day)
) partition by range (day);
create table events_default partition of events default;
create index events_by_change on events (xid, seq);
create index events_by_time on events (last_at desc, id desc);
create index events_by_object on events (domain, regarding_kind, regarding_name, last_at desc);
create index events_again on events (digest, last_at desc);

-- Keep an event, or count it on the row that it repeats. Call it in a transaction of its own: it holds a lock on its
-- sort of event until the commit.
create function aspora_record_event(item jsonb) returns setof events
language plpgsql
as $$
declare
    sort bytea := sha256(convert_to(jsonb_build_array(
        item -> 'domain', item -> 'kind', item -> 'name', item -> 'uid', item -> 'type', item -> 'reason',
        item -> 'message', item -> 'controller')::text, 'UTF8'));
    again integer := coalesce((item ->> 'count')::integer, 1);
begin
    perform pg_advisory_xact_lock(hashtextextended('aspora_event ' || encode(sort, 'hex'), 0));
    return query
        update events as e
        set count = least(e.count::bigint + again, 2147483647)::integer, last_at = clock_timestamp(),
            xid = pg_current_xact_id(), seq = nextval('event_ids')
        from (
            select id, day from events
            where digest = sort and last_at > now() - interval '10 minutes' and first_at > now() - interval '1 day'
            order by last_at desc
            limit 1
        ) as known
        where e.id = known.id and e.day = known.day
        returning e.*;
    if not found then
        return query
            insert into events (digest, domain, regarding_kind, regarding_name, regarding_uid, type, reason, message,
                controller, count)
            values (sort, item ->> 'domain', item ->> 'kind', item ->> 'name', coalesce(item ->> 'uid', ''),
                item ->> 'type', item ->> 'reason', item ->> 'message', item ->> 'controller', again)
            returning *;
    end if;
end
$$;

select aspora_ensure_day_partitions(parent, (now() at time zone 'UTC')::date, 4)
from unnest(array['audit_events', 'events']::regclass[]) as parent;
