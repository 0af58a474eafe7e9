"""The program of packaging/compiled, which is no package, as a module."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_PROGRAM = Path(__file__).parents[2] / "packaging" / "compiled" / "build.py"
_specification = importlib.util.spec_from_file_location("compiled_build", _PROGRAM)
assert _specification is not None
assert _specification.loader is not None
BUILD = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(BUILD)
