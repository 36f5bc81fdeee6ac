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
select number, slug, checksum, applied_at from schema_migrations order by number

-- name: record_applied
insert into schema_migrations (number, slug, checksum) values (%(number)s, %(slug)s, %(checksum)s)

-- name: table_exists
select to_regclass('schema_migrations') is not null as found

-- name: ensure_day_partitions
select aspora_ensure_day_partitions(
    %(parent)s::text::regclass,
    coalesce(%(today)s::date, (now() at time zone 'UTC')::date),
    %(days)s
) as made
