-- Idempotency keys: unique for a caller and a skill while they last.

-- name: take_key
-- A key that ran out is taken over; two that come at once wait for each other here, and the second finds the first's row.
insert into idempotency_keys as k (caller, domain, skill, key, body_digest, execution_id, expires_at)
values (%(caller)s, %(domain)s, %(skill)s, %(key)s, %(body_digest)s, %(execution_id)s,
    now() + make_interval(secs => %(ttl_seconds)s))
on conflict (caller, domain, skill, key) do update
set body_digest = excluded.body_digest, execution_id = excluded.execution_id, expires_at = excluded.expires_at
where k.expires_at <= now()
returning execution_id

-- name: get_key
select body_digest, execution_id from idempotency_keys
where caller = %(caller)s and domain = %(domain)s and skill = %(skill)s and key = %(key)s

-- name: forget_expired_keys
delete from idempotency_keys where expires_at <= now()
