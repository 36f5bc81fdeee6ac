-- Day partitions of any table that is partitioned by range over a timestamptz, timestamp or date column (UTC days).
--
-- Makes `<parent>_pYYYYMMDD` for `days` days from `first_day` on and answers how many it made. Safe to run twice or by
-- many at once. Each partition is filled before it is attached, so the parent takes only the weak lock of ATTACH, and
-- rows of that day which the default partition caught meanwhile move over without firing a trigger.
create function aspora_ensure_day_partitions(parent regclass, first_day date, days integer)
returns integer
language plpgsql
set lock_timeout = '5s'
as $$
declare
    schema_name text;
    parent_name text;
    partition_name text;
    partition regclass;
    day date;
    made integer := 0;
begin
    select n.nspname, c.relname into schema_name, parent_name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = parent and c.relkind = 'p';
    if parent_name is null then
        raise exception 'table % is not partitioned; create it with PARTITION BY RANGE', parent;
    end if;
    if octet_length(parent_name) > 53 then
        raise exception 'table name % is too long for day partitions; use at most 53 bytes', parent;
    end if;

    perform pg_advisory_xact_lock(hashtextextended('aspora_ensure_day_partitions', parent::oid::bigint));
    for day in select first_day + i from generate_series(0, days - 1) as i loop
        partition_name := parent_name || to_char(day, '"_p"YYYYMMDD');
        partition := to_regclass(format('%I.%I', schema_name, partition_name));
        if partition is null then
            perform aspora_make_day_partition(parent, schema_name, partition_name, day);
            made := made + 1;
        elsif not exists (select from pg_inherits where inhrelid = partition and inhparent = parent) then
            raise exception 'table % exists but is not a partition of %; rename or drop it', partition, parent;
        end if;
    end loop;
    return made;
end
$$;

-- One partition: create it beside the parent, fetch its rows from the default partition, attach it.
create function aspora_make_day_partition(parent regclass, schema_name text, partition_name text, day date)
returns void
language plpgsql
as $$
declare
    lower_bound text := to_char(day, 'YYYY-MM-DD "00:00:00+00"');
    upper_bound text := to_char(day + 1, 'YYYY-MM-DD "00:00:00+00"');
    key_name text;
    key_type text;
    columns text;
    default_partition regclass;
    find_strays text;
    has_strays boolean := false;
begin
    select a.attname, format_type(a.atttypid, null), nullif(p.partdefid, 0)::regclass
    into key_name, key_type, default_partition
    from pg_partitioned_table p
    join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    where p.partrelid = parent and p.partstrat = 'r' and p.partnatts = 1;
    if key_name is null then
        raise exception 'table % is not partitioned by range over one column', parent;
    end if;

    execute format('create table %I.%I (like %s including all excluding identity)', schema_name, partition_name, parent);
    if default_partition is not null then
        find_strays := format('select exists (select from %s where %I >= %L::%s and %I < %L::%s)',
            default_partition, key_name, lower_bound, key_type, key_name, upper_bound, key_type);
        execute find_strays into has_strays;
        if has_strays then
            -- Moving them takes the strong lock of DETACH; the parent comes first, as for those who insert.
            execute format('lock table only %s in access exclusive mode', parent);
        end if;
        execute format('lock table %s in access exclusive mode', default_partition);
        execute find_strays into has_strays;
    end if;

    if has_strays then
        if exists (select from pg_constraint where contype = 'f' and confrelid = parent) then
            raise exception 'rows of % wait in the default partition of %, which a foreign key points to', day, parent
                using hint = 'drop that foreign key: a day-partitioned table must not be the target of one';
        end if;
        select string_agg(quote_ident(attname), ', ' order by attnum) into columns
        from pg_attribute where attrelid = parent and attnum > 0 and not attisdropped and attgenerated = '';
        -- Detached, the default partition has lost the parent's triggers: moving a row is not an event.
        execute format('alter table %s detach partition %s', parent, default_partition);
        execute format(
            'with moved as (delete from %s where %I >= %L::%s and %I < %L::%s returning %s)'
            ' insert into %I.%I (%s) select %s from moved',
            default_partition, key_name, lower_bound, key_type, key_name, upper_bound, key_type, columns,
            schema_name, partition_name, columns, columns);
    end if;
    execute format('alter table %s attach partition %I.%I for values from (%L) to (%L)',
        parent, schema_name, partition_name, lower_bound, upper_bound);
    if has_strays then
        execute format('alter table %s attach partition %s default', parent, default_partition);
    end if;
end
$$;
