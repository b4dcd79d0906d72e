"""Writing DAGs. Imports no network library; protobuf only where a DAG becomes a message (`convert`)."""

from glidepath.authoring.approvals import approval
from glidepath.authoring.bundle import Bundle, bundle_source
from glidepath.authoring.calls import call_dag, loop
from glidepath.authoring.dags import Dag, dag
from glidepath.authoring.deadlines import Deadline
from glidepath.authoring.load import LoadedDags, LoadError, load_dags
from glidepath.authoring.nodes import Group, Handle, group
from glidepath.authoring.params import dated
from glidepath.authoring.schedules import Continuous, Cron, Dates, Every
from glidepath.authoring.tasks import Task, external, shell, task
from glidepath.authoring.values import ParamRef, literal

__all__ = [
    "Bundle",
    "Continuous",
    "Cron",
    "Dag",
    "Dates",
    "Deadline",
    "Every",
    "Group",
    "Handle",
    "LoadError",
    "LoadedDags",
    "ParamRef",
    "Task",
    "approval",
    "bundle_source",
    "call_dag",
    "dag",
    "dated",
    "external",
    "group",
    "literal",
    "load_dags",
    "loop",
    "shell",
    "task",
]
