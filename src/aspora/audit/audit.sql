-- The audit. Rows of accepted writes are made by the functions of migration 0005 inside the writes' own transactions.

-- name: keep
select aspora_audit(entry) from jsonb_array_elements(%(entries)s::jsonb) as entry

-- name: list_rows
select * from audit_events
where (%(caller)s::text is null or caller = %(caller)s or impersonated_by = %(caller)s)
    and (%(verb)s::text is null or verb = %(verb)s)
    and (%(kind)s::text is null or kind = %(kind)s)
    and (%(domains)s::text[] is null or domain = any(%(domains)s))
    and (%(name)s::text is null or name = %(name)s)
    and (%(since)s::timestamptz is null or at >= %(since)s)
    and (%(before)s::timestamptz is null or (at, id) < (%(before)s, %(before_id)s))
order by at desc, id desc
limit %(limit)s
