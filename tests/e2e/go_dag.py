"""A DAG of two languages: Python says whom to greet, Go greets."""

from __future__ import annotations

from glidepath.authoring import dag, external, task


@task
def whom(who: str) -> dict[str, str]:
    return {"name": who.title()}


@task
def shout(greeting: str) -> str:
    return greeting.upper()


@dag(dag_id="greeting")
def greeting(who: str, seconds: float = 0.0) -> None:
    greeted = external("greet", "go:hello", inputs={"name": whom(who)["name"], "seconds": seconds}, queue="go")
    shout(greeted["greeting"])


@dag(dag_id="templated")
def templated() -> None:
    """The Go worker of the example knows no templates."""
    external("greet", "go:hello", inputs={"name": "{{ dag_id }}"}, queue="go")
