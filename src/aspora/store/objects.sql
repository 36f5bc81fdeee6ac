-- The store's statements. What writes lies in functions; the latest version of each, by the migration that holds it
-- (`create or replace`; tests/meta holds this list to the migrations):
--
--   0001  aspora_compact_object_events, aspora_lock_objects, aspora_object_matches
--   0001  aspora_write_object
--   0004  aspora_leader_refusal, aspora_reference_refusal
--   0005  aspora_audit, aspora_audit_write
--   0007  aspora_begin_restored_history, aspora_spec_differs
--   0008  aspora_begin_object_writes, aspora_enter_object_epoch, aspora_write_doubtful_objects
--   0009  aspora_audit_writes, aspora_next_object, aspora_place_refusal
--   0009  aspora_write_independent_objects, aspora_write_objects

-- name: get_object
select object from objects
where kind = %(kind)s and domain = %(domain)s and name = %(name)s

-- name: list_objects
-- One snapshot: the place in history and the objects as they are there. Always at least one row.
select place.newest, place.compacted, page.domain, page.name, page.object
from object_position as place
left join lateral (
    select domain, name, object
    from objects
    where kind = %(kind)s
        and (%(domains)s::text[] is null or domain = any(%(domains)s::text[]))
        and (%(names)s::text[] is null or name = any(%(names)s::text[]))
        and (%(equal_labels)s::jsonb = '{}' or labels @> %(equal_labels)s::jsonb)
        and (%(terms)s::jsonb = '[]' or aspora_object_matches(object, %(terms)s::jsonb))
        and (%(after_name)s::text is null or (domain, name) > (%(after_domain)s::text, %(after_name)s::text))
    order by domain, name
    limit %(limit)s
) as page on true
order by page.domain, page.name

-- name: write_objects
-- What is accepted is audited here, in the same transaction and under the same lock.
with given as materialized (
    select %(writes)s::jsonb as writes
), written as materialized (
    select written.* from given
    cross join lateral aspora_write_objects(given.writes)
        with ordinality as written (outcome, result, present_version, place)
), audited as materialized (
    select aspora_audit_writes(
        (select writes from given), array_agg(outcome order by place),
        array_agg(result #>> '{metadata,uid}' order by place),
        array_agg(result #>> '{metadata,resourceVersion}' order by place))
    from written
)
select written.outcome, written.result, written.present_version
from written cross join audited
order by written.place

-- name: write_independent_objects
with given as materialized (
    select %(writes)s::jsonb as writes
), written as materialized (
    select written.* from given
    cross join lateral aspora_write_independent_objects(given.writes)
        with ordinality as written (outcome, result, present_version, place)
), audited as materialized (
    select aspora_audit_writes(
        (select writes from given), array_agg(outcome order by place),
        array_agg(result #>> '{metadata,uid}' order by place),
        array_agg(result #>> '{metadata,resourceVersion}' order by place))
    from written
)
select written.outcome, written.result, written.present_version
from written cross join audited
order by written.place

-- name: write_doubtful_objects
with given as materialized (select %(writes)s::text[] as writes)
select written.outcome, written.result, written.present_version
from given
cross join lateral aspora_write_doubtful_objects(given.writes)
    with ordinality as written (outcome, result, present_version, place)
cross join lateral aspora_audit_write(
    case when written.outcome <> 'refused' then given.writes[written.place]::jsonb end, written.outcome, written.result)
order by written.place

-- name: read_position
-- `is_lost`: the version was given out in a history that this database does not have.
select newest, compacted, server,
    exists (select from object_epochs where %(since)s > newest_before and %(since)s <= floor) as is_lost
from object_position

-- name: read_changes
-- One snapshot again; a row without a version when nothing has changed. As text, whose length says what it takes.
select place.newest, place.compacted, place.server,
    change.resource_version, change.kind, change.domain, change.type,
    change.object::text as object, change.previous::text as previous
from object_position as place
left join lateral (
    select resource_version, kind, domain, type, object, previous
    from object_events
    where resource_version > %(after)s and resource_version <= %(upto)s and kind = any(%(kinds)s::text[])
    order by resource_version
    limit %(limit)s
) as change on true
order by change.resource_version

-- name: compact
select aspora_compact_object_events((now() at time zone 'UTC')::date - %(keep_days)s::integer) as compacted

-- name: artifact_digests
-- Of every object that has an artifact: a Skill in its spec, a Revision in the skill's spec that it keeps.
select distinct digest
from objects
cross join lateral (
    values (object #>> '{spec,artifact,digest}'), (object #>> '{spec,skillSpec,artifact,digest}')
) as named (digest)
where kind in ('Skill', 'Revision') and digest is not null

-- name: begin_restored_history
select aspora_begin_restored_history(%(former_version)s)
