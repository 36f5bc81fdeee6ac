-- The engine's own statements; see migrate.py.

-- name: wait_without_limit
-- A big table may take its time, and so may another process that migrates right now.
select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)

-- name: lock
select pg_advisory_xact_lock(%(key)s)

-- name: create_table
create table if not exists schema_migrations (
    number integer primary key,
    slug text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
)

-- name: list_applied
-- By JSON, because the column of the last one came with a migration of its own.
select number, slug, checksum, (to_jsonb(m) ->> 'compatible_with')::integer as compatible_with
from schema_migrations as m
order by number

-- name: record_applied
-- What the table has no column for yet is left out.
insert into schema_migrations
select * from jsonb_populate_record(null::schema_migrations, jsonb_build_object(
    'number', %(number)s::integer, 'slug', %(slug)s::text, 'checksum', %(checksum)s::text, 'applied_at', now(),
    'compatible_with', %(compatible_with)s::integer
))

-- name: table_exists
select to_regclass('schema_migrations') is not null as found

-- name: ensure_day_partitions
select aspora_ensure_day_partitions(
    %(parent)s::text::regclass,
    coalesce(%(today)s::date, (now() at time zone 'UTC')::date),
    %(days)s
) as made
