"""Glidepath's control plane."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

# gRPC reads it when it is first imported: its fork handlers only complain here, because nothing forks without exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

try:
    __version__ = version("glidepath-server")
except PackageNotFoundError:
    # Run from source without being installed.
    __version__ = "0+source"
