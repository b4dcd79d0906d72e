-- The priority of a run's queued work, as an operator changes it.

-- name: lock_run
-- The run's row, as a step holds it: no step releases anything of the run before our commit.
select dag_version_id, priorities from dag_run where namespace = $1 and dag_run_id = $2 for no key update;

-- name: set_priorities
update dag_run set priorities = $2 where dag_run_id = $1;

-- name: reorder
-- What waits moves in its queue's order by what its priority has changed. A row that a claim holds is waited for: that it
-- was claimed is seen then. $4: what a point of priority is worth in the order.
with wanted as (
    select u.task_index, u.priority from unnest($2::integer[], $3::smallint[]) as u (task_index, priority)
)
update task_queue q
set order_key = q.order_key + (q.priority - w.priority) * $4::double precision, priority = w.priority
from wanted w
where q.dag_run_id = $1 and q.task_index = w.task_index and q.priority <> w.priority;
