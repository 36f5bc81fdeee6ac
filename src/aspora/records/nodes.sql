-- Nodes: executor processes and their leases. All times are the database's, so that no two clocks are compared.

-- name: register_node
insert into nodes (id, role, host, pid, version, lease_expires_at)
values (%(id)s, %(role)s, %(host)s, %(pid)s, %(version)s, now() + make_interval(secs => %(ttl_seconds)s))
returning epoch

-- name: renew_node
-- A lease that ran out is not renewed: others may have taken its work by now.
update nodes
set lease_expires_at = now() + make_interval(secs => %(ttl_seconds)s), classes = %(classes)s
where id = %(id)s and epoch = %(epoch)s and stopped_at is null and lease_expires_at > now()
returning now() as renewed_at

-- name: present_instant
select clock_timestamp() as at

-- name: stop_node
update nodes set stopped_at = now() where id = %(id)s and epoch = %(epoch)s and stopped_at is null

-- name: live_nodes
select id from live_nodes

-- name: live_with_class
select count(*) from live_nodes where %(class)s = any(classes)

-- name: list_nodes
select *, stopped_at is null and lease_expires_at > now() as alive
from nodes
where stopped_at is null or stopped_at > now() - interval '1 day'
order by started_at desc
limit %(limit)s

-- name: get_node
select *, stopped_at is null and lease_expires_at > now() as alive from nodes where id = %(id)s

-- name: forget_dead_nodes
-- A node stays for as long as a row may still name it as its owner.
delete from nodes as n
where greatest(n.lease_expires_at, coalesce(n.stopped_at, n.lease_expires_at)) < now() - interval '7 days'
    and not exists (select from executions as e where e.state = 'Running' and e.owner_node = n.id)
