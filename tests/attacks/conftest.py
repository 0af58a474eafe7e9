"""Where the attacks' figures go: a file of rows, of which `make attacks` makes a table."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.attack_harness import Record

RESULTS = "HOMEPORT_ATTACKS_RESULTS"  # a file; `make attacks` names it


@pytest.fixture
def record() -> Record:
    """`record(**row)` notes a row. Called before anything is asserted."""

    def note(**row: Any) -> None:
        print(json.dumps(row))
        path = os.environ.get(RESULTS)
        if path:
            file = Path(path)
            rows = json.loads(file.read_text()) if file.exists() else []
            file.write_text(json.dumps([*rows, row], indent=1) + "\n")

    return note
