"""A unit that is killed (-9) while a stranger's call gives it a technical number: nothing of that
is kept, and the same call again gives it one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from control_plane import faultpoints
from tests.support.telephony_units import P1, P3, CallUnits, T, V, call_units, leg

CALLING = """
import asyncio, sys
from pathlib import Path
from tests.support.telephony_units import P3, V, call_units

async def calling():
    async with call_units(Path(sys.argv[1])) as units:
        await units.london.call(P3, V)

asyncio.run(calling())
"""
WAIT_S = 120.0


async def kept(units: CallUnits) -> tuple[list[str], int]:
    """Whom anna's links are with, and how many calls she has."""
    links = (await units.london.links("anna")).links
    return [one.contact for one in links], len(await units.london.listed("anna"))


async def test_a_call_that_fails_in_the_midst_leaves_nothing(units: CallUnits) -> None:
    """The same without a process: what fails is next after the number was given."""
    random = units.london.calls._random

    def fails(size: int) -> bytes:
        raise OSError("no more randomness")

    units.london.calls._random = fails
    with pytest.raises(OSError, match="randomness"):
        await units.london.call(P3, V)
    assert await kept(units) == ([], 0)
    units.london.calls._random = random
    assert leg(await units.london.call(P3, V)) == (P1, T)


@pytest.mark.slow
@pytest.mark.parametrize("label", faultpoints.LINKING)
async def test_a_call_on_which_its_unit_died_left_nothing_and_goes_through_again(
    tmp_path: Path, label: str
) -> None:
    root = str(Path(__file__).parents[4])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CALLING, str(tmp_path),
        env={**os.environ, faultpoints.VARIABLE: label, "PYTHONPATH": root},
    )  # fmt: skip
    async with asyncio.timeout(WAIT_S):
        assert await child.wait() == -signal.SIGKILL
    async with call_units(tmp_path) as units:
        assert await kept(units) == ([], 0)
        assert leg(await units.london.call(P3, V)) == (P1, T)
        assert await kept(units) == ([P3], 1)
        assert leg(await units.london.call(P1, T)) == (P3, V)
