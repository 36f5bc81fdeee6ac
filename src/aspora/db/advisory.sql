-- Leadership by a session lock; the functions are in migration 0004_leaders.

-- name: end_when_silent
select set_config('idle_session_timeout', %(milliseconds)s::text, false)

-- name: wait_to_lead
select aspora_wait_to_lead(%(leader)s, make_interval(secs => %(patience_seconds)s)) as is_held

-- name: begin_epoch
select aspora_begin_epoch(%(leader)s, %(holder)s) as epoch

-- name: renew_epoch
update leaders set renewed_at = clock_timestamp() where name = %(leader)s and epoch = %(epoch)s
