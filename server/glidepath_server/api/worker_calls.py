"""DAGs that tasks make at run time: registered before the report that calls them is stepped.

In a transaction of its own, so that a step never waits for what registering locks. When the report is not accepted
then, or never comes to its step, a version stays that nobody runs; the same report again finds it by its content.
"""

from __future__ import annotations

import asyncio

from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.registry.v1 import registry_service_pb2 as pb

from ..core.calls import refused
from ..core.errors import GlidepathError, InvalidDag
from ..core.states import AttemptState
from ..operations.register_dag_version import RegisterCall, RegisterDagVersion
from ..operations.step_types import Report
from ..store import calls as store
from ..store.database import Database
from .convert_registry import draft_in, registered_out

VIOLATIONS_SHOWN_MAX = 10


async def register_called(
    database: Database, register: RegisterDagVersion, report: Report, spec: dag_pb2.DagSpec
) -> None:
    """Make the report call the version of this DAG, or its failure say what is wrong with it.

    The author is that of the caller's version. Nothing is registered for an attempt that is not live: its report will
    not be accepted.
    """
    async with database.worker.acquire() as connection:
        author = await store.author(connection, report.key)
    if author is None or report.call is None:
        return
    namespace, created_by = author
    try:
        draft = await asyncio.to_thread(draft_in, spec)
        answer = await register(RegisterCall(namespace, created_by, "", b"", draft), registered_out)
    except InvalidDag as error:
        shown = [str(each) for each in error.violations[:VIOLATIONS_SHOWN_MAX]]
        _refuse(report, f"the DAG {spec.dag_id!r} that the task made is not valid: {'; '.join(shown)}")
    except GlidepathError as error:
        _refuse(report, f"the DAG {spec.dag_id!r} that the task made is refused: {error}")
    else:
        version = pb.RegisterDagVersionResponse.FromString(answer).dag_version
        report.call = report.call._replace(dag_id=version.dag_id, number=version.dag_version_number, alias=None)


def _refuse(report: Report, why: str) -> None:
    report.outcome, report.failure = AttemptState.FAILED, refused(why, "InvalidDag")
