-- What of the database belongs into a backup, and what a restore does to it; see snapshot.py and loading.py.

-- name: list_tables
-- Every table of the schema but partitions and what extensions brought. Generated columns make themselves, and a number
-- of a transaction means nothing on another server: there all rows get that of the restore, older than all to come.
select c.relname as name,
    (
        select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, null)) order by a.attnum)
        from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
            and a.atttypid <> 'xid8'::regtype
    ) as columns,
    coalesce((
        select json_agg(found.day order by found.day)
        from pg_inherits as i
        join pg_class as p on p.oid = i.inhrelid
        cross join lateral (select substring(p.relname from '_p(\d{8})$') as day) as found
        where i.inhparent = c.oid and found.day is not null
    ), '[]') as days,
    coalesce((
        select json_agg(distinct f.confrelid::regclass::text)
        from pg_constraint as f
        where f.conrelid = c.oid and f.contype = 'f' and f.confrelid <> c.oid
    ), '[]') as needs
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = current_schema() and c.relkind in ('r', 'p') and not c.relispartition
    and not exists (
        select from pg_depend as d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )
order by c.relname

-- name: list_sequences
select sequencename as name, last_value from pg_sequences
where schemaname = current_schema() and last_value is not null
order by sequencename

-- name: server_facts
select current_setting('server_version') as version, now() as at, pg_is_in_recovery() as is_standby

-- name: list_own
-- What a migration made, by the names it uses; functions with their arguments, as DROP wants them.
select 'table' as sort, c.oid::regclass::text as identity
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = current_schema() and c.relkind in ('r', 'p') and not c.relispartition and c.relname = any(%(names)s)
union all
select 'view', c.oid::regclass::text
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = current_schema() and c.relkind = 'v' and c.relname = any(%(names)s)
union all
select 'sequence', c.oid::regclass::text
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = current_schema() and c.relkind = 'S' and c.relname = any(%(names)s)
union all
select 'function', p.oid::regprocedure::text
from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
where n.nspname = current_schema() and p.proname = any(%(names)s)

-- name: others_connected
-- Aspora's own processes say so; of other roles' sessions the name can't be seen.
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name like 'aspora%%'

-- name: ensure_day
select aspora_ensure_day_partitions(%(table)s::text::regclass, to_date(%(day)s, 'YYYYMMDD'), 1)

-- name: set_sequence
select setval(%(name)s::text::regclass, %(value)s)
