"""The source of a DAG's Python tasks as one archive, named by its content: workers fetch and run exactly that.

The same files give the same bytes on every machine, so a DAG that did not change registers no new version.
"""

from __future__ import annotations

import ast
import functools
import inspect
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glidepath.errors import AuthoringError

BUNDLE_BYTES_MAX = 2 * 1024 * 1024
"""Limit of the server for all source of one DAG version."""


@dataclass(frozen=True)
class Bundle:
    """`content_hash` is the lowercase hexadecimal SHA-256 of `archive`, a zip; `files` are the names in it, sorted.

    `root` is the folder that those names start from: on the worker the archive takes its place in `sys.path`.
    """

    archive: bytes = field(repr=False)
    content_hash: str
    files: tuple[str, ...]
    root: Path

    def handler(self, function: Callable[..., Any]) -> str:
        """The wire name of a task's function. AuthoringError when a worker could not find it in this bundle."""
        name = getattr(function, "__qualname__", repr(function))
        if not name.isidentifier():
            raise AuthoringError(
                f"task function {name!r} is not at the top level of its module; move it there so a worker can import it"
            )
        file = source_file(function)
        if (
            file is None
            or not file.is_relative_to(self.root)
            or file.relative_to(self.root).as_posix() not in self.files
        ):
            raise AuthoringError(
                f"task function '{name}' is defined in {file or 'no file'}, which is not in the DAG's source bundle "
                f"({', '.join(self.files[:5])}); add it to @dag(include=[...]), or wrap the function in the DAG's file"
            )
        return f"python:{module_name(file, self.root)}:{name}"


def source_file(function: Callable[..., Any]) -> Path | None:
    """The file that a function is written in, under whatever decorators; None when it is in none."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return _resolved(code.co_filename) if code is not None else None


@functools.lru_cache(maxsize=4096)
def _resolved(name: str) -> Path | None:
    path = Path(name).resolve()
    return path if path.is_file() else None


def bundle_source(file: Path, include: Sequence[str] = ()) -> Bundle:
    """Bundle a DAG's file, or the whole top package that it is in (its .py files), and what `include` names.

    `include` holds paths or glob patterns from the file's own folder: files as they are, folders with all they hold
    but hidden and compiled files. AuthoringError when one matches nothing, lies outside, a module beside the bundle
    is imported but not included, or the whole is over `BUNDLE_BYTES_MAX`.
    """
    file = file.resolve()
    root = source_root(file)
    package = None if file.parent == root else root / file.relative_to(root).parts[0]
    chosen = {file} if package is None else set(_usable(package.rglob("*.py")))
    for pattern in include:
        chosen |= _included(pattern, file.parent, root)
    contents = {path.relative_to(root).as_posix(): path.read_bytes() for path in chosen}
    _check_size(contents, file)
    _check_siblings(contents, root, file)
    import hashlib  # not above: every process that runs a task holds this module, and forks the faster without OpenSSL

    archive = _zip(contents)
    return Bundle(archive, hashlib.sha256(archive).hexdigest(), tuple(sorted(contents)), root)


def source_root(file: Path) -> Path:
    """The folder from which a file is imported: its own, or the one that holds its top package."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def module_name(file: Path, root: Path) -> str:
    """The dotted name under which a file is imported from `root`."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _included(pattern: str, folder: Path, root: Path) -> set[Path]:
    if Path(pattern).is_absolute():
        raise AuthoringError(
            f"include {pattern!r}: expected a path from the DAG's folder {folder}, not an absolute one"
        )
    matches = [path.resolve() for path in folder.glob(pattern)] or [(folder / pattern).resolve()]
    found: set[Path] = set()
    for path in matches:
        if not path.is_relative_to(root):
            raise AuthoringError(f"include {pattern!r}: {path} lies outside {root}, from where tasks are imported")
        found |= set(_usable(path.rglob("*"))) if path.is_dir() else {path} & set(_usable([path]))
    if not found:
        raise AuthoringError(f"include {pattern!r}: no such file in {folder}")
    return found


def _usable(paths: Iterable[Path]) -> Iterable[Path]:
    return (
        path
        for path in paths
        if path.is_file()
        and path.suffix != ".pyc"
        and "__pycache__" not in path.parts
        and not path.name.startswith(".")
    )


def _check_size(contents: dict[str, bytes], file: Path) -> None:
    total = sum(map(len, contents.values()))
    if total > BUNDLE_BYTES_MAX:
        biggest = sorted(contents, key=lambda name: -len(contents[name]))[:3]
        listed = ", ".join(f"{name} ({len(contents[name]) / 1024:.0f} KiB)" for name in biggest)
        raise AuthoringError(
            f"the source of {file} is {total / 1024:.0f} KiB, over the limit of {BUNDLE_BYTES_MAX // 1024} KiB; "
            f"biggest: {listed}. Install large code on the workers, and read data from storage"
        )


def _check_siblings(contents: dict[str, bytes], root: Path, file: Path) -> None:
    """An import that works here, from beside the DAG's file, would fail on the worker: say so now."""
    bundled = {name.split("/")[0].removesuffix(".py") for name in contents}
    for name, content in sorted(contents.items()):
        if not name.endswith(".py"):
            continue
        for line, module in _imports(content):
            sibling = next((s for s in (root / f"{module}.py", root / module / "__init__.py") if s.is_file()), None)
            if module not in bundled and sibling is not None:
                wanted = sibling if sibling.stem == module else sibling.parent
                raise AuthoringError(
                    f"{root / name}, line {line}: imports '{module}' from {wanted}, which is not in the bundle; "
                    f"add include=[{_relative(wanted, file.parent)!r}] to @dag"
                )


def _imports(content: bytes) -> Iterable[tuple[int, str]]:
    """Top-level names of absolute imports, with their lines."""
    try:
        tree = ast.parse(content)
    except SyntaxError:
        return  # a data file that is called .py; importing it is what would fail
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


def _relative(path: Path, folder: Path) -> str:
    ups = 0
    while not path.is_relative_to(folder):
        folder, ups = folder.parent, ups + 1
    return "/".join([".."] * ups + [path.relative_to(folder).as_posix()])


def _zip(contents: dict[str, bytes]) -> bytes:
    """Stored, not compressed: two versions of zlib may compress the same bytes differently, and the hash with them."""
    import zipfile  # not above, for the same reason as hashlib

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, contents[name])
    return buffer.getvalue()
