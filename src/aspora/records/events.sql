-- Events of executions: appended, never changed. A tail reads by (xid, id) and stops before the oldest open transaction.

-- name: append_events
insert into execution_events (execution_id, day, attempt, at, type, data)
select e.execution_id, e.day, e.attempt, e.at, e.type, e.data
from json_to_recordset(%(events)s::json) as e (
    execution_id text, day date, attempt integer, at timestamptz, type text, data json
)

-- name: list_events
select xid::text::bigint as xid, id, attempt, at, type, data
from execution_events
where execution_id = %(id)s and day = %(day)s and (xid, id) > (%(after_xid)s::bigint::text::xid8, %(after_id)s)
order by xid, id
limit %(limit)s

-- name: tail_events
select xid::text::bigint as xid, id, attempt, at, type, data
from execution_events
where execution_id = %(id)s and day = %(day)s and (xid, id) > (%(after_xid)s::bigint::text::xid8, %(after_id)s)
    and xid < pg_snapshot_xmin(pg_current_snapshot())
order by xid, id
limit %(limit)s
