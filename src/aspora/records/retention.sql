-- name: unfinished_days
-- Days whose records stay: an execution of theirs is not over. Looks only at days that would go.
select distinct day from executions where day < %(first_kept)s and finished_at is null

-- name: delete_effects
-- The journal hangs on executions by their id alone, which begins with the day.
delete from effects
where ctid in (
    select ctid from effects
    where execution_id < 'EXEC-' || to_char(%(first_kept)s::date, 'YYYYMMDD')
        and to_date(substr(execution_id, 6, 8), 'YYYYMMDD') <> all (%(spared)s::date[])
    limit %(limit)s
)
