-- Circuits of upstreams. All times are the database's, told as seconds from now, so that no two clocks are compared.

-- name: read_circuits
select provider, base_url, model, number, turn, holder,
    extract(epoch from open_until - now())::float8 as seconds_left,
    coalesce(extract(epoch from probe_until - now()), 0)::float8 as probe_seconds_left
from model_circuits
where model = '' or open_until > now()

-- name: open_circuit
-- What others have opened, or are probing, stays as it is; of two limits the longer one holds.
insert into model_circuits as c (provider, base_url, model, number, open_until)
values (
    %(provider)s, %(base_url)s, %(model)s, %(number)s,
    clock_timestamp() + make_interval(secs => %(seconds)s)
)
on conflict (provider, base_url, model) do update
set turn = excluded.turn, number = excluded.number, open_until = excluded.open_until, holder = null, probe_until = null
where c.turn = %(turn)s
    or (c.model <> '' and c.open_until < excluded.open_until)
    or (c.open_until <= clock_timestamp() and coalesce(c.probe_until, '-infinity') <= clock_timestamp())

-- name: close_circuit
delete from model_circuits
where provider = %(provider)s and base_url = %(base_url)s and model = %(model)s and turn = %(turn)s

-- name: claim_probe
update model_circuits
set turn = nextval('model_circuit_turns'), holder = %(holder)s,
    probe_until = clock_timestamp() + make_interval(secs => %(seconds)s)
where provider = %(provider)s and base_url = %(base_url)s and model = %(model)s
    and open_until <= clock_timestamp()
    and (holder = %(holder)s or coalesce(probe_until, '-infinity') <= clock_timestamp())

-- name: renew_probe
update model_circuits
set probe_until = clock_timestamp() + make_interval(secs => %(seconds)s)
where provider = %(provider)s and base_url = %(base_url)s and model = %(model)s and turn = %(turn)s

-- name: forget_circuits
-- Limits that are over, and upstreams that nobody has called for a day.
delete from model_circuits
where open_until < now() - case when model = '' then interval '1 day' else interval '1 minute' end
    and coalesce(probe_until, '-infinity') < now()

-- name: notify
select pg_notify('aspora_circuits', '')
