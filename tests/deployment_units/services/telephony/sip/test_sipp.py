"""The call server between two SIPp, each of which says who it is in every place of SIP: what either
saw is read, decoded, and holds nobody else's number."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from console.local.etcd_process import free_ports
from deployment_units.services.telephony.port import EndCause
from deployment_units.services.telephony.sip.call_server_process import (
    CallServerEndedError,
    CallServerProcess,
)
from deployment_units.services.telephony.sip.link import Configured
from tests.support.fakes.call_routing import FakeCallRouting
from tests.support.number_leaks import forms, found
from tests.support.sip_engines import P1, P2, ROUTES, T, V
from tests.support.sipp import Sipp, calling, needs_sipp, ringing, start, taking, texting

HOW_MANY, AT_ONCE = 1_000, 4  # so few that a busy machine is not overrun


def saw(file: Path, number: str) -> str | None:
    return found(file.read_bytes(), number)


@needs_sipp
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_thousand_calls_and_texts_each_way_show_nobodys_number(tmp_path: Path) -> None:
    near, far = free_ports(2)
    routing = FakeCallRouting(routes=dict(ROUTES))
    configured = Configured(
        listen=("127.0.0.1", 0), trunks=f"near=127.0.0.1:{near},far=127.0.0.1:{far}", out="far",
        emergency="far", region="GB", rate_per_s=100_000,
    )  # fmt: skip

    async def nobody(call: object, text: str) -> int | None:
        return None

    server = CallServerProcess(configured, routing, take=nobody, wall_ms=lambda: 1)
    await server.start()
    assert server.address is not None
    running = asyncio.create_task(server.run())
    there = f"127.0.0.1:{server.address[1]}"
    many = ("-m", str(HOW_MANY))
    begun: list[Sipp] = []
    try:
        for name, me, dialled, rung, masked in (
            ("there", P1, T, P2, V), ("back", P2, V, P1, T),
        ):  # fmt: skip
            for kind, begins, takes in (
                ("calls", calling, ringing), ("texts", texting, taking),
            ):  # fmt: skip
                answering = await start(
                    tmp_path, f"{name}-{kind}-far", takes(rung, forms(rung)), far, *many
                )
                asking = await start(
                    tmp_path, f"{name}-{kind}-near", begins(me, dialled, forms(me)), near, there,
                    *many, "-r", "500", "-l", str(AT_ONCE),
                )  # fmt: skip
                begun += (answering, asking)
                assert await asking.ended() == 0, asking.errors.read_text()[:2_000]
                await answering.ended()  # which minds an INVITE that comes twice, on a busy machine
                assert saw(answering.seen, me) is None
                assert saw(answering.seen, dialled) is None
                assert saw(asking.seen, rung) is None
                assert saw(asking.seen, masked) is None
                assert saw(answering.seen, masked)  # and this one it is shown
        ended = [one[3] for one in routing.told if one[0] == "ended"]
        assert ended.count(EndCause.COMPLETED) == 4 * HOW_MANY
    finally:
        for one in begun:
            one.kill()
        running.cancel()
        with suppress(asyncio.CancelledError, CallServerEndedError):
            await running
