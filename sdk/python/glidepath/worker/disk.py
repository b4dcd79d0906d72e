"""What a loss of power leaves of files: the bytes of their last sync, under the names of their folder's last sync."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: str | Path) -> None:
    """Bring the names in a folder to the disk: of what was made there, renamed or removed. OSError when it refuses."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
