"""The Python that YAML tasks name as "module:function": found beside the YAML file, imported once per reading."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from glidepath.authoring.bundle import source_file, source_root
from glidepath.authoring.suggestions import suggestion
from glidepath.authoring.tasks import Task
from glidepath.errors import AuthoringError


class Code:
    """Modules of the folder that a YAML file's code is imported from. `import_file` runs one, or says why it cannot."""

    def __init__(self, file: Path, import_file: Callable[[Path], ModuleType]) -> None:
        self._root = source_root(file)
        self._folder = file.parent
        self._import_file = import_file
        self._modules: dict[Path, ModuleType | None] = {}

    def task(self, name: object) -> Task[Any, Any] | None:
        """The task that "module:function" names; a plain function becomes one. None when its module has failed before.

        AuthoringError says what was expected.
        """
        parts = name.split(":") if isinstance(name, str) else []
        if len(parts) != 2 or not all(each.isidentifier() for each in (*parts[0].split("."), parts[1])):
            raise AuthoringError(f"python is {name!r}; expected 'module:function', such as 'steps:load'")
        file = self._file(parts[0])
        if file not in self._modules:
            self._modules[file] = None
            self._modules[file] = _checked(self._import_file(file), file)
        module = self._modules[file]
        return None if module is None else self._task_in(module, file, parts[1])

    def _file(self, module: str) -> Path:
        path = self._root.joinpath(*module.split("."))
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return file
        beside = self._folder.joinpath(*module.split(".")).relative_to(self._root).parts
        hint = f"; its package counts: expected '{'.'.join(beside)}'" if self._folder != self._root else ""
        raise AuthoringError(f"python: no module '{module}' in {self._root}{hint}")

    def _task_in(self, module: ModuleType, file: Path, name: str) -> Task[Any, Any]:
        found = getattr(module, name, None)
        task = Task(found, {}) if isinstance(found, FunctionType) else found
        if not isinstance(task, Task):
            own = [
                each
                for each, value in vars(module).items()
                if isinstance(value, FunctionType | Task) and value.__module__ == module.__name__
            ]
            raise AuthoringError(f"python: {file} has no function '{name}'; {suggestion(name, own, 'functions')}")
        home = source_file(task.function)
        if home is None or not home.is_relative_to(self._root):
            raise AuthoringError(
                f"python: '{name}' is defined in {home or 'no file'}, outside {self._root}; no worker would have it: "
                f"wrap it in a function of {file.name}"
            )
        return task


def _checked(module: ModuleType, file: Path) -> ModuleType:
    """Refuse a module that this process had imported from elsewhere: a package of the folder may share its name."""
    origin = getattr(module, "__file__", None)
    if origin is None or Path(origin).resolve() != file:
        raise AuthoringError(f"python: {file} cannot be imported, {origin} has taken its name; rename its package")
    return module


def bundled(
    file: Path, functions: Iterable[Callable[..., Any]], include: Sequence[str]
) -> tuple[Path, tuple[str, ...]]:
    """The file that the source bundle of a YAML DAG starts from, and what it includes from there.

    It holds what its tasks run and not the YAML, which is registered as the DAG: so a comment in it makes no new
    version, and the DAG written in Python beside the same functions has the same source.
    """
    root = source_root(file)
    homes = sorted({home for each in functions if (home := source_file(each)) is not None})
    start = next((each for each in homes if source_root(each) == root), file)
    up = os.path.relpath(root, start.parent)
    own = os.path.relpath(file.parent, start.parent)
    others = [_with_package(home, root) for home in homes if home != start]
    return start, tuple(
        dict.fromkeys([*(_joined(up, each) for each in others), *(_joined(own, each) for each in include)])
    )


def _with_package(home: Path, root: Path) -> str:
    inner = home.relative_to(root)
    return f"{inner.parts[0]}/**/*.py" if source_root(home) == root and home.parent != root else inner.as_posix()


def _joined(folder: str, pattern: str) -> str:
    return pattern if folder == "." or os.path.isabs(pattern) else f"{folder}/{pattern}"
