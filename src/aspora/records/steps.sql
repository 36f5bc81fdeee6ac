-- Steps of durable executions: what was done is kept once, by the attempt that owns the execution.

-- name: get_step
select outcome from execution_steps where execution_id = %(id)s and day = %(day)s and key = %(key)s

-- name: keep_step
-- Holds the execution's row still, as the effect journal does: whoever takes the execution over finds the step.
with owned as (
    select e.id, e.day from executions as e
    where e.id = %(id)s and e.day = %(day)s and e.state = 'Running'
        and e.owner_node = %(node)s and e.owner_epoch = %(epoch)s and e.attempt = %(attempt)s
        and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
    for share of e
), kept as (
    insert into execution_steps (execution_id, day, key, attempt, outcome)
    select id, day, %(key)s, %(attempt)s, %(outcome)s::json from owned
    on conflict (execution_id, key, day) do nothing
)
select id from owned
