-- What happened to objects. A repeated event raises its row's count; a tail reads rows by their latest change.

-- name: record
select *, xid::text::bigint as changed_in from aspora_record_event(%(event)s::jsonb)

-- name: list_rows
-- Always at least one row: the place in history that a tail may begin at, and the rows as they are there.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as place, page.*
from (select) as one
left join lateral (
    select *, xid::text::bigint as changed_in from events
    where (%(domains)s::text[] is null or domain = any(%(domains)s))
        and (%(kind)s::text is null or regarding_kind = %(kind)s)
        and (%(name)s::text is null or regarding_name = %(name)s)
        and (%(uid)s::text is null or regarding_uid = %(uid)s)
        and (%(type)s::text is null or type = %(type)s)
        and (%(reason)s::text is null or reason = %(reason)s)
        and (%(controller)s::text is null or controller = %(controller)s)
        and (%(before)s::timestamptz is null or (last_at, id) < (%(before)s, %(before_id)s))
    order by last_at desc, id desc
    limit %(limit)s
) as page on true
order by page.last_at desc, page.id desc

-- name: tail_rows
-- Rows changed after the cursor that no other change can come before any more. Always at least one row: the place before
-- which everything was looked at, whatever the filter let through, if the limit did not end it.
select place.xid::text::bigint as place, page.*
from (select pg_snapshot_xmin(pg_current_snapshot()) as xid) as place
left join lateral (
    select *, xid::text::bigint as changed_in from events
    where (xid, seq) > (%(after_xid)s::bigint::text::xid8, %(after_seq)s)
        and xid < place.xid
        and (%(domains)s::text[] is null or domain = any(%(domains)s))
        and (%(kind)s::text is null or regarding_kind = %(kind)s)
        and (%(name)s::text is null or regarding_name = %(name)s)
        and (%(uid)s::text is null or regarding_uid = %(uid)s)
        and (%(type)s::text is null or type = %(type)s)
        and (%(reason)s::text is null or reason = %(reason)s)
        and (%(controller)s::text is null or controller = %(controller)s)
    order by xid, seq
    limit %(limit)s
) as page on true
order by page.xid, page.seq

-- name: read_place
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as place,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint as newest
