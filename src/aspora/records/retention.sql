-- name: present_day
select (now() at time zone 'UTC')::date as day

-- name: unfinished_days
-- Days whose records stay: an execution of theirs is not over. Looks only at days that would go.
select distinct day from executions where day < %(first_kept)s and finished_at is null
