"""What a page of docs tells its readers to type: commands, and files that it shows."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

_FILE = re.compile(
    r"^```yaml\n# (?P<name>[\w.-]+)\n(?P<content>.*?)^```$", re.DOTALL | re.MULTILINE
)
_IMAGE = "FROM "


def shown_files(page: str) -> dict[str, str]:
    """By name: the blocks of YAML whose first line is a comment with the name of a file."""
    return {found["name"]: found["content"] for found in _FILE.finditer(page)}


def typed_commands(page: str) -> list[str]:
    """The indented blocks, in order, each as a script of a shell; those of an image's build are
    left out."""
    return [block for block in _indented(page.splitlines()) if not block.startswith(_IMAGE)]


def _indented(lines: list[str]) -> Iterator[str]:
    block: list[str] = []
    fenced = False
    for line in [*lines, ""]:
        if line.startswith("```"):
            fenced = not fenced
        if line.startswith("    ") and not fenced:
            block.append(line)
        elif block:
            yield textwrap.dedent("\n".join(block))
            block = []
