"""Bugs to plant into the server, one at a time, each with the tests of which one must notice it.

Each is the removal of a guard that a guarantee stands on. `edits` are exact pieces of the server's source that occur
once; a change of that source has to change the bug as well, which `test_every_bug_can_be_planted` says at once.
"""

from __future__ import annotations

from dataclasses import dataclass

PAIRS = "tests/store/test_every_pair.py"
MEETINGS = "tests/store/test_interleavings.py"


@dataclass(frozen=True)
class Edit:
    """In `file` (below the server's package) `old` becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Bug:
    """What was forgotten, the guarantee that breaks, where to edit, and the tests that are asked."""

    name: str
    guarantee: str
    edits: tuple[Edit, ...]
    asked: tuple[str, ...]


ENGINE_SQL = "store/queries/engine.sql"
SESSIONS_SQL = "store/queries/sessions.sql"
STEP = "operations/step_runs.py"
REPORTS = "operations/reports.py"
WITHDRAWN = (
    "using unnest($1::uuid[], $2::integer[], $3::integer[]) as w (dag_run_id, task_index, map_index)\n"
    "where q.dag_run_id = w.dag_run_id and q.task_index = w.task_index and w.map_index in (-1, q.map_index)"
)
NEWEST_VERSION = (
    "(select v.dag_version_id from dag_version v where v.namespace = r.namespace and v.dag_id = r.dag_id "
    "order by v.dag_version_number desc limit 1) as dag_version_id"
)

BUGS = (
    Bug(
        "a result is accepted without its attempt number",
        "I4",
        (Edit(ENGINE_SQL, "      and l.attempt_number = r.attempt_number and (r.judged", "      and (r.judged"),),
        (MEETINGS, PAIRS, "tests/faults/test_links.py"),
    ),
    Bug(
        "late results are not fenced: they are answered as accepted, and their outputs are stored",
        "I4",
        (
            Edit(
                REPORTS, "    await write_outputs(connection, ended)\n", "    await write_outputs(connection, first)\n"
            ),
            Edit(REPORTS, "else Verdict.FENCED)", "else Verdict.ACCEPTED)"),
        ),
        (MEETINGS, PAIRS, "tests/faults/test_links.py"),
    ),
    Bug(
        "the reaper judges right after it slept",
        "I9",
        (
            Edit("loops/lease_reaper.py", "return monotonic() - begun <= self.stall_seconds", "return True"),
            Edit(
                "loops/lease_reaper.py",
                "return begun - self.awake_since >= self.engine.settings.lease_ttl_seconds",
                "return True",
            ),
        ),
        ("tests/faults/test_database.py",),
    ),
    Bug(
        "sessions expire without a lock on their rows",
        "I3",
        (
            Edit(
                SESSIONS_SQL,
                "where state = 'open' and lease_expire_time < glidepath_now()\norder by session_id\nlimit $1\n"
                "for update skip locked;",
                "where state = 'open' and lease_expire_time < glidepath_now()\norder by session_id\nlimit $1;",
            ),
        ),
        (MEETINGS, PAIRS),
    ),
    Bug(
        "the holders of a limit are counted in the statement that locks it",
        "I13",
        (
            Edit("operations/claims.py", "        await store.lock_limits(connection, locked)\n", ""),
            Edit(
                ENGINE_SQL,
                "as started\nfrom concurrency_limit c\nwhere c.limit_id = any($1::bigint[]);",
                "as started\nfrom concurrency_limit c\nwhere c.limit_id = any($1::bigint[]) order by c.limit_id\n"
                "for no key update;",
            ),
        ),
        (MEETINGS, PAIRS),
    ),
    Bug(
        "a lost attempt keeps its slot",
        "I13",
        (
            Edit(
                ENGINE_SQL,
                "    where h.dag_run_id = g.dag_run_id and h.task_index = g.task_index and h.map_index = g.map_index\n"
                "    returning h.limit_id",
                "    where h.dag_run_id = g.dag_run_id and h.task_index = g.task_index and h.map_index = g.map_index\n"
                "      and ($7::text[])[g.ord] <> 'lost'\n    returning h.limit_id",
            ),
        ),
        (PAIRS,),
    ),
    Bug(
        "results are acknowledged before the commit",
        "I6",
        (
            Edit(
                "loops/engine.py",
                "                committing = True\n",
                "                for report, verdict in outcome.acks:\n"
                "                    if report.origin is not None:\n"
                "                        report.origin.acknowledge([(report, verdict)])\n"
                "                outcome.acks.clear()\n"
                "                await asyncio.sleep(0.1)\n"
                "                committing = True\n",
            ),
        ),
        ("tests/faults/test_crash_points.py",),
    ),
    Bug(
        "a run takes its DAG's newest version instead of its own",
        "I15",
        tuple(
            Edit(
                ENGINE_SQL,
                f"-- name: {statement}\n{comment}\nselect r.dag_run_id, r.dag_version_id,",
                f"-- name: {statement}\nselect r.dag_run_id, {NEWEST_VERSION},",
            )
            for statement, comment in (
                (
                    "lock_runs",
                    "-- The runs of a batch that nobody else holds, ordered by id, with the step's one `now`.",
                ),
                ("lock_run_waiting", "-- One run, waiting for whoever holds it (lock_timeout is set by the caller)."),
                ("run_facts", "-- What of a run never changes."),
            )
        ),
        ("tests/faults/test_pinned_code.py",),
    ),
    Bug(
        "an attempt that was lost forgets how many tries there were",
        "I8",
        (Edit(REPORTS, '        row["tries"],\n', '        0 if outcome is AttemptState.LOST else row["tries"],\n'),),
        ("tests/store/test_bounds_of_starts.py",),
    ),
    Bug(
        "direct hand-off passes by the limits of a class",
        "I13",
        (
            Edit(
                "operations/claims.py",
                "if release.at is None and not self.pullers.is_limited(needs):",
                "if release.at is None:",
            ),
        ),
        ("tests/store/test_bounds_of_starts.py",),
    ),
    Bug(
        "withdrawing steps over rows that a claim holds",
        "I19",
        (
            Edit(
                ENGINE_SQL,
                f"delete from task_queue q\n{WITHDRAWN}",
                "delete from task_queue q where q.ctid = any(array(select t.ctid from task_queue t\n"
                "join unnest($1::uuid[], $2::integer[], $3::integer[]) as w (dag_run_id, task_index, map_index)\n"
                "on t.dag_run_id = w.dag_run_id and t.task_index = w.task_index and w.map_index in (-1, t.map_index)\n"
                "for update of t skip locked))",
            ),
        ),
        (MEETINGS, PAIRS),
    ),
    Bug(
        "an event of the inbox is deleted and not stepped",
        "I12",
        (
            Edit(
                STEP,
                "reversed(await self._known(connection, taken))",
                "reversed(await self._known(connection, taken[1:]))",
            ),
        ),
        ("tests/store/test_blame.py", "tests/store/test_patient_lane.py"),
    ),
)
