"""The registry of spans and their attributes. Names of the OpenTelemetry conventions for CI/CD where they say what we
mean (they are still in development), `glidepath.*` for the rest. The table of the docs is made from it."""

from __future__ import annotations

SPANS: dict[str, str] = {
    "RUN <dag id>": "a run, from its creation to its end, under whatever triggered it; sent when it has ended. A run "
    "that is cleared and ends again is sent again, with the same id",
    "<task id>": "an attempt, from its claim to its end, under its run; linked to the attempt before it. Attempts that "
    "called a child run last until that has ended, and the child run is under them",
}

SPAN_ATTRIBUTES: dict[str, str] = {
    "cicd.pipeline.action.name": "run: RUN",
    "cicd.pipeline.name": "the DAG's id",
    "cicd.pipeline.result": "run: success, failure, cancellation",
    "cicd.pipeline.run.id": "the run's id",
    "cicd.pipeline.task.name": "attempt: the task's id",
    "cicd.pipeline.task.run.id": "attempt: run, task, map index and attempt number, between slashes",
    "cicd.pipeline.task.run.result": "attempt: success, failure, error (worker is lost), timeout, cancellation, skip",
    "cicd.worker.name": "attempt: the identity of its worker",
    "error.type": "type or kind of an attempt's failure; state of a run that did not succeed",
    "glidepath.attempt.number": "attempt: from 1",
    "glidepath.attempt.queue_seconds": "attempt: from its release to its claim",
    "glidepath.attempt.state": "attempt: as in docs/states.md",
    "glidepath.dag.version": "number of the DAG version",
    "glidepath.map.index": "attempt of an instance of a mapped task: its map index",
    "glidepath.namespace": "the namespace",
    "glidepath.reason": "why it ended so, for a person",
    "glidepath.run.logical_date": "run: the instant that it stands for",
    "glidepath.run.queue_seconds": "run: from its creation to its start",
    "glidepath.run.type": "run: manual, scheduled, backfill, asset, child",
    "host.name": "attempt: the host of its worker",
}
