-- The key's mark in the database; see check.py.

-- name: has_table
select to_regclass('secret_keys') is not null as found

-- name: lock
select pg_advisory_xact_lock(hashtextextended(%(key)s, 0))

-- name: current_key
select key_id, probe from secret_keys order by made_at desc, key_id limit 1

-- name: register_key
insert into secret_keys (key_id, probe) values (%(key_id)s, %(probe)s)
