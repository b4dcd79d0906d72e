"""Importing handlers of several source versions in one process, none of which may see another's modules.

Python keeps one module per name. So what was imported from one version's folder is put aside before another version
is used and put back afterwards; functions keep the globals they were defined with. Only one version is in place at a
time, which is enough for processes that run one body at a time.

The forkserver, which must not run user code, prepares what its bodies will import: it finds and compiles, the body
executes. Source by hash never changes, so what was prepared for it stays right.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec
from types import CodeType, ModuleType
from typing import Any

from glidepath.errors import GlidepathError

PREPARED_MAX = 100
CALL = "call"
"""Handler of tasks that call a DAG; every Python worker has it, without any source."""


class HandlerNotFound(GlidepathError):
    """The module or function that a handler names cannot be imported; no other attempt of this version can."""


class Loader:
    """Finds handlers. `base_path` is what every version sees behind its own folder."""

    def __init__(self, base_path: Sequence[str]) -> None:
        self._base_path = list(base_path)
        self._in_place = ""
        self._aside: dict[str, dict[str, ModuleType]] = {}
        self._handlers: dict[tuple[str, str], Callable[..., Any]] = {}
        self._prepared: dict[tuple[str, str], tuple[ModuleSpec, CodeType] | None] = {}

    def load(self, handler: str, source: str) -> Callable[..., Any]:
        """The function that "python:module:function" names in the folder `source` ("" takes the base path's).

        Errors of the imported module itself are raised as they are.
        """
        if source != self._in_place:
            self._switch(source)
        found = self._handlers.get((source, handler))
        if found is None:
            found = self._handlers[source, handler] = self._import(handler, source)
        return found

    def put_aside(self) -> None:
        """Leave no module of registered source in place."""
        self._switch("")

    def prepare(self, handler: str, source: str) -> None:
        """Find and compile a handler's module in registered source, running none of it. What fails, fails at `load`."""
        name = handler.split(":")[1] if handler.count(":") == 2 else ""
        if not source or not name or "." in name or (source, name) in self._prepared:
            return
        if len(self._prepared) >= PREPARED_MAX:
            self._prepared.clear()
        self._prepared[source, name] = _compile(name, source)

    def _switch(self, source: str) -> None:
        if self._in_place:
            mine = {name: module for name, module in sys.modules.items() if _lies_in(module, self._in_place)}
            for name in mine:
                del sys.modules[name]
            self._aside[self._in_place] = mine
        sys.modules.update(self._aside.pop(source, {}))
        sys.path[:] = [source, *self._base_path] if source else self._base_path
        self._in_place = source

    def _import(self, handler: str, source: str) -> Callable[..., Any]:
        if handler == CALL:
            from glidepath.worker import calls

            return calls.call
        kind, _, rest = handler.partition(":")
        module_name, _, function_name = rest.partition(":")
        if kind != "python" or not module_name or not function_name.isidentifier():
            raise HandlerNotFound(f"handler {handler!r} is not of the form python:module:function")
        try:
            module = self._execute(module_name, source) or importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and (module_name + ".").startswith(error.name + "."):
                raise HandlerNotFound(f"handler {handler!r}: no module '{error.name}' in {_where(source)}") from error
            raise
        function = getattr(module, function_name, None)
        if not callable(function):
            raise HandlerNotFound(f"handler {handler!r}: module '{module_name}' has no function '{function_name}'")
        return function  # type: ignore[no-any-return]

    def _execute(self, name: str, source: str) -> ModuleType | None:
        """The module from what was prepared, None when it was not, or was imported in another way."""
        prepared = self._prepared.get((source, name))
        if prepared is None or name in sys.modules:
            return None
        spec, code = prepared
        module = sys.modules[name] = module_from_spec(spec)
        try:
            exec(code, module.__dict__)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return module


def warm_up(paths: Sequence[str]) -> None:
    """Have the import system read these folders now, so that processes forked later need not."""
    PathFinder.find_spec("glidepath_no_such_module", list(paths))


def _compile(name: str, source: str) -> tuple[ModuleSpec, CodeType] | None:
    warm_up([source])
    spec = PathFinder.find_spec(name, [source])
    if spec is None or not isinstance(spec.loader, SourceFileLoader) or spec.submodule_search_locations is not None:
        return None
    try:
        code = spec.loader.get_code(name)
    except (SyntaxError, ValueError, OSError):
        return None
    return None if code is None else (spec, code)


def _lies_in(module: ModuleType, source: str) -> bool:
    if not source:
        return False
    file = getattr(module, "__file__", None)
    if file is not None:
        return str(file).startswith(source + "/")
    return any(str(path).startswith(source) for path in getattr(module, "__path__", ()))


def _where(source: str) -> str:
    return "its registered source" if source else "this worker's import path"
