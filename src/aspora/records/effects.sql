-- The effect journal: what a host call was about to do, and what it did.
--
-- Each change first holds the execution's row still (`for share`): whoever takes the execution over has to wait, and then
-- finds the change. It goes through only while the row names this node, epoch and attempt and the node's lease holds.

-- name: begin_effect
with owned as (
    select e.id, e.day from executions as e
    where e.id = %(id)s and e.day = %(day)s and e.state = 'Running'
        and e.owner_node = %(node)s and e.owner_epoch = %(epoch)s and e.attempt = %(attempt)s
        and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
    for share of e
), begun as (
    insert into effects (
        execution_id, day, connector, operation, arguments_digest, occurrence, state, is_write, idempotent, attempt,
        owner_epoch
    )
    select id, day, %(connector)s, %(operation)s, %(arguments_digest)s, %(occurrence)s, 'intent', %(is_write)s,
        %(idempotent)s, %(attempt)s, %(epoch)s
    from owned
    on conflict (execution_id, connector, operation, arguments_digest, occurrence, day) do nothing
    returning state
)
select exists (select from owned) as owned, exists (select from begun) as begun

-- name: get_effect
select state, attempt, idempotent, result, result_ref, failure from effects
where execution_id = %(id)s and day = %(day)s and connector = %(connector)s and operation = %(operation)s
    and arguments_digest = %(arguments_digest)s and occurrence = %(occurrence)s

-- name: retry_effect
-- A later attempt may repeat what is idempotent. An intent of this very attempt is one whose answer got lost.
with owned as (
    select e.id, e.day from executions as e
    where e.id = %(id)s and e.day = %(day)s and e.state = 'Running'
        and e.owner_node = %(node)s and e.owner_epoch = %(epoch)s and e.attempt = %(attempt)s
        and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
    for share of e
)
update effects as f set attempt = %(attempt)s, owner_epoch = %(epoch)s, state = 'intent'
from owned
where f.execution_id = owned.id and f.day = owned.day and f.connector = %(connector)s and f.operation = %(operation)s
    and f.arguments_digest = %(arguments_digest)s and f.occurrence = %(occurrence)s
    and f.state in ('intent', 'in_doubt') and (f.idempotent or f.attempt = %(attempt)s)
returning f.state

-- name: finish_effect
-- Writing the same end twice is allowed: the first answer may have got lost.
with owned as (
    select e.id, e.day from executions as e
    where e.id = %(id)s and e.day = %(day)s and e.state = 'Running'
        and e.owner_node = %(node)s and e.owner_epoch = %(epoch)s and e.attempt = %(attempt)s
        and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
    for share of e
)
update effects as f
set state = 'done', result = %(result)s::json, result_ref = %(result_ref)s, failure = %(failure)s::json,
    finished_at = now()
from owned
where f.execution_id = owned.id and f.day = owned.day and f.connector = %(connector)s and f.operation = %(operation)s
    and f.arguments_digest = %(arguments_digest)s and f.occurrence = %(occurrence)s
    and f.state in ('intent', 'done') and f.attempt = %(attempt)s
returning f.state

-- name: doubt_effects
-- All writes of attempts up to this one that were begun, have no end and may not be repeated.
with owned as (
    select e.id, e.day from executions as e
    where e.id = %(id)s and e.day = %(day)s and e.state = 'Running'
        and e.owner_node = %(node)s and e.owner_epoch = %(epoch)s and e.attempt = %(attempt)s
        and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
    for share of e
), doubted as (
    update effects as f set state = 'in_doubt'
    from owned
    where f.execution_id = owned.id and f.day = owned.day and f.attempt <= %(last_attempt)s
        and f.state in ('intent', 'in_doubt') and not f.idempotent
    returning f.connector, f.operation, f.attempt
)
select owned.id, doubted.connector, doubted.operation, doubted.attempt
from owned left join doubted on true

-- name: list_effects
select connector, operation, arguments_digest, occurrence, state, is_write, idempotent, attempt, failure, created_at,
    finished_at
from effects
where execution_id = %(id)s and day = %(day)s
order by created_at, connector, operation, occurrence
