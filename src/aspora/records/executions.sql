-- Executions: one row each, from Pending over Running to an end. Every change is guarded by the state it starts from, and
-- what a node does also by its epoch and attempt and by its lease, so that a fenced node's word counts for nothing.
-- Every instant is the database's; what others bring along is a length of time.

-- name: insert_execution
-- The gateway's clock may be wrong: only the time between its two instants counts. The day inside the id is the
-- partition, so it may lie no more than one beside the database's; else nothing is written.
with inserted as (
    insert into executions (
        id, day, domain, skill, revision, environment, class, input, input_ref, caller, trigger, created_at, deadline,
        stages
    )
    select %(id)s, %(day)s, %(domain)s, %(skill)s, %(revision)s, %(environment)s, %(class)s, %(input)s::json,
        %(input_ref)s, %(caller)s, %(trigger)s::jsonb, now(), now() + make_interval(secs => %(allowed_seconds)s),
        %(stages)s::jsonb
    where %(any_day)s
        or %(day)s::date between (now() at time zone 'UTC')::date - 1 and (now() at time zone 'UTC')::date + 1
    on conflict (id, day) do nothing
    returning id, day, created_at
)
insert into execution_events (execution_id, day, attempt, at, type, data)
select id, day, 0, created_at, 'Created', %(event)s::json
from inserted cross join lateral aspora_audit(%(audit)s::jsonb)
returning execution_id

-- name: present_instant
select now() as at

-- name: claim_inline
-- The day before yesterday still counts: a row's day lies at most one before that of its insertion, and nothing inline
-- waits for longer than a day.
with picked as (
    select id, day from executions
    where state = 'Pending' and class = 'inline' and deadline > now()
        and day >= (now() at time zone 'UTC')::date - 2
        and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
    order by created_at
    limit %(limit)s
    for update skip locked
)
update executions as e
set state = 'Running', owner_node = %(node)s, owner_epoch = %(epoch)s, attempt = e.attempt + 1, started_at = now()
from picked
where e.id = picked.id and e.day = picked.day
    and e.day >= (now() at time zone 'UTC')::date - 2
returning e.*, extract(epoch from clock_timestamp() - e.created_at)::float8 * 1000 as queued_ms

-- name: claim_durable
-- Taking over from Running is right: the workflow engine has fenced the owner before, or it is gone. A claim of the owner
-- itself repeats one whose answer was lost: a new attempt, so that the one before is fenced, but nothing was recovered.
with before as (
    select id, day, state, owner_node, owner_epoch, attempt from executions
    where id = %(id)s and day = %(day)s and class = 'durable' and state in ('Pending', 'Running')
        and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
    for update
), told as (
    insert into execution_events (execution_id, day, attempt, at, type, data)
    select b.id, b.day, b.attempt, now(), 'Recovered', json_build_object(
        'reason', case when lost.stopped_at is null then 'NodeLost' else 'NodeStopped' end,
        'node', b.owner_node, 'by', %(node)s::text,
        'message', format('node %%s %%s during attempt %%s; node %%s begins attempt %%s', b.owner_node,
            case when lost.stopped_at is null then 'stopped answering' else 'was stopped' end, b.attempt,
            %(node)s::text, b.attempt + 1))
    from before as b left join nodes as lost on lost.id = b.owner_node
    where b.state = 'Running' and (b.owner_node, b.owner_epoch) is distinct from (%(node)s::text, %(epoch)s::bigint)
)
update executions as e
set state = 'Running', owner_node = %(node)s, owner_epoch = %(epoch)s, attempt = e.attempt + 1,
    started_at = coalesce(e.started_at, now())
from before
where e.id = before.id and e.day = before.day
returning e.*, extract(epoch from clock_timestamp() - e.created_at)::float8 * 1000 as queued_ms

-- name: finish_execution
-- The events always hold at least one, so a row comes back if and only if the guard let the update through. The stage
-- `finish` lasts from the work's end to here; only the flush of this very commit can't be in it.
with done as (
    update executions
    set state = %(state)s, reason = %(reason)s, message = %(message)s, result = %(result)s::json,
        result_ref = %(result_ref)s, driver = %(driver)s,
        stages = stages || %(stages)s::jsonb || jsonb_build_object('finish', greatest(0, round(
            extract(epoch from clock_timestamp() - %(finished_at)s::timestamptz) * 1000, 1
        ))),
        finished_at = %(finished_at)s
    where id = %(id)s and day = %(day)s and state = 'Running'
        and owner_node = %(node)s and owner_epoch = %(epoch)s and attempt = %(attempt)s
        and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
    returning id, day, attempt
)
insert into execution_events (execution_id, day, attempt, at, type, data)
select done.id, done.day, done.attempt, e.at, e.type, e.data
from done, json_to_recordset(%(events)s::json) as e (at timestamptz, type text, data json)
returning id

-- name: release_execution
-- A node that stops gives back what it could not finish.
with released as (
    update executions
    set state = 'Pending', owner_node = null, owner_epoch = null
    where id = %(id)s and day = %(day)s and state = 'Running' and class = 'inline'
        and owner_node = %(node)s and owner_epoch = %(epoch)s and attempt = %(attempt)s
        and exists (select from live_nodes as n where n.id = %(node)s and n.epoch = %(epoch)s)
    returning id, day, attempt
)
insert into execution_events (execution_id, day, attempt, at, type, data)
select id, day, attempt, now(), 'Requeued',
    json_build_object('reason', 'NodeStopping', 'node', %(node)s::text, 'message', 'its node was asked to stop')
from released
returning id

-- name: reap_lost
-- Durable executions come back through their workflow, unless it is too late for them or somebody cancelled them. What
-- ends here with a write begun and never told of ends in doubt.
with lost as (
    select e.id, e.day, e.owner_node as node,
        exists (
            select from effects as f
            where f.execution_id = e.id and f.day = e.day and f.state in ('intent', 'in_doubt') and not f.idempotent
        ) as in_doubt,
        case when e.cancel_requested_at is not null then 'Cancelled'
            when e.deadline <= now() then 'Failed'
            else 'Pending' end as next
    from executions as e
    where e.state = 'Running'
        and not exists (select from live_nodes as n where n.id = e.owner_node and n.epoch = e.owner_epoch)
        and (e.class = 'inline' or e.deadline <= now() or e.cancel_requested_at is not null)
    limit %(limit)s
    for update of e skip locked
), doubted as (
    update effects as f set state = 'in_doubt'
    from lost
    where f.execution_id = lost.id and f.day = lost.day and f.state = 'intent' and lost.next <> 'Pending'
), moved as (
    update executions as e
    set state = lost.next,
        reason = case
            when lost.next = 'Failed' and lost.in_doubt then 'EffectInDoubt'
            when lost.next = 'Failed' then 'NodeLost'
            when lost.next = 'Cancelled' then 'Cancelled'
            else '' end,
        message = case
            when lost.next = 'Pending' then ''
            when lost.in_doubt then format(
                'node %%s stopped answering during attempt %%s with a write begun; whether that was done is unknown:'
                ' look before you run it again', lost.node, e.attempt)
            when lost.next = 'Failed'
                then format('node %%s stopped answering during attempt %%s and the deadline has passed', lost.node, e.attempt)
            else 'cancelled; its node was lost meanwhile' end,
        owner_node = case when lost.next = 'Pending' then null else e.owner_node end,
        owner_epoch = case when lost.next = 'Pending' then null else e.owner_epoch end,
        finished_at = case when lost.next = 'Pending' then null else now() end
    from lost
    where e.id = lost.id and e.day = lost.day
    returning e.id, e.day, e.attempt, e.state, e.reason, lost.node
), told as (
    insert into execution_events (execution_id, day, attempt, at, type, data)
    select id, day, attempt, now(),
        case when state = 'Pending' then 'Requeued' else 'Finished' end,
        json_build_object('state', state, 'reason', 'NodeLost', 'node', node, 'message',
            format('node %%s stopped answering during attempt %%s', node, attempt))
    from moved
)
select id, state from moved

-- name: expire_pending
with late as (
    select id, day from executions
    where state = 'Pending' and deadline <= now()
    limit %(limit)s
    for update skip locked
), moved as (
    update executions as e
    set state = 'Failed', reason = 'DeadlineExceeded', finished_at = now(),
        message = 'no executor took it before its deadline; look at the nodes with ''aspora get nodes'''
    from late
    where e.id = late.id and e.day = late.day
    returning e.id, e.day, e.attempt
), told as (
    insert into execution_events (execution_id, day, attempt, at, type, data)
    select id, day, attempt, now(), 'Finished', '{"state": "Failed", "reason": "DeadlineExceeded"}'::json from moved
)
select id, 'Failed' as state from moved

-- name: expire_running
-- A living node ends its work at the deadline. What is still running well after it was claimed by an answer that got
-- lost, or its end was: nobody works on it. Durable executions come back through their workflow.
with late as (
    select id, day, case when cancel_requested_at is not null then 'Cancelled' else 'Failed' end as next
    from executions
    where state = 'Running' and class = 'inline' and deadline + make_interval(secs => %(margin_seconds)s) <= now()
    limit %(limit)s
    for update skip locked
), moved as (
    update executions as e
    set state = late.next, finished_at = now(),
        reason = case late.next when 'Failed' then 'DeadlineExceeded' else 'Cancelled' end,
        message = case late.next
            when 'Failed' then format('node %%s wrote no end of attempt %%s until its deadline', e.owner_node, e.attempt)
            else 'cancelled; its node wrote no end' end
    from late
    where e.id = late.id and e.day = late.day
    returning e.id, e.day, e.attempt, e.state, e.reason
), told as (
    insert into execution_events (execution_id, day, attempt, at, type, data)
    select id, day, attempt, now(), 'Finished', json_build_object('state', state, 'reason', reason) from moved
)
select id, state from moved

-- name: request_cancel
-- What waits ends here; what runs is ended by its node, which sees the mark.
with asked as (
    update executions
    set cancel_requested_at = coalesce(cancel_requested_at, now()),
        reason = case when state = 'Pending' then 'Cancelled' else reason end,
        message = case when state = 'Pending' then 'cancelled before it ran' else message end,
        finished_at = case when state = 'Pending' then now() else finished_at end,
        state = case when state = 'Pending' then 'Cancelled' else state end
    where id = %(id)s and day = %(day)s and domain = %(domain)s and state in ('Pending', 'Running')
    returning id, day, attempt, state
), told as (
    insert into execution_events (execution_id, day, attempt, at, type, data)
    select id, day, attempt, now(), 'CancelRequested', json_build_object('by', %(caller)s::text) from asked
    union all
    select id, day, attempt, now(), 'Finished', '{"state": "Cancelled", "reason": "Cancelled"}'::json from asked
    where state = 'Cancelled'
)
select asked.state from asked cross join lateral aspora_audit(%(audit)s::jsonb)

-- name: cancel_requested
select id from executions
where state = 'Running' and owner_node = %(node)s and cancel_requested_at is not null

-- name: get_execution
select * from executions where id = %(id)s and day = %(day)s

-- name: ended_among
select * from executions
where id = any(%(ids)s) and day = any(%(days)s) and state in ('Succeeded', 'Failed', 'Cancelled')

-- name: with_prefix
select * from executions
where day between %(first_day)s and %(last_day)s
    and id >= %(prefix)s and id < %(prefix)s || '~'
    and (%(domains)s::text[] is null or domain = any(%(domains)s))
order by id
limit %(limit)s

-- name: list_executions
-- The day inside an id is the gateway's: it may lie one beside the database's.
select * from executions
where (%(domains)s::text[] is null or domain = any(%(domains)s))
    and (%(skill)s::text is null or skill = %(skill)s)
    and (%(states)s::text[] is null or state = any(%(states)s))
    and (%(since)s::timestamptz is null
        or (created_at >= %(since)s and day >= (%(since)s::timestamptz at time zone 'UTC')::date - 1))
    and (%(before)s::timestamptz is null
        or ((created_at, id) < (%(before)s, %(before_id)s)
            and day <= (%(before)s::timestamptz at time zone 'UTC')::date + 1))
order by created_at desc, id desc
limit %(limit)s

-- name: record_model_call
-- The money is spent whoever owns the execution by now, so nothing guards this; but a call of no use is marked.
with called as (
    insert into model_calls (
        execution_id, day, attempt, at, alias, provider, upstream, outcome, input_tokens, output_tokens,
        cost_micro_usd, cost_source, duration_ms, fenced
    )
    select %(id)s, %(day)s, %(attempt)s, %(at)s, %(alias)s, %(provider)s, %(upstream)s, %(outcome)s, %(input_tokens)s,
        %(output_tokens)s, %(cost_micro_usd)s, %(cost_source)s, %(duration_ms)s, not exists (
            select from executions as e join live_nodes as n on n.id = e.owner_node and n.epoch = e.owner_epoch
            where e.id = %(id)s and e.day = %(day)s and e.state = 'Running' and e.attempt = %(attempt)s
                and e.owner_node = %(node)s and e.owner_epoch = %(epoch)s
        )
    returning input_tokens, output_tokens, cost_micro_usd
)
update executions as e
set cost_micro_usd = e.cost_micro_usd + coalesce(called.cost_micro_usd, 0),
    input_tokens = e.input_tokens + coalesce(called.input_tokens, 0),
    output_tokens = e.output_tokens + coalesce(called.output_tokens, 0)
from called
where e.id = %(id)s and e.day = %(day)s

-- name: list_model_calls
select * from model_calls where execution_id = %(id)s and day = %(day)s order by id
