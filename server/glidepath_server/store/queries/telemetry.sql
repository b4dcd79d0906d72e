-- name: queue_depths
-- What waits in each queue, the fullest first: due, for its time, out of the way; and for how long the oldest that is due.
select q.namespace, q.queue_name,
       count(*) filter (where t.due and t.parked_on = 0)::bigint as due,
       count(*) filter (where not t.due and t.parked_on = 0)::bigint as later,
       count(*) filter (where t.parked_on <> 0)::bigint as parked,
       greatest(0, coalesce(extract(epoch from glidepath_now()
                            - min(t.available_time) filter (where t.due and t.parked_on = 0)), 0))::double precision as oldest
from task_queue t join queue q using (queue_id)
group by q.namespace, q.queue_name
order by count(*) desc, q.namespace, q.queue_name
limit $1;

-- name: clock_offset_max
select coalesce(max(abs(clock_offset_seconds)), 0) from worker_session where state = 'open';
