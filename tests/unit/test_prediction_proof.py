"""Misses are predicted: on made-up runs whose ends are known, a small share of what docs/prediction.md has."""

from __future__ import annotations

import pytest

from tools.prediction_doc import PAGE, Score, scores, table, total

SEED = 20261127


def test_most_misses_are_predicted_early_and_few_others() -> None:
    found = scores(runs=20, seed=SEED, parts=8)
    ours, oracle, naive = (total(found, rule) for rule in ("Glidepath", "oracle", "elapsed over average"))
    assert ours.late >= 8
    assert ours.recall >= 0.9 * oracle.recall
    assert ours.false_share <= 0.2 < naive.false_share
    assert ours.lead >= 0.15


def test_the_page_has_a_table_of_the_shape_that_the_tool_writes() -> None:
    written = PAGE.read_text()
    made = table({"chain of 8": {"Glidepath": Score(late=1, on_time=1)}})
    assert made.splitlines()[0] in written


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_misses_are_predicted_as_well_as_by_who_knows_the_distributions() -> None:
    found = scores(runs=250, seed=SEED + 1)
    print(table(found))
    ours, oracle = total(found, "Glidepath"), total(found, "oracle")
    assert 0.15 <= ours.late / (ours.late + ours.on_time) <= 0.25
    assert ours.recall >= 0.9 * oracle.recall
    assert ours.false_share <= 0.1
    assert ours.lead >= 0.2
