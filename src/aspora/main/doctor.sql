-- What the doctor asks; it changes nothing.

-- name: has_aspora
select to_regclass('schema_migrations') is not null as found

-- name: settings
select current_setting('server_version') as server_version, current_setting('fsync') as fsync,
    current_setting('full_page_writes') as full_page_writes, current_setting('synchronous_commit') as synchronous_commit

-- name: clock
select clock_timestamp()

-- name: days_ahead
-- Of each table with day partitions: how many days after today have one.
select parent.relname as name,
    max(to_date(substring(child.relname from '_p(\d{8})$'), 'YYYYMMDD')) - (now() at time zone 'UTC')::date as days
from pg_inherits as i
join pg_class as parent on parent.oid = i.inhparent
join pg_class as child on child.oid = i.inhrelid
where parent.relnamespace = current_schema()::regnamespace and child.relname ~ '_p\d{8}$'
group by parent.relname
order by parent.relname

-- name: nodes
select
    (select count(*) from live_nodes) as alive,
    (select count(*) from executions where state = 'Pending') as waiting
