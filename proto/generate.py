"""Generates sdk/homeport/api from proto/, or with --check says what has drifted.

protoc comes from grpcio-tools and the message stubs from mypy-protobuf, both pinned in
constraints.txt, so that two machines write the same bytes.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
SDK = PROTO.parent / "sdk"


def generate(into: Path) -> None:
    """Writes the package homeport/api below `into`. Raises SystemExit where protoc refuses."""
    sources = sorted(str(p.relative_to(PROTO)) for p in PROTO.glob("homeport/**/*.proto"))
    include = Path(grpc_tools.__file__).parent / "_proto"
    plugin = Path(sys.executable).parent / "protoc-gen-mypy"
    code = protoc.main(
        [
            "protoc",
            f"-I{PROTO}",
            f"-I{include}",
            f"--plugin=protoc-gen-mypy={plugin}",
            f"--python_out={into}",
            f"--mypy_out=quiet:{into}",
            f"--grpc_python_out={into}",
            *sources,
        ]
    )
    if code != 0:
        raise SystemExit(code)
    for folder in {
        into / "homeport" / "api",
        *(p.parent for p in into.glob("homeport/api/**/*.py")),
    }:
        package = folder
        while package != into / "homeport":
            init = package / "__init__.py"
            if not init.exists():
                init.write_text('"""Generated from proto/ by `make proto`; do not edit."""\n')
            package = package.parent


def differences(fresh: Path, kept: Path) -> list[str]:
    """The relative paths that exist on one side only or whose bytes differ."""

    def names(root: Path) -> set[str]:
        return {
            str(p.relative_to(root))
            for p in root.rglob("*")
            if p.is_file() and "__pycache__" not in p.parts
        }

    here, there = names(fresh), names(kept)
    changed = {n for n in here & there if not filecmp.cmp(fresh / n, kept / n, shallow=False)}
    return sorted((here ^ there) | changed)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing; fail on drift")
    check = arguments.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        kept = SDK / "homeport" / "api"
        if check:
            drift = differences(fresh / "homeport" / "api", kept)
            for name in drift:
                print(f"drifted: sdk/homeport/api/{name}; run `make proto`", file=sys.stderr)
            return 1 if drift else 0
        if kept.exists():
            shutil.rmtree(kept)
        shutil.copytree(fresh / "homeport" / "api", kept)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
