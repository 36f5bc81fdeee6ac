-- Records of the data plane: executions with their events and model calls (day partitions), nodes, effects, idempotency
-- keys. Owned by aspora.records.
--
-- `day` is the UTC day inside the execution's id (EXEC-YYYYMMDDHHMMSS-xxxxxxxx), so whoever knows the id knows the
-- partition. The rows that hang on an execution carry its day, not their own.

-- What people and programs gave or got is kept as json, which keeps the order of keys; what we merge is jsonb.

create sequence node_epochs;

create table nodes (
    id               text primary key,
    epoch            bigint      not null default nextval('node_epochs') unique,
    role             text        not null,
    host             text        not null,
    pid              integer     not null,
    version          text        not null,
    classes          text[]      not null default '{}',
    started_at       timestamptz not null default now(),
    lease_expires_at timestamptz not null,
    stopped_at       timestamptz
);
comment on column nodes.classes is 'Classes of execution the node takes by now: inline, durable.';
create index nodes_alive on nodes (lease_expires_at) where stopped_at is null;

create table executions (
    id                  text collate "C" not null,
    day                 date             not null,
    domain              text             not null,
    skill               text             not null,
    revision            text             not null,
    environment         text             not null,
    class               text             not null check (class in ('inline', 'durable')),
    input               json,
    input_ref           text,
    caller              text             not null,
    trigger             jsonb            not null default '{}',
    created_at          timestamptz      not null,
    deadline            timestamptz      not null,
    state               text             not null default 'Pending'
                        check (state in ('Pending', 'Running', 'Succeeded', 'Failed', 'Cancelled')),
    reason              text             not null default '',
    message             text             not null default '',
    result              json,
    result_ref          text,
    owner_node          text,
    owner_epoch         bigint,
    attempt             integer          not null default 0,
    driver              text             not null default '',
    started_at          timestamptz,
    finished_at         timestamptz,
    cancel_requested_at timestamptz,
    cost_micro_usd      bigint           not null default 0,
    input_tokens        bigint           not null default 0,
    output_tokens       bigint           not null default 0,
    stages              jsonb            not null default '{}',
    primary key (id, day)
) partition by range (day);
create table executions_default partition of executions default;

create index executions_by_time on executions (created_at desc, id desc);
create index executions_by_skill on executions (domain, skill, created_at desc, id desc);
create index executions_pending on executions (class, created_at) where state = 'Pending';
create index executions_running on executions (owner_node) where state = 'Running';

create sequence execution_event_ids;
create table execution_events (
    execution_id text collate "C" not null,
    day          date             not null,
    xid          xid8             not null default pg_current_xact_id(),
    id           bigint           not null default nextval('execution_event_ids'),
    attempt      integer          not null,
    at           timestamptz      not null,
    type         text             not null,
    data         json             not null default '{}',
    primary key (execution_id, xid, id, day)
) partition by range (day);
create table execution_events_default partition of execution_events default;
comment on column execution_events.xid is
    'Writer''s transaction. A tail that stops before the oldest open transaction misses no event, whatever the order of commits.';

create sequence model_call_ids;
create table model_calls (
    execution_id   text collate "C" not null,
    day            date             not null,
    id             bigint           not null default nextval('model_call_ids'),
    attempt        integer          not null,
    at             timestamptz      not null,
    alias          text             not null,
    provider       text             not null,
    upstream       text             not null,
    outcome        text             not null,
    input_tokens   bigint           check (input_tokens >= 0),
    output_tokens  bigint           check (output_tokens >= 0),
    cost_micro_usd bigint           check (cost_micro_usd >= 0),
    cost_source    text             not null,
    duration_ms    double precision not null,
    primary key (execution_id, id, day)
) partition by range (day);
create table model_calls_default partition of model_calls default;
comment on table model_calls is 'One row for each request that went out; tokens and cost are null where nobody knows them.';

create table effects (
    execution_id     text collate "C" not null,
    connector        text             not null,
    operation        text             not null,
    arguments_digest text             not null,
    occurrence       integer          not null check (occurrence >= 0),
    state            text             not null check (state in ('intent', 'done', 'in_doubt')),
    idempotent       boolean          not null,
    result           json,
    owner_epoch      bigint           not null,
    created_at       timestamptz      not null default now(),
    finished_at      timestamptz,
    primary key (execution_id, connector, operation, arguments_digest, occurrence)
);
comment on table effects is
    'Journal of host calls: a finished effect answers a rerun, a write left in doubt is never repeated without an idempotency key.';

create table idempotency_keys (
    caller       text        not null,
    domain       text        not null,
    skill        text        not null,
    key          text        not null,
    body_digest  text        not null,
    execution_id text        not null,
    expires_at   timestamptz not null,
    primary key (caller, domain, skill, key)
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);

select aspora_ensure_day_partitions(parent, (now() at time zone 'UTC')::date, 4)
from unnest(array['executions', 'execution_events', 'model_calls']::regclass[]) as parent;
