"""The programs of packaging/image, which is no package, as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    """One of them, by its name without `.py`. Raises FileNotFoundError."""
    specification = importlib.util.spec_from_file_location(
        f"image_{name}", ROOT / f"packaging/image/{name}.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module
