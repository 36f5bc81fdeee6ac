-- The lock of the one executor that launches the workflow engine.

-- name: try_to_launch
select pg_try_advisory_lock(hashtextextended(%(key)s, 0)) as is_held

-- name: who_launches
-- What the holder's session calls itself; no row when it has just gone.
select a.application_name
from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_database where datname = current_database())
    and (l.classid::bigint << 32) | l.objid::bigint = hashtextextended(%(key)s, 0)
