"""Finding the DAGs of a file or folder, in Python or YAML. What cannot be loaded is reported beside what can."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from glidepath.authoring.bundle import module_name, source_file, source_root
from glidepath.authoring.dags import Dag
from glidepath.authoring.options import collect_mistakes
from glidepath.errors import AuthoringError, GlidepathError


@dataclass(frozen=True)
class LoadError:
    """Why a file gives no DAG, or one of its DAGs is not valid. `line` is 0 when no line is to blame."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


@dataclass
class LoadedDags:
    """What `load_dags` found: valid DAGs in the order of their files, and everything that is wrong."""

    dags: list[Dag] = field(default_factory=list)
    errors: list[LoadError] = field(default_factory=list)


def load_dags(path: str | Path) -> LoadedDags:
    """Run the DAG files at `path` and build their DAGs.

    In a folder, those are its .py files (and those of its folders, hidden ones left out) that mention glidepath, and
    the .yaml and .yml files that mention dag_id. A file runs anew with each call. Never raises for what a file does; a
    path that does not exist is an error too.
    """
    path = Path(path).resolve()
    loaded = LoadedDags()
    if not path.exists():
        loaded.errors.append(LoadError(path, 0, "no such file or folder"))
        return loaded
    for file in _dag_files(path):
        _load_file(file, loaded)
    if path.is_file() and not loaded.dags and not loaded.errors:
        missing = "no document in this file" if path.suffix in _YAML else "no @dag at the top level of this file"
        loaded.errors.append(LoadError(path, 0, missing))
    return loaded


_YAML = (".yaml", ".yml")
_MENTION = {".py": b"glidepath", **dict.fromkeys(_YAML, b"dag_id")}


def _dag_files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*")):
        if file.suffix not in _MENTION or not file.is_file():
            continue
        inner = file.relative_to(path).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inner)
        if not hidden and _MENTION[file.suffix] in file.read_bytes():
            yield file


def _load_file(file: Path, loaded: LoadedDags) -> None:
    if file.suffix in _YAML:
        _load_yaml(file, loaded)
        return
    with _importing_from(source_root(file)), collect_mistakes() as mistakes:
        dags = _build(file, loaded)
    loaded.errors += [LoadError(file, _line_in(file, each.calls), each.message) for each in mistakes]
    if not mistakes:
        loaded.dags += dags


def _load_yaml(file: Path, loaded: LoadedDags) -> None:
    from glidepath.authoring.yaml_dags import read_dags  # not above: most processes that load DAGs never see YAML

    try:
        with _importing_from(source_root(file)):
            found, mistakes = read_dags(file, _import_code)
    except AuthoringError as error:
        loaded.errors.append(LoadError(file, 0, str(error)))
        return
    loaded.errors += [LoadError(file, each.line, each.message) for each in mistakes]
    for dag in found:
        earlier = _namesake(dag, loaded.dags)
        if earlier is None:
            loaded.dags.append(dag)
        else:
            loaded.errors.append(LoadError(file, dag.line, f"dag_id: {_used_already(earlier)}"))


def _import_code(file: Path) -> ModuleType:
    """A module that a YAML file names. AuthoringError says why it cannot be imported, and the line."""
    try:
        return _import(file)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # as in _build
        raise AuthoringError(str(_load_error(file, error))) from error


def _namesake(dag: Dag, others: Iterable[Dag]) -> Dag | None:
    return next((each for each in others if each.dag_id == dag.dag_id), None)


def _used_already(earlier: Dag) -> str:
    return f"dag_id '{earlier.dag_id}' is used in {earlier.file} already"


def _build(file: Path, loaded: LoadedDags) -> list[Dag]:
    """The file's DAGs with their tasks; what cannot be built is among the errors."""
    try:
        module = _import(file)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a DAG file is a stranger's code: sys.exit() in it must not end us
        loaded.errors.append(_load_error(file, error))
        return []
    built: list[Dag] = []
    for dag in _dags_of(module, file):
        earlier = _namesake(dag, (*loaded.dags, *built))
        if earlier is not None:
            loaded.errors.append(LoadError(file, _line(dag), _used_already(earlier)))
            continue
        try:
            _ = dag.nodes
            built.append(dag)
        except Exception as error:
            loaded.errors.append(_load_error(file, error, _line(dag)))
    return built


def _import(file: Path) -> ModuleType:
    root = source_root(file)
    if file.parent != root:
        return importlib.import_module(module_name(file, root))
    import hashlib  # not above: it would make every fork of a process that runs tasks slower

    name = f"{file.stem}_{hashlib.sha256(bytes(file)).hexdigest()[:8]}"  # two folders may each have a train.py
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def _importing_from(root: Path) -> Iterator[None]:
    """Import from `root` first, and forget afterwards what came from there: the next load reads the files anew."""
    before = set(sys.modules)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        for name in set(sys.modules) - before:
            if _came_from(sys.modules[name], name, root):
                del sys.modules[name]


def _came_from(module: ModuleType, name: str, root: Path) -> bool:
    """Whether a module is the folder's own. Libraries of an environment inside the folder are not: they load once."""
    file = getattr(module, "__file__", None)
    top = name.partition(".")[0]
    if not file or top in ("glidepath", "glidepath_proto"):
        return False
    path = Path(file).resolve()
    return path.parent == root or path.is_relative_to(root / top)


def _dags_of(module: ModuleType, file: Path) -> list[Dag]:
    """The module's own DAGs, each once; those it imports belong to their own file."""
    found = {id(each): each for each in vars(module).values() if isinstance(each, Dag)}
    return [dag for dag in found.values() if source_file(dag.function) == file]


def _load_error(file: Path, error: BaseException, line: int = 0) -> LoadError:
    if isinstance(error, SyntaxError):
        return _syntax_error(file, error)
    kind = "" if isinstance(error, GlidepathError) else f"{type(error).__name__}: "
    return LoadError(file, _line_in(file, _calls(error)) or line, f"{kind}{error}")


def _syntax_error(file: Path, error: SyntaxError) -> LoadError:
    """With the line of source and the place in it; of an imported file as well, which the message names."""
    picture = "".join(traceback.format_exception_only(error)).splitlines()[1:-1]
    is_own = error.filename and Path(error.filename).resolve() == file
    line = (error.lineno or 0) if is_own else _line_in(file, _calls(error))
    message = f"{type(error).__name__}: {error.msg if is_own else error}"
    return LoadError(file, line, "\n".join([message, *picture]))


def _calls(error: BaseException) -> list[tuple[str, int]]:
    """The (file, line) of each call that led to the error, innermost first."""
    return [(each.filename, each.lineno or 0) for each in reversed(traceback.extract_tb(error.__traceback__))]


def _line_in(file: Path, calls: Iterable[tuple[str, int]]) -> int:
    return next((line for name, line in calls if Path(name).resolve() == file), 0)


def _line(dag: Dag) -> int:
    return int(inspect.unwrap(dag.function).__code__.co_firstlineno)
