"""The wheel with compiled modules: HOMEPORT_COMPILED=1 in the environment of the build, as
`make wheel` has it. Any other build, an editable one too, is pure Python."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledModules(BuildHookInterface[Any]):
    """See the module."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Has what is listed compiled, and put beside the sources that the wheel has anyway."""
        if version == "editable" or os.environ.get("HOMEPORT_COMPILED") != "1":
            return
        root = Path(self.root)
        spec = importlib.util.spec_from_file_location(
            "compiled_build", root / "packaging" / "compiled" / "build.py"
        )
        assert spec is not None
        assert spec.loader is not None
        build = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(build)
        work = root / "build" / "wheel"
        for file in build.compile_modules(build.modules(root), root=root, work=work):
            build_data["force_include"][str(work / "lib" / file)] = str(file)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
