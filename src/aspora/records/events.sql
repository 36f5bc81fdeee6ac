-- Events of executions: appended, never changed. A tail reads by (xid, id) and stops before the oldest open transaction.

-- name: append_events
-- What an attempt tells is kept while it owns its execution and its node's lease holds, and dropped afterwards.
insert into execution_events (execution_id, day, attempt, at, type, data)
select e.execution_id, e.day, e.attempt, e.at, e.type, e.data
from rows from (
    json_to_recordset(%(events)s::json) as (
        execution_id text, day date, attempt integer, at timestamptz, type text, data json
    )
) with ordinality as e (execution_id, day, attempt, at, type, data, place)
join executions as x on x.id = e.execution_id and x.day = e.day
where x.state = 'Running' and x.attempt = e.attempt and x.owner_node = %(node)s and x.owner_epoch = %(epoch)s
    and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
order by e.place

-- name: list_events
select xid::text::bigint as xid, id, attempt, at, type, data
from execution_events
where execution_id = %(id)s and day = %(day)s and (xid, id) > (%(after_xid)s::bigint::text::xid8, %(after_id)s)
order by xid, id
limit %(limit)s

-- name: events_of_types
select xid::text::bigint as xid, id, attempt, at, type, data
from execution_events
where execution_id = %(id)s and day = %(day)s and type = any(%(types)s)
order by xid, id
limit %(limit)s

-- name: tail_events
select xid::text::bigint as xid, id, attempt, at, type, data
from execution_events
where execution_id = %(id)s and day = %(day)s and (xid, id) > (%(after_xid)s::bigint::text::xid8, %(after_id)s)
    and xid < pg_snapshot_xmin(pg_current_snapshot())
order by xid, id
limit %(limit)s
