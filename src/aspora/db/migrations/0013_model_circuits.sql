-- compatible-with: 0008
-- Upstreams of models that are left alone for a while, shared by all processes that call models. Owned by
-- aspora.circuits. A row is there only while something is wrong.

create sequence model_circuit_turns;

create table model_circuits (
    provider    text        not null,
    base_url    text        not null,
    model       text        not null default '',
    turn        bigint      not null default nextval('model_circuit_turns'),
    number      integer     not null,
    open_until  timestamptz not null,
    holder      text,
    probe_until timestamptz,
    primary key (provider, base_url, model)
);
comment on column model_circuits.model is 'Empty: the whole upstream, for its faults; else one model there, for its limit of rates.';
comment on column model_circuits.turn is 'Another one with each opening and each claim: who speaks of an older one is not heard.';
comment on column model_circuits.number is 'How often in a row it opened.';
comment on column model_circuits.open_until is 'Until then nobody calls; from then on the holder of the probe alone.';
comment on column model_circuits.holder is 'Which process probes, until probe_until.';
