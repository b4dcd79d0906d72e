"""Values of a run in process: its params, and what its attempts leave beside their outputs."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Container, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from glidepath.authoring import Dag
from glidepath.authoring.params import dated_params, default_params
from glidepath.errors import AuthoringError
from glidepath.testing.attempts import Ended
from glidepath.testing.results import TaskResult


class KeptArtifacts(dict[str, Path]):
    """Artifacts by URI, each a copy: the file may change afterwards, an artifact does not."""

    def __init__(self) -> None:
        super().__init__()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __setitem__(self, uri: str, path: Path) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="glidepath-run-", ignore_cleanup_errors=True)
        kept = Path(self._folder.name) / uri.rpartition(":")[2]
        shutil.copyfile(path, kept)
        super().__setitem__(uri, kept)


def upstream_xcoms(xcoms: Mapping[str, dict[str, str]], upstream: Container[str]) -> dict[str, dict[str, str]]:
    """Those of these tasks and of their instances."""
    return {name: each for name, each in xcoms.items() if name.partition("[")[0] in upstream}


def keep_values(result: TaskResult, xcoms: dict[str, dict[str, str]], ended: Ended) -> None:
    """What a success has pushed, read and written; what an earlier one had pushed is gone. `xcoms` are by the names of
    tasks and instances."""
    xcoms[result.name] = dict(ended.xcoms)
    result.xcoms = {key: json.loads(value) for key, value in ended.xcoms.items()}
    result.reads = [use["uri"] for use in ended.artifacts if use["direction"] == "read"]
    result.writes = [use["uri"] for use in ended.artifacts if use["direction"] == "write"]


def complete_params(
    dag: Dag, params: Mapping[str, Any], logical_date: datetime, start: datetime, end: datetime
) -> dict[str, Any]:
    """Params with their defaults. Names are checked; types are the server's to check."""
    schema = dag.params_schema
    known = schema.get("properties", {})
    closed = not schema or schema.get("additionalProperties") is False
    if closed and (unknown := set(params) - set(known)):
        raise AuthoringError(f"DAG '{dag.dag_id}' has no param {sorted(unknown)}; params: {', '.join(known) or 'none'}")
    dates = {"logical_date": logical_date, "data_interval_start": start, "data_interval_end": end}
    complete = {**default_params(schema), **dated_params(dag.param_defaults, schema, dates), **params}
    if missing := set(schema.get("required", ())) - set(complete):
        raise AuthoringError(f"DAG '{dag.dag_id}' needs the params {sorted(missing)}; give run_dag(params=...)")
    return complete
