"""What tasks print and log, on its way out of their process.

A record that `logging` would drop or print as a last resort goes to the attempt's log, with its level in the place of
the stream. That is a handler of the root logger, at INFO, until a task configures the root logger: then everything is
as if the handler had never been there.

Bodies write such lines to stderr, marked, because that is what their own children inherit. `logging` costs a fork more
than most tasks do, so nothing is done before a task imports it.
"""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from glidepath.worker.failures import stack_trace

MARK = "\x1e"
"""Encloses the level at the beginning of a line of stderr."""

Show = Callable[[str, str], None]
"""Takes the level and the text, which may have several lines."""


def prepare_bodies() -> None:
    """In the process that bodies are forked from: let their lines, and those of Python programs, out when printed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.meta_path.insert(0, _LoggingWatch())


def split_mark(line: str) -> tuple[str, str]:
    """The stream, and the text, that a line of stderr means."""
    _, level, text = line.split(MARK, 2) if line.startswith(MARK) and line.count(MARK) > 1 else ("", "stderr", line)
    return level, text


class _LoggingWatch:
    """Finds `logging` as ever, and sees to its handler once it is there."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            loader, execute = spec.loader, spec.loader.exec_module

            def execute_and_handle(module: ModuleType) -> None:
                execute(module)
                handle_logging(_show_marked)

            loader.exec_module = execute_and_handle  # type: ignore[method-assign]
        return spec


def _show_marked(level: str, text: str) -> None:
    if sys.__stderr__ is not None:
        sys.__stderr__.write("".join(f"{MARK}{level}{MARK}{line}\n" for line in text.split("\n")))


def handle_logging(show: Show) -> None:
    """Give the root logger a handler and the level INFO, both of which step aside for whoever configures it."""
    import logging

    root, configure = logging.root, logging.basicConfig
    level = _Unasked(logging.INFO)

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                text = self.format(record)
                show(record.levelname, text if _is_own(record.name) else f"{record.name}: {text}")
            except Exception:
                self.handleError(record)

    handler = Handler()
    handler.formatter = logging.Formatter()
    handler.formatter.formatException = lambda ei: stack_trace(ei[1]) if ei[1] else ""  # type: ignore[method-assign]

    def step_aside() -> None:
        vars(root).pop("addHandler", None)  # the class's own is seen again
        logging.basicConfig = configure
        root.removeHandler(handler)
        if root.level is level:
            root.setLevel(logging.WARNING)

    def configure_instead(**settings: Any) -> None:
        step_aside()
        configure(**settings)

    def add_instead(other: logging.Handler) -> None:
        step_aside()
        root.addHandler(other)

    root.addHandler(handler)
    root.setLevel(level)
    logging.basicConfig, root.addHandler = configure_instead, add_instead  # type: ignore[assignment, method-assign]


def _is_own(logger: str) -> bool:
    """Whether its name says nothing to the task's author."""
    return logger == "root" or logger.startswith("glidepath.task.")


class _Unasked(int):
    """A level that nobody set, told apart from an equal one that somebody did."""
