-- What skills' executions say about their health. One aggregate for all skills.

-- name: count_ended
-- Over the executions that ended in the window; durations from acceptance to end.
select domain, skill,
    count(*) filter (where state = 'Succeeded') as succeeded,
    count(*) filter (where state = 'Failed') as failed,
    count(*) filter (where state = 'Cancelled') as cancelled,
    percentile_disc(array[0.5, 0.95]) within group (
        order by round(extract(epoch from finished_at - created_at) * 1000)::bigint
    ) filter (where state = 'Succeeded') as percentiles_ms,
    sum(cost_micro_usd)::bigint as cost_micro_usd,
    max(finished_at) filter (where state = 'Failed') as last_failed_at
from executions
where finished_at >= %(since)s and finished_at is not null
group by domain, skill

-- name: revisions_in_use
-- Each state that is no end by itself, so that its partial index serves.
select revision from executions where state = 'Pending' and domain = %(domain)s and skill = %(skill)s
union
select revision from executions where state = 'Running' and domain = %(domain)s and skill = %(skill)s
