-- Day partitions that are old enough to go; the functions are in migration 0004_leaders.

-- name: drop_oldest_day
select aspora_drop_day_partition(
    %(table)s::text::regclass, %(first_kept)s::date, %(spared)s::date[], make_interval(secs => %(patience_seconds)s)
) as day

-- name: delete_stray_rows
select aspora_delete_stray_days(
    %(table)s::text::regclass, %(first_kept)s::date, %(spared)s::date[], %(limit)s::integer
) as deleted
