-- What becomes of the records of a backup: see restored.py.

-- name: blob_digests
select input_ref as digest from executions where input_ref is not null
union
select result_ref from executions where result_ref is not null

-- name: stop_nodes
update nodes set stopped_at = now() where stopped_at is null

-- name: jump_node_epochs
select setval('node_epochs', greatest(last_value, %(former)s::bigint) + 1000) from node_epochs

-- name: doubt_intents
update effects set state = 'in_doubt' where state = 'intent'

-- name: end_unfinished
with ended as (
    update executions as e
    set state = 'Failed', finished_at = now(), owner_node = null, owner_epoch = null,
        reason = case when doubt.found then 'EffectInDoubt' else 'Restored' end,
        message = case when doubt.found
            then 'had begun a write when the backup was taken; whether that was done is unknown: look before you run it again'
            else 'was not finished when the backup was taken; whether it ran on after that is unknown: run it again if it did not'
            end
    from (
        select u.id, u.day, exists (
            select from effects as f
            where f.execution_id = u.id and f.state = 'in_doubt' and not f.idempotent
        ) as found
        from executions as u
        where u.state in ('Pending', 'Running')
    ) as doubt
    where e.id = doubt.id and e.day = doubt.day
    returning e.id, e.day, e.attempt, e.reason
), told as (
    insert into execution_events (execution_id, day, attempt, at, type, data)
    select id, day, attempt, now(), 'Finished', json_build_object('state', 'Failed', 'reason', reason) from ended
)
select count(*) from ended
