"""Handing over between real agents, with what they kept surviving kill -9; and over mTLS."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput
from control_plane.handoff.orders import OrderIssuer
from control_plane.identity.tickets import TicketIssuer
from control_plane.process import serving_tls
from deployment_units.services.state.folder import FolderState
from deployment_units.services.state.port import read_state, replace_state
from provisioner.moves.dialing import unit_dialer
from provisioner.moves.handoff import Handoff
from provisioner.moves.handoff_result import HandoffDone, HandoffFailed, MovingClient, UnitAddress
from provisioner.settings import Settings
from tests.support.agent_processes import (
    fake_fleet,
    ready_endpoints,
    start_agent,
)
from tests.support.certificates import self_signed
from tests.support.fakes.unit import LoopbackUnit

ALICE = MovingClient(tenant="t", client_id="alice", epoch=2)
DATA = os.urandom(2_000_000)


def handing_over(issuer: TicketIssuer, settings: Settings) -> Handoff:
    return Handoff(OrderIssuer(issuer), connect=unit_dialer(settings), wall=time.time)


async def test_state_goes_from_agent_to_agent_and_outlives_kill_minus_nine(tmp_path: Path) -> None:
    fleet = fake_fleet()
    await replace_state(FolderState(tmp_path / "old" / "old"), "t", "alice", 1, DATA)
    handoff = handing_over(fleet.issuer, Settings())
    agents: list[asyncio.subprocess.Process] = []

    async def agent(server: str, unit: str) -> UnitAddress:
        ready_file = tmp_path / f"{unit}.json"
        ready_file.unlink(missing_ok=True)
        agents.append(
            await start_agent(
                f"--unit={unit}", f"--server={server}", f"--state-dir={tmp_path / unit}",
                f"--ready-file={ready_file}",
            )
        )  # fmt: skip
        endpoints = await ready_endpoints(ready_file, agents[-1])
        return UnitAddress(unit_id=unit, endpoint=endpoints[unit])

    async with fleet.serving() as address:
        try:
            old, new = await agent(address, "old"), await agent(address, "new")
            done = await handoff.hand_over(ALICE, source=old, target=new)
            assert isinstance(done, HandoffDone)
            agents[1].kill()
            await agents[1].wait()
            gone = await handoff.hand_over(ALICE, source=old, target=new)
            assert isinstance(gone, HandoffFailed)
            assert gone.unit_id == "new"
            again = await agent(address, "new")
            assert await handoff.forget(ALICE, unit=old) is None
            back = MovingClient(tenant="t", client_id="alice", epoch=3)
            assert await handoff.hand_over(back, source=again, target=old) == done
        finally:
            await handoff.close()
            for process in agents:
                if process.returncode is None:
                    process.terminate()
                await process.wait()
    assert await read_state(FolderState(tmp_path / "old" / "old"), "t", "alice") == DATA
    assert await read_state(FolderState(tmp_path / "new" / "new"), "t", "alice") == DATA


async def test_units_that_want_certificates_are_shown_one(tmp_path: Path) -> None:
    issuer = fake_fleet().issuer
    certificate, key = self_signed("127.0.0.1")
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    pem = tmp_path / "cert.pem"
    tls = serving_tls(pem, tmp_path / "key.pem", pem)
    old, new = LoopbackUnit("old", issuer), LoopbackUnit("new", issuer)
    await replace_state(old.state, "t", "alice", 1, DATA)
    settings = Settings(
        unit_ca=tmp_path / "cert.pem",
        unit_certificate=tmp_path / "cert.pem",
        unit_key=tmp_path / "key.pem",
    )
    async with old.serving(tls) as there, new.serving(tls) as here:
        source = UnitAddress(unit_id="old", endpoint=there)
        target = UnitAddress(unit_id="new", endpoint=here)
        for known, expected in ((Settings(), HandoffFailed), (settings, HandoffDone)):
            handoff = handing_over(issuer, known)
            result = await handoff.hand_over(ALICE, source=source, target=target)
            await handoff.close()
            assert isinstance(result, expected)
    assert await read_state(new.state, "t", "alice") == DATA


def test_a_ca_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        unit_dialer(Settings(unit_ca=Path("/nowhere.pem")))
    assert caught.value.field == "unit_ca"
