-- Leadership by a session lock; the functions are in migration 0004_leaders.

-- name: end_when_silent
select set_config('idle_session_timeout', %(milliseconds)s::text, false)

-- name: try_to_lead
-- Asked again and again and not waited for: a statement that waits holds a snapshot, and whoever makes an index
-- concurrently (the workflow engine's migrations) waits for every snapshot. The key is the one of 0004.
select pg_try_advisory_lock(hashtextextended(%(key)s, 0)) as is_held

-- name: begin_epoch
select aspora_begin_epoch(%(leader)s, %(holder)s) as epoch

-- name: renew_epoch
update leaders set renewed_at = clock_timestamp() where name = %(leader)s and epoch = %(epoch)s
