"""What the house tests look at: the files of the repository, parsed."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ("sdk/python/glidepath_proto/", "sdk/go/gen/")


@cache
def list_files(*suffixes: str) -> list[Path]:
    """Files that are or would be committed, as absolute paths, without generated code."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in listed.stdout.splitlines() if not name.startswith(GENERATED)]
    paths = [ROOT / name for name in sorted(set(names)) if not suffixes or name.endswith(suffixes)]
    return [path for path in paths if path.is_file()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (qualified name, lines) of every function, without its decorators."""
    for name, node in _named(parse(path), ""):
        if not isinstance(node, ast.ClassDef):
            yield name, (node.end_lineno or node.lineno) - node.lineno + 1


Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _named(tree: ast.AST, prefix: str) -> Iterator[tuple[str, Named]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Named):
            yield prefix + node.name, node
            yield from _named(node, f"{prefix}{node.name}.")
        else:
            yield from _named(node, prefix)


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every string that is not a docstring; the fixed parts of an f-string are joined."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in docstrings or id(node) in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            fixed = (part.value if isinstance(part, ast.Constant) else " ? " for part in node.values)
            yield node.lineno, "".join(str(part) for part in fixed)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
