"""A newcomer's walk is short: from `Provision` in the servicer to the ledger's transaction no
module is entered more than twice, and neither is one on the way back.

One client provisions itself through the real servicer, use case, ledger and embedded store,
and every call is traced. A module is entered when a function of it is called from another
module, or by the event loop. Returns are not entries, and neither is a coroutine that goes on
after an await. What does not count:

- making an object (`__init__`): it decides nothing;
- LEAVES: values and pure functions that call nothing but themselves and each other. They are
  looked up, not walked through.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.compiled_modules import are_compiled
from control_plane.identity.enrolment_groups import EnrolmentGroups
from control_plane.identity.key_wrapping import NoWrapping
from control_plane.quotas.limits import read_limits
from control_plane.quotas.quotas import Quotas
from control_plane.serving.calls import HotCall
from control_plane.serving.peers import Proxies
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Health
from control_plane.store.status import StoreStatus
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.callers import Callers
from provisioner.api.client_proofs import ClientProofs
from provisioner.api.provisioning_service import ProvisioningService
from provisioner.provisioning.bootstrap_lookup import BootstrapEnrolment
from provisioner.provisioning.enrolment import Enrolment
from provisioner.provisioning.tenant_issuers import TenantIssuers
from provisioner.watching.clients import ClientWatches
from provisioner.wiring.services import QUOTAS
from tests.support.provisioning_harness import AwaitedSink, ProvisioningHarness, provisioning
from tests.support.servers import units

PACKAGE = "provisioner"
AT_MOST = 2
TRANSACTIONS = "provisioner.ledger.transactions"
LEAVES = frozenset(
    {
        "provisioner.ledger.account",  # what is held at a unit: numbers
        "provisioner.ledger.assignment",  # an assignment as bytes and back
        "provisioner.placement.filters",  # by what a client is placed: values
        "provisioner.placement.occupancy",  # room and load by unit: numbers
        "provisioner.provisioning.client_proof",  # what a call shows, held against a record
        "provisioner.provisioning.response_encoding",  # an answer as bytes
    }
)


class Call(HotCall):
    """One call of Provision, without a transport."""

    def __init__(self, client_id: str) -> None:
        self.payload = pb.ProvisionRequest(client_id=client_id).SerializeToString()
        self.sink = AwaitedSink()

    def metadata(self):
        return []

    def peer(self) -> str:
        return "ipv4:81.2.69.142:5"

    def time_left_s(self) -> float | None:
        return None

    def reply(self, response: bytes) -> None:
        self.sink.reply(response)

    def fail(self, error) -> None:
        self.sink.fail(error)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProvisioningHarness]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=100, virginia=100)) as harness:
        yield harness
    await store.close()


@pytest.fixture
async def service(harness: ProvisioningHarness) -> ProvisioningService:
    callers = Callers(Proxies(), AccessControl({}, None))
    return ProvisioningService(
        provisioner=harness.provisioner,
        assignments=harness.assignments,
        answers=harness.answers,
        fallback=harness.fallback,
        fleet_view=harness.fleet_view,
        callers=callers,
        proofs=ClientProofs(
            callers,
            harness.fallback,
            Enrolment(
                EnrolmentGroups(harness.store, NoWrapping(), random=os.urandom, wall=lambda: 0.0),
                TenantIssuers(wall=lambda: 0.0, clock=lambda: 0.0),
            ),
        ),
        bootstrap=BootstrapEnrolment(None, clock=lambda: 0.0, wall=lambda: 0.0),
        quotas=Quotas(read_limits({}, QUOTAS), clock=lambda: 0.0),
        watches=ClientWatches(
            harness.store,
            following=asyncio.Event(),
            limit=1,
            clock=lambda: 0.0,
            jitter=lambda: 0.0,
        ),
        store_status=StoreStatus(
            Health(connected=True),
            wall=lambda: 0.0,
            confirmed=lambda: True,
            on_foreign=lambda: None,
            as_of=0.0,
            cluster="",
        ),
    )


@contextmanager
def entries() -> Iterator[list[tuple[str, str]]]:
    """The modules of the package as they are entered, each with the function."""
    entered: list[tuple[str, str]] = []
    begun: set[int] = set()  # coroutines that go on after an await are called again
    kept: list[FrameType] = []  # so that no other frame gets the id of one of them

    def heard(frame: FrameType, event: str, arg: object) -> None:
        if event != "call" or id(frame) in begun:
            return
        code = frame.f_code
        if code.co_flags & 0x80:  # CO_COROUTINE
            begun.add(id(frame))
            kept.append(frame)
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != PACKAGE or module in LEAVES or code.co_name == "__init__":
            return
        caller = frame.f_back
        if caller is None or caller.f_globals.get("__name__") != module:
            entered.append((module, code.co_qualname))

    sys.setprofile(heard)
    try:
        yield entered
    finally:
        sys.setprofile(None)


async def walk(service: ProvisioningService, client_id: str) -> list[tuple[str, str]]:
    call = Call(client_id)
    with entries() as entered:
        service.provision_hot(call)
        answer = await call.sink.answer
    assert isinstance(answer, bytes), answer
    return entered


@pytest.mark.skipif(are_compiled(), reason="compiled functions are entered unseen")
@pytest.mark.parametrize("known", [False, True], ids=["new-client", "known-client"])
async def test_no_module_is_entered_more_than_twice(
    service: ProvisioningService, harness: ProvisioningHarness, known: bool
) -> None:
    # Somebody was here before: the server has slots at the unit, and knows its place.
    assert isinstance(await harness.ask("earlier"), bytes)
    await asyncio.sleep(0)
    if known:
        assert isinstance(await harness.ask("alice"), bytes)
        harness.provisioner._known_share = 0.0
    entered = await walk(service, "alice")
    counts = Counter(module for module, _ in entered)
    story = "\n".join(f"{module}: {function}" for module, function in entered)
    assert counts["provisioner.api.provision_calls"] == 1, story
    assert counts[TRANSACTIONS] >= 1, story
    written = entered.index((TRANSACTIONS, "assign"))
    for way in (entered[: written + 1], entered[written + 1 :]):  # to the transaction, and back
        assert max(Counter(module for module, _ in way).values()) <= AT_MOST, story
