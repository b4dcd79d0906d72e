"""What tasks write for the checker, in lines as in tests/checker/journals.py; DAGs of this folder include it."""

import json
import os
import time
from pathlib import Path

from glidepath.worker import current


def note(folder: str, kind: str) -> None:
    """Append a line to the ledger; appending is one write, whole or not at all."""
    me = current()
    line = {
        "by": "task",
        "kind": kind,
        "name": "ledger",
        "wall": time.time(),
        "monotonic": time.monotonic(),
        "key": [me.run_id, me.task_id, -1, me.attempt_number],
        "pid": os.getpid(),
        "code": 1,
    }
    file = os.open(Path(folder, "task-ledger.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.close(file)
