-- The effect journal in day partitions, like the executions its rows hang on; each row carries the attempt that owns it.
-- A model call tells whether whoever made it still owned the execution. Owned by aspora.records.

alter table effects rename to effects_before_days;
alter index effects_pkey rename to effects_before_days_pkey;

create table effects (
    execution_id     text collate "C" not null,
    day              date             not null,
    connector        text             not null,
    operation        text             not null,
    arguments_digest text             not null,
    occurrence       integer          not null check (occurrence >= 0),
    state            text             not null check (state in ('intent', 'done', 'in_doubt')),
    is_write         boolean          not null default true,
    idempotent       boolean          not null,
    attempt          integer          not null,
    owner_epoch      bigint           not null,
    result           json,
    result_ref       text,
    failure          json,
    created_at       timestamptz      not null default now(),
    finished_at      timestamptz,
    primary key (execution_id, connector, operation, arguments_digest, occurrence, day)
) partition by range (day);
create table effects_default partition of effects default;
comment on table effects is
    'Journal of host calls: a finished effect answers a rerun, a write left in doubt is never repeated without an idempotency key.';
comment on column effects.day is 'The day of its execution.';
comment on column effects.idempotent is 'Repeating it does no harm: it only reads, or carries an idempotency key.';
comment on column effects.failure is 'Why the finished call has no result: {reason, message}; told again on a rerun.';

insert into effects (
    execution_id, day, connector, operation, arguments_digest, occurrence, state, is_write, idempotent, attempt,
    owner_epoch, result, created_at, finished_at
)
select
    execution_id, to_date(substring(execution_id from 6 for 8), 'YYYYMMDD'), connector, operation, arguments_digest,
    occurrence, state, not idempotent, idempotent, 0, owner_epoch, result, created_at, finished_at
from effects_before_days;
drop table effects_before_days;

alter table model_calls add column fenced boolean not null default false;
comment on column model_calls.fenced is
    'Whoever made the call no longer owned the execution when its price was written: spent, and of no use.';

select aspora_ensure_day_partitions('effects', (now() at time zone 'UTC')::date, 4);
