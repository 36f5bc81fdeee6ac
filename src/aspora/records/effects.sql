-- The effect journal: what a host call was about to do, and what it did.

-- name: begin_effect
insert into effects (execution_id, connector, operation, arguments_digest, occurrence, state, idempotent, owner_epoch)
values (%(execution_id)s, %(connector)s, %(operation)s, %(arguments_digest)s, %(occurrence)s, 'intent', %(idempotent)s,
    %(owner_epoch)s)
on conflict (execution_id, connector, operation, arguments_digest, occurrence) do nothing
returning state

-- name: get_effect
select state, idempotent, result from effects
where execution_id = %(execution_id)s and connector = %(connector)s and operation = %(operation)s
    and arguments_digest = %(arguments_digest)s and occurrence = %(occurrence)s

-- name: retry_effect
-- Another attempt may repeat what is idempotent; the epoch keeps the earlier one from finishing it.
update effects set owner_epoch = %(owner_epoch)s, state = 'intent'
where execution_id = %(execution_id)s and connector = %(connector)s and operation = %(operation)s
    and arguments_digest = %(arguments_digest)s and occurrence = %(occurrence)s
    and idempotent and state in ('intent', 'in_doubt') and owner_epoch <= %(owner_epoch)s
returning state

-- name: finish_effect
update effects set state = 'done', result = %(result)s::json, finished_at = now()
where execution_id = %(execution_id)s and connector = %(connector)s and operation = %(operation)s
    and arguments_digest = %(arguments_digest)s and occurrence = %(occurrence)s
    and state = 'intent' and owner_epoch = %(owner_epoch)s
returning state

-- name: doubt_effect
update effects set state = 'in_doubt'
where execution_id = %(execution_id)s and connector = %(connector)s and operation = %(operation)s
    and arguments_digest = %(arguments_digest)s and occurrence = %(occurrence)s and state = 'intent'
returning state
