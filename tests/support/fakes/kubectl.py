"""A kubectl that answers `get` with what a test laid out, and fails as the real one does.

A program of its own, a shell script: what is under test starts it as it starts kubectl.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_SCRIPT = """#!/bin/sh
echo "$*" >> "{folder}/calls"
case "$1 $2" in
"config view") printf %s homeport; exit 0 ;;
"get --raw") file="{folder}/raw/$(printf %s "$3" | tr / _)" ;;
"get "*) file="{folder}/${{2%%.*}}" ;;
*) echo "error: this one only reads" >&2; exit 1 ;;
esac
if [ -f "$file.error" ]; then cat "$file.error" >&2; exit 1; fi
if [ -f "$file" ]; then cat "$file"; exit 0; fi
echo "error: the server doesn't have a resource type \\"$2\\"" >&2
exit 1
"""


class FakeKubectl:
    """`program` is to be on the PATH as kubectl; `calls` are the arguments it was given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "answers"
        (self._folder / "raw").mkdir(parents=True)
        self.program = folder / "bin" / "kubectl"
        self.program.parent.mkdir()
        self.program.write_text(_SCRIPT.format(folder=self._folder))
        self.program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        path = self._folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def hold(self, objects: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        for kind, items in objects.items():
            (self._folder / kind).write_text(json.dumps({"kind": "List", "items": list(items)}))

    def answer(self, path: str, text: str) -> None:
        """To `get --raw PATH`."""
        (self._folder / "raw" / path.replace("/", "_")).write_text(text)

    def say(self, kind: str, text: str) -> None:
        """Instead of a list."""
        (self._folder / kind).write_text(text)

    def refuse(self, kind: str, words: str) -> None:
        (self._folder / f"{kind}.error").write_text(words)
