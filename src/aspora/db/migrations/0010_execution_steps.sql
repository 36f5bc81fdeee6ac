-- compatible-with: 0008
-- Steps of durable executions: what a handler or a model gave is kept by whoever owns the execution, and by nobody else.
-- Owned by aspora.records.

create table execution_steps (
    execution_id text collate "C" not null,
    day          date             not null,
    key          text             not null,
    attempt      integer          not null,
    outcome      json             not null,
    created_at   timestamptz      not null default now(),
    primary key (execution_id, key, day)
) partition by range (day);
create table execution_steps_default partition of execution_steps default;
comment on table execution_steps is
    'What a step of an execution gave: {value} or {failed: {reason, message}}; it answers a rerun in the place of the step.';
comment on column execution_steps.day is 'The day of its execution.';
comment on column execution_steps.attempt is 'The attempt that did it.';

select aspora_ensure_day_partitions('execution_steps', (now() at time zone 'UTC')::date, 4);
