"""The guards of what operators do, of the kind of guards.py."""

from __future__ import annotations

from guards import PAIR, STEP, Guard, code, sql

APPROVALS = "tests/api/test_approvals.py::test_"

OPERATOR_GUARDS = (
    Guard(
        "approval_answered, close_approvals: of the question that is open",
        (
            code("core/approving.py", " and moves.board.base(event.task) + 1 == event.attempt_number"),
            sql("close_approvals", " and a.state = 'open'", of="approvals"),
        ),
        PAIR + "[clear/answer@8-close_approvals]",
    ),
    Guard(
        "approval_expired: of a task that still asks",
        (code("core/approving.py", "moves.states[event.task] == WAITING and "),),
        PAIR + "[answer/run_out@4-commit]",
    ),
    Guard(
        "move: whatever moves a task that asks closes its question",
        (code("core/moves.py", "        if before == WAITING:\n            self._close_question(task, event)\n"),),
        PAIR + "[mark/claim@1-lock_run_waiting]",
    ),
    Guard(
        "close_question: what asks anew has another number",
        (code("core/moves.py", "            self.board.raise_base(task, number)\n", "            pass\n"),),
        PAIR + "[clear/answer@8-close_approvals]",
    ),
    Guard(
        "close_approvals: the question is an attempt in the history",
        (sql("close_approvals", "from closed\n), outputs", "from closed where false\n), outputs", of="approvals"),),
        PAIR + "[answer/claim@1-lock_run_waiting]",
    ),
    Guard(
        "hold_back: nothing paused is released, whatever has led to it",
        (code("core/advance.py", "    hold_back(step)\n"),),
        "tests/api/test_run_pauses.py::test_a_retry_that_falls_into_a_pause_keeps_its_count",
    ),
    Guard(
        "pause: takes back what is queued",
        (code("core/pausing.py", "if moves.states[task] == RELEASED and (task", "if False and (task"),),
        "tests/api/test_run_pauses.py::test_a_paused_run_starts_nothing_and_goes_on_when_it_is_resumed",
    ),
    Guard(
        "pause: what is live goes on",
        (
            code(
                STEP,
                "each for key, each in live.items() if each.event is not TaskEvent.HOLD}",
                "each for key, each in live.items()}",
            ),
        ),
        PAIR + "[pause/claim@1-lock_run_waiting]",
    ),
    Guard(
        "hold: tries go on where they were",
        (
            code(
                "core/moves.py",
                "            self.board.held[release.task] = release\n",
                "            pass\n",
            ),
        ),
        "tests/api/test_run_pauses.py::test_a_retry_that_falls_into_a_pause_keeps_its_count",
    ),
    Guard(
        "answer: the same again changes nothing",
        (
            code(
                "operations/approvals.py",
                "approval.state is DECIDED[answer.decision] and approval.answer == answer.values",
                "False",
            ),
        ),
        APPROVALS + "the_same_answer_again_changes_nothing_and_another_is_refused",
    ),
    Guard(
        "answer: by one of the approvers",
        (code("operations/approvals.py", "if spec.approvers and call.actor not in spec.approvers:", "if False:"),),
        APPROVALS + "only_the_approvers_may_answer",
    ),
    Guard(
        "decide: who rejects is not asked again by a retry of the run",
        (code("core/approving.py", "        if answer.by is not None:", "        if False:"),),
        APPROVALS + "a_rejection_is_no_reason_to_retry_the_run",
    ),
)
