"""Calls through a unit's call server, linked and recorded, beside a proxy that only relays.

Somebody without an account dials an account's virtual number ten times at once, again and again;
each call is looked up in the unit's rows, opens a record, rings, is answered and hung up on. The
call server is a process of its own, the unit is this one. The ceiling: Kamailio, which copies what
it gets. SIPp is both telephones of both, on the same processors in turn.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from bench.load.sipp import calls_per_s, installed
from bench.suite.accounts import TENANT, Unit
from bench.suite.measurement import WARM_UP, Measurement, Ratio, Samples, divisor
from bench.suite.processes import scratch
from console.local.etcd_process import free_ports
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from deployment_units.agent.keeping import wall_ms
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.profiles.names import NameState
from deployment_units.services.telephony.account_calls import AccountCalls
from deployment_units.services.telephony.call_reports import CallReports
from deployment_units.services.telephony.records import CallLimits
from deployment_units.services.telephony.sip.call_server_process import (
    CallServerEndedError,
    CallServerProcess,
)
from deployment_units.services.telephony.sip.link import Configured
from deployment_units.services.telephony.unit_calls import UnitCalls
from deployment_units.services.telephony.unit_numbers import UnitNumbers
from homeport.api.directory.v1 import number_pb2

CALLS = 1_500
P1, P2, V, T = "+442079460301", "+442079460302", "+442079460101", "+442079460201"
ANNA = Resident(tenant=TENANT, account="anna", epoch=1)
_NO_LIMITS = CallLimits(calls=10_000, minutes_a_day=10_000_000, texts_a_day=10_000)
_CONFIGURATION = """#!KAMAILIO
debug=-1
log_stderror=yes
children=2
disable_tcp=yes
listen=udp:127.0.0.1:{here}
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
request_route {{
  if (!mf_process_maxfwd_header("70")) {{ exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ t_relay(); exit; }}
    if (is_method("ACK") && t_check_trans()) {{ t_relay(); }}
    exit;
  }}
  t_check_trans();
  record_route();
  $du = "sip:127.0.0.1:{far}";
  t_relay();
}}
"""


class _Directory:
    """What the directory says of the account's numbers."""

    async def call(self, method: object, resident: Resident, request: Any) -> Any:
        return number_pb2.AccountNumbers(virtual=[V], technical=[T], countries=["GB"], ours=[])


class _Alone:
    """CallHomeFinder and CallPeers of a unit that is alone."""

    async def of_call(self, caller: str | None, dialled: str, *, fresh: bool = False) -> Resident:
        return ANNA

    async def of_account(self, tenant: str, account: str, *, fresh: bool = False) -> Resident:
        return ANNA

    async def route(self, home: object, asked: object) -> Any:
        raise AssertionError("there is no other unit")

    async def report(self, home: object, report: object) -> None:
        raise AssertionError("there is no other unit")


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    installed("sipp", "sip-tester")
    installed("kamailio", "kamailio")
    for number in range(WARM_UP, rounds):
        kept = Samples() if number == WARM_UP else samples
        count = CALLS // divisor(number, quick=quick)
        with scratch() as folder:
            asyncio.run(_ours(folder, count, kept))
            tick()
            asyncio.run(_relayed(folder, count, kept))
            tick()


async def _ours(folder: Path, count: int, kept: Samples) -> None:
    near, far = free_ports(2)
    async with _unit(folder / "unit", near, far) as server:
        assert server.address is not None
        began = time.process_time() + _cpu_s(server.pid)
        rate = await calls_per_s(
            folder, server.address, near, far, caller=P2, dialled=V, count=count
        )
        spent = time.process_time() + _cpu_s(server.pid) - began
    kept.add("calls_per_s", rate)
    kept.add("call_cpu_ms", 1_000 * spent / count)


@asynccontextmanager
async def _unit(folder: Path, near: int, far: int) -> AsyncIterator[CallServerProcess]:
    epoch = new_epoch(1, now=time.time(), random=secrets.token_bytes)
    unit = Unit(folder, TicketIssuer(KeyRing(epochs=(epoch,))))
    directory: Any = _Directory()
    alone: Any = _Alone()
    numbers = UnitNumbers(unit.database, unit.accounts, directory, wall_ms=wall_ms)
    calls = AccountCalls(
        unit.accounts, numbers, wall_ms=wall_ms, random=secrets.token_bytes, limits=_NO_LIMITS
    )
    await unit.accounts.change(
        ANNA,
        lambda db, owner: db.execute(
            "INSERT INTO identifiers VALUES (?, ?, 'tel', ?, '', ?, ?, NULL, 0)",
            (owner, f"tel:{P1}", P1, wall_ms(), NameState.HELD.value),
        ),
    )
    reports = CallReports(calls, alone, alone, clock=time.monotonic, jitter=lambda: 0.5)
    routing = UnitCalls(unit.database, calls, numbers, alone, alone, reports)
    configured = Configured(
        listen=("127.0.0.1", 0), trunks=f"near=127.0.0.1:{near},far=127.0.0.1:{far}", out="far",
        emergency="far", region="GB", rate_per_s=1e6,
    )  # fmt: skip

    async def nobody(call: object, text: str) -> int | None:
        return None

    server = CallServerProcess(configured, routing, take=nobody, wall_ms=wall_ms)
    await server.start()
    tasks = [asyncio.create_task(one()) for one in (server.run, reports.run)]
    try:
        yield server
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError, CallServerEndedError):
            await asyncio.gather(*tasks)
        await unit.database.close()


async def _relayed(folder: Path, count: int, kept: Samples) -> None:
    program = Path(installed("kamailio", "kamailio"))
    near, far, here = free_ports(3)
    modules = next(program.parents[1].glob("lib*/*/kamailio/modules"), "")
    file = folder / "kamailio.cfg"
    file.write_text(_CONFIGURATION.format(here=here, far=far, modules=modules))
    process = await asyncio.create_subprocess_exec(
        str(program), "-f", str(file), "-DD", "-E", "-Y", str(folder),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await asyncio.sleep(2)  # it says nowhere that it listens
        workers = _children(process.pid)
        began = sum(map(_cpu_s, workers))
        rate = await calls_per_s(
            folder, ("127.0.0.1", here), near, far, caller=P2, dialled=V, count=count
        )
        spent = sum(map(_cpu_s, workers)) - began
    finally:
        process.terminate()
        await process.wait()
    kept.add("relayed_calls_per_s", rate)
    kept.add("relayed_call_cpu_ms", 1_000 * spent / count)


def _cpu_s(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(one) for one in text.split()]


CALLING = Measurement(
    name="calls",
    ratios=(
        Ratio(key="calls_vs_kamailio", ours="calls_per_s", ceiling="relayed_calls_per_s",
              target=0.3),
    ),
    units={
        "calls_per_s": "calls/s, linked and recorded", "relayed_calls_per_s": "calls/s, relayed",
        "call_cpu_ms": "ms of processor a call, call server and unit",
        "relayed_call_cpu_ms": "ms of processor a call, Kamailio",
    },
    run=measure,
    steps=lambda rounds: 2 * (rounds + 1),
)  # fmt: skip
