"""Generate the code that speaks the wire from proto/, or check that the committed code is what proto/ says.

    python -m tools.codegen            write sdk/python/glidepath_proto and sdk/go/gen
    python -m tools.codegen --check    exit 1 and name the files that differ

Runs in .venv-codegen (`bootstrap.py codegen`). Everything is generated into a scratch directory first; a proto file
that was removed takes its generated files with it.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from .programs import find_go

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
PYTHON_OUT = ROOT / "sdk" / "python" / "glidepath_proto"
GO_OUT = ROOT / "sdk" / "go" / "gen"

GO_MODULE = "glidepath.dev/sdk/go"
GO_PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0",
}

DOCSTRING = '"""The wire: generated from proto/ by `make proto`, never edited."""\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the committed code differs")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        return sum(deliver(made, committed, check) for made, committed in generate(Path(scratch))) and 1


def generate(scratch: Path) -> Iterator[tuple[Path, Path]]:
    """Yield (generated directory, its place in the repository)."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    yield generate_python(sources, scratch / "python"), PYTHON_OUT
    if go := find_go():
        yield generate_go(sources, scratch / "go", go), GO_OUT
    else:
        print("codegen: no Go toolchain found, so sdk/go/gen is left as it is")


def deliver(made: Path, committed: Path, check: bool) -> int:
    """Put `made` where it belongs, or with `check` count (and name) the files that differ."""
    if not check:
        for name in list_files(committed) - list_files(made):
            (committed / name).unlink()
        shutil.copytree(made, committed, dirs_exist_ok=True)
        return 0
    different = sorted(differences(made, committed))
    for name in different:
        print(f"codegen: {committed.relative_to(ROOT) / name} is not what proto/ says; run `make proto` and commit it")
    return len(different)


def differences(made: Path, committed: Path) -> set[str]:
    files = list_files(made) | list_files(committed)
    return {name for name in files if not same(made / name, committed / name)}


def list_files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def same(left: Path, right: Path) -> bool:
    return left.exists() and right.exists() and filecmp.cmp(left, right, shallow=False)


def generate_python(sources: list[str], out: Path) -> Path:
    """protoc names the package after the proto path, `glidepath`; that is the SDK's, so ours is glidepath_proto."""
    protoc(sources, out, "python", "pyi", "grpc_python")
    package = out / "glidepath"
    for path in package.rglob("*.py*"):
        text = path.read_text()
        if path.name.endswith("_pb2_grpc.py") and "Servicer" not in text:
            path.unlink()
        else:
            path.write_text(rename_imports(text))
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").write_text(DOCSTRING)
    (package / "py.typed").touch()
    return package


def rename_imports(text: str) -> str:
    """Rename imports and the module that messages report as their own; proto names inside descriptors stay."""
    text = re.sub(r"^from glidepath\.", "from glidepath_proto.", text, flags=re.MULTILINE)
    return re.sub(r"'glidepath\.([\w.]+_pb2)', _globals", r"'glidepath_proto.\1', _globals", text)


def generate_go(sources: list[str], out: Path, go: str) -> Path:
    plugins = [f"--plugin={name}={path}" for name, path in install_go_plugins(go).items()]
    packages = [f"M{source}={go_package(source)}" for source in sources]
    options = [
        f"--{kind}_opt={value}" for kind in ("go", "go-grpc") for value in (f"module={GO_MODULE}/gen", *packages)
    ]
    protoc(sources, out, "go", "go-grpc", extra=[*plugins, *options])
    return out


def go_package(source: str) -> str:
    """`glidepath/run/v1/run.proto` is imported as .../gen/glidepath/run/v1 and called runv1."""
    folder = Path(source).parent
    return f"{GO_MODULE}/gen/{folder.as_posix()};{folder.parent.name}{folder.name}"


def install_go_plugins(go: str) -> dict[str, Path]:
    """Build the pinned plugins once; their directory carries the versions."""
    installed = {}
    for name, source in GO_PLUGINS.items():
        folder = ROOT / "build" / "go-tools" / source.rpartition("@")[2]
        installed[name] = folder / name
        if not installed[name].exists():
            print(f"codegen: building {source}")
            subprocess.run([go, "install", source], check=True, env={**os.environ, "GOBIN": str(folder), "GOFLAGS": ""})
    return installed


def protoc(sources: list[str], out: Path, *kinds: str, extra: list[str] | None = None) -> None:
    from grpc_tools import protoc as compiler  # only the codegen environment has it

    out.mkdir()
    well_known = str(resources.files("grpc_tools") / "_proto")
    arguments = [f"-I{PROTO}", f"-I{well_known}", *(f"--{kind}_out={out}" for kind in kinds), *(extra or []), *sources]
    if compiler.main(["protoc", *arguments]):
        raise SystemExit("codegen: protoc refused the files in proto/, its reason is above")


if __name__ == "__main__":
    sys.exit(main())
