-- What an upgrade of the database asks first, of the schema of any release.

-- name: unfinished
select count(*) as all, count(*) filter (where class = 'durable') as durable
from executions
where state in ('Pending', 'Running')
