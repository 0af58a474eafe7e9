"""Provision calls of new clients within this process: what they take of the thread of its event
loop, from a message to its answer, over the embedded store, whose threads are not counted.

Told "go" on standard input it makes a run of calls and writes microseconds a call.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.workloads import Provisions, addresses
from control_plane.auth.access_control import AccessControl
from control_plane.fleet.file import SAMPLE, read_fleet
from control_plane.fleet.registry import UnitRegistry
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.identity.waiting_tokens import WaitingTokens
from control_plane.quotas.limits import Quota, read_limits
from control_plane.quotas.quotas import Quotas
from control_plane.serving.call_statistics import CallStatistics
from control_plane.serving.gc_freeze import freeze_gc
from control_plane.serving.native_call import NativeCall
from control_plane.serving.peers import Proxies
from control_plane.store.embedded.store import EmbeddedStore
from control_plane.supervision import Supervisor
from provisioner.api.callers import Callers
from provisioner.api.client_proofs import ClientProofs
from provisioner.api.provisioning_service import NAME, ProvisioningService
from provisioner.fleet_view import FleetView
from provisioner.geo.locator import Locator
from provisioner.geo.reloading import GeoReloader
from provisioner.ledger.single_store import single_store_ledger
from provisioner.placement.filters import PlacementPolicy
from provisioner.provisioning.admission_control import AdmissionController
from provisioner.provisioning.answers import Answers
from provisioner.provisioning.placer import Placer
from provisioner.provisioning.provisioner import Provisioner
from provisioner.provisioning.ticket_signer import TicketSigner

CALLS = 1_000  # of a run
AT_ONCE = 200
WITHIN_S = 60.0


class CountingFront:
    """What a native server hands answers to."""

    def __init__(self) -> None:
        self.left = 0
        self.done = asyncio.Event()
        self.failure = ""

    def respond(self, call: int, response: bytes) -> None:
        self.left -= 1
        if not self.left:
            self.done.set()

    def fail(self, call: int, code: int, message: str, trailers: object) -> None:
        self.failure = f"a call failed with status {code}: {message}"
        self.done.set()


def _service(store: EmbeddedStore, view: FleetView, pool: ThreadPoolExecutor) -> tuple[Any, Any]:
    """The service, which asks nobody for credentials, and its ledger."""
    numbers = itertools.count()
    ledger = single_store_ledger(
        store, clock=time.monotonic, jitter=lambda: 0.1, new_id=lambda: f"p-{next(numbers)}",
        supervisor=Supervisor(clock=time.monotonic, jitter=lambda: 0.1),
    )  # fmt: skip
    rng = random.Random(3)
    epoch = new_epoch(1, now=0.0, random=lambda count: bytes(range(count)))
    signer = TicketSigner(TicketIssuer(KeyRing(epochs=(epoch,))), wall=time.time, signers=pool)
    callers = Callers(Proxies(), AccessControl({}, None))
    nobody: Any = SimpleNamespace()
    service = ProvisioningService(
        provisioner=Provisioner(
            fleet_view=view,
            locator=Locator(GeoReloader.open(None), None),
            ledger=ledger,
            placer=Placer(
                view,
                ledger,
                PlacementPolicy(nowhere="spread"),
                jitter=rng.random,
                waiting=WaitingTokens(signer.issuer),
            ),
            answers=Answers(view, signer),
            admission=AdmissionController(jitter=rng.random),
            move_on_contact=None,
            clock=time.monotonic,
            wall=time.time,
        ),
        assignments=nobody,
        answers=nobody,
        fallback=nobody,
        fleet_view=view,
        callers=callers,
        proofs=ClientProofs(callers, nobody, nobody),
        bootstrap=nobody,
        watches=nobody,
        store_status=nobody,
        quotas=Quotas(read_limits({}, [Quota.PROVISIONS]), clock=time.monotonic),
    )
    return service, ledger


async def _calls(service: ProvisioningService, run: str) -> float:
    """Microseconds a call."""
    front, server = CountingFront(), SimpleNamespace(outstanding=0)
    statistics = CallStatistics().of(f"/{NAME}/Provision")
    payloads = Provisions(run=run, count=CALLS).payloads(0)
    gc.collect()
    began = time.thread_time()
    for start in range(0, CALLS, AT_ONCE):
        some = payloads[start : start + AT_ONCE]
        front.left = len(some)
        front.done.clear()
        now = time.monotonic()
        for number, payload in enumerate(some):
            details = ((), "ipv4:127.0.0.1:40000", None)
            service.provision_hot(
                NativeCall(server, front, number, payload, details, None, statistics, now)
            )
        async with asyncio.timeout(WITHIN_S):
            await front.done.wait()
        if front.failure:
            raise SystemExit(front.failure)
    return (time.thread_time() - began) / CALLS * 1e6


async def main() -> None:
    """Until standard input ends."""
    addresses()  # takes longer than a session of the ledger may be silent
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        store = await EmbeddedStore.open(Path(folder) / "store.db")
        registry = UnitRegistry(store, clock=time.monotonic, wall=time.time)
        for unit in read_fleet(SAMPLE):
            await registry.apply(unit)
        view = FleetView(store, clock=time.monotonic)
        await view.start()
        service, ledger = _service(store, view, pool)
        await ledger.start()
        running = asyncio.create_task(ledger.run())
        await asyncio.sleep(0.5)  # it has asked for slots
        freeze_gc()
        for number in itertools.count():
            if not await asyncio.to_thread(sys.stdin.readline):
                break
            print(await _calls(service, f"{number:08x}"), flush=True)
        running.cancel()
        await asyncio.wait([running])
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
