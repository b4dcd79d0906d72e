"""The guards of facts and alerts; see guards.py."""

from __future__ import annotations

from guards import Guard, code, sql

ALERTS = "tests/store/test_alerts.py::test_"
RULES = "tests/unit/test_alert_rules.py::test_"

ALERT_GUARDS = (
    Guard(
        "read_facts: only below the oldest running transaction",
        (sql("read_facts", " and written < pg_snapshot_xmin(pg_current_snapshot())", of="alerts"),),
        ALERTS + "a_fact_of_an_older_transaction_is_not_passed_by",
    ),
    Guard(
        "hold_reader: one replica routes at a time",
        (sql("hold_reader", " for update skip locked", of="alerts"),),
        ALERTS + "two_replicas_route_each_fact_once",
    ),
    Guard(
        "open_groups: nothing joins an alert whose time is over",
        (sql("open_groups", " and close_time > $4", " and $4::timestamptz is not null", of="alerts"),),
        ALERTS + "facts_join_no_alert_whose_time_is_over",
    ),
    Guard(
        "claim: of a group only what is first",
        (sql("claim", "e.alert_number < d.alert_number", "e.alert_number < -d.alert_number", of="alerts"),),
        ALERTS + "a_channel_that_fails_for_half_an_hour_gets_all_of_it_in_order",
    ),
    Guard(
        "claim: not what somebody is at",
        (sql("claim", "(claimed_until is null or claimed_until <= $3)", "true", of="alerts"),),
        ALERTS + "the_word_of_a_try_counts_while_no_later_one_has_begun",
    ),
    Guard(
        "settle: the word of the newest try alone",
        (sql("settle", "attempt_count = $2", "attempt_count >= $2", of="alerts"),),
        ALERTS + "the_word_of_a_try_counts_while_no_later_one_has_begun",
    ),
    Guard(
        "settle: once",
        (sql("settle", "and state in ('pending', 'retrying') and claimed_until is not null", "", of="alerts"),),
        ALERTS + "the_word_of_a_try_counts_while_no_later_one_has_begun",
    ),
    Guard(
        "resend: what is dead alone",
        (sql("resend", " and state = 'dead'", of="alerts"),),
        ALERTS + "a_resent_alert_has_all_its_tries_again",
    ),
    Guard(
        "prune_facts: not what was not routed",
        (
            sql(
                "prune_facts",
                "and (o.written, o.fact_id) <= all (select r.written, r.fact_id from outbox_reader r)",
                of="alerts",
            ),
        ),
        ALERTS + "what_nobody_wants_is_passed_over_and_forgotten_after_its_retention",
    ),
    Guard(
        "fact_of_end: a run that had failed and is failed still has told it",
        (code("core/facts.py", " or board.state is was:", ":"),),
        RULES + "which_ends_of_runs_are_told",
    ),
)
