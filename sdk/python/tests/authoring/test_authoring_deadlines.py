"""Deadlines as authors write them, in Python and in YAML."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest

from glidepath import AuthoringError, Deadline, InvalidDag, dag, load_dags, task
from glidepath.authoring.convert import deadlines_of, to_registration

WEEK = (0, 1, 2, 3, 4)


@task(deadline=Deadline.after_start("90m"))
def load() -> None: ...


@dag(
    deadlines=[
        Deadline.wall("09:15", zone="Asia/Kolkata", weekdays="mon-fri"),
        Deadline.after_interval_end(hours=2, minutes=30, name="fresh"),
        Deadline.after_queue("1d", group="prepare"),
    ]
)
def training() -> None:
    load()


YAML = """
training:
  deadlines:
    - {wall: "09:15", zone: Asia/Kolkata, weekdays: mon-fri}
    - {after_interval_end: 2h30m, name: fresh}
    - {after_queue: 1d, group: prepare}
  tasks:
    load: {shell: "true", deadline: {after_start: 90m}}
"""
EXPECTED = [
    Deadline("wall", clock="09:15", zone="Asia/Kolkata", weekdays=WEEK),
    Deadline("after_interval_end", timedelta(hours=2.5), name="fresh"),
    Deadline("after_queue", timedelta(days=1), group="prepare"),
    Deadline("after_start", timedelta(minutes=90), task="load"),
]


def from_yaml(folder: Path, text: str) -> Any:
    dag_id, _, rest = text.strip().partition(":\n")
    lines = [line[2:] for line in rest.splitlines()]
    file = folder / "dags.yml"
    file.write_text("\n".join([f"dag_id: {dag_id}", *lines]))
    return load_dags(file)


def test_deadlines_of_a_dag_and_its_tasks_travel_beside_the_spec(tmp_path: Path) -> None:
    (yaml,) = from_yaml(tmp_path, YAML).dags
    assert deadlines_of(training) == deadlines_of(yaml) == EXPECTED
    wall, fresh, prepare, of_task = to_registration(training).deadlines
    assert (wall.wall.clock, wall.wall.zone, tuple(wall.wall.weekdays)) == ("09:15", "Asia/Kolkata", WEEK)
    assert (fresh.after_interval_end.seconds, fresh.name) == (9000, "fresh")
    assert (prepare.after_queue.seconds, prepare.group_id) == (86_400, "prepare")
    assert (of_task.after_start.seconds, of_task.task_id) == (5400, "load")


@pytest.mark.parametrize(
    ("said", "days"),
    [
        ("", ()),
        ("mon-fri", WEEK),
        ("Monday, wed ,sat-sun", (0, 2, 5, 6)),
        (["fri", 0], (0, 4)),
        (range(2), (0, 1)),
        ("mon,mon-tue", (0, 1)),
    ],
)
def test_weekdays_are_ranges_names_or_numbers(said: Any, days: tuple[int, ...]) -> None:
    assert Deadline.wall(time(9, 15), zone="UTC", weekdays=said) == Deadline(
        "wall", clock="09:15", zone="UTC", weekdays=days
    )


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Deadline.wall("9:15", zone="UTC"), "wall is '9:15'; expected a local time"),
        (lambda: Deadline.wall("09:15", zone=""), "zone is ''; expected an IANA zone"),
        (lambda: Deadline.wall("09:15", zone="UTC", weekdays="fri-mon"), "weekdays has 'fri-mon'"),
        (lambda: Deadline.wall("09:15", zone="UTC", weekdays=[7]), "weekdays has 7"),
        (lambda: Deadline.after_start(0), "after_start is datetime.timedelta(0); expected a span above 0"),
        (lambda: Deadline.after_start(fortnights=1), "is no span"),
        (lambda: Deadline.after_start("1h", task="a", group="b"), "task and group are both given"),
        (lambda: dag(deadlines=Deadline.after_start("1h"))(training.function), "expected a list of deadlines"),
        (lambda: dag(deadlines=["6h"])(training.function), "deadlines[0] is '6h'; expected a Deadline"),
        (lambda: dag(deadlines=[{"after": "6h"}])(training.function), "deadlines[0] has no rule"),
        (lambda: dag(deadlines=[{"after_start": "6h", "zone": "UTC"}])(training.function), "unknown key 'zone'"),
        (lambda: task(deadline=Deadline.after_start("1h", task="x"))(training.function), "names 'x'"),
        (lambda: dag(deadlines=[Deadline.after_start("1h")] * 101)(training.function), "at most 100"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(made: Any, told: str) -> None:
    with pytest.raises((AuthoringError, InvalidDag)) as caught:
        made()
    assert told in str(caught.value)


def test_what_is_wrong_in_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    text = YAML.replace("zone: Asia/Kolkata, ", "").replace("{after_start: 90m}", "{after_begin: 90m}")
    told = "\n".join(map(str, from_yaml(tmp_path, text).errors))
    assert "dags.yml:2" in told and "zone is None" in told
    assert "dags.yml:7" in told and "after_begin" not in told.partition("expected one of")[0].partition("no rule")[2]
