"""Two units that pass calls on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.telephony_units import call_units


@pytest.fixture
async def units(tmp_path: Path):
    async with call_units(tmp_path) as made:
        yield made
