"""The checker: does what a Glidepath system did keep what docs/architecture.md and docs/states.md promise?

    with Watch(database_url) as watch:
        ...  # whatever happens to the system
    facts = await read_facts(database_url, journals=folder, earlier=watch.moments)
    report = check(facts, expect={"I3", "I13"})
    assert report.ok, report

It shares no code with the server: it reads rows, journals of test workers and clients, and ledgers that tasks write,
and judges them by rules of its own.
"""

from tests.checker.check import INVARIANTS, check
from tests.checker.facts import Facts
from tests.checker.journals import Journal, read_journals
from tests.checker.read_database import Watch, read_facts, read_moment
from tests.checker.report import Report, Verdict

__all__ = [
    "INVARIANTS",
    "Facts",
    "Journal",
    "Report",
    "Verdict",
    "Watch",
    "check",
    "read_facts",
    "read_journals",
    "read_moment",
]
