"""UseCase: what provisions clients, from a checked request to its answer.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass

from control_plane.identity.waiting_tokens import WaitingTokens
from provisioner.geo.locator import Locator
from provisioner.geo.overrides import Overrides
from provisioner.geo.reloading import GeoReloader
from provisioner.moves.mover import Mover
from provisioner.provisioning.admission_control import AdmissionController
from provisioner.provisioning.answers import Answers
from provisioner.provisioning.assignments import Assignments
from provisioner.provisioning.attribute_updates import AttributeUpdates
from provisioner.provisioning.hook_waits import HookWaits
from provisioner.provisioning.key_binding import KeyBinder
from provisioner.provisioning.move_on_contact import MoveOnContact
from provisioner.provisioning.placer import Placer
from provisioner.provisioning.provisioner import Provisioner
from provisioner.provisioning.ticket_fallback import TicketFallback
from provisioner.provisioning.ticket_signer import TicketSigner
from provisioner.settings import Settings
from provisioner.wiring.clusters import Departures, record_store_finder
from provisioner.wiring.state import ServerState
from provisioner.wiring.tasks import Task

SIGNER_THREADS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCase:
    """geo: follows the file of the geo database."""

    geo: GeoReloader
    provisioner: Provisioner
    assignments: Assignments
    answers: Answers
    fallback: TicketFallback
    binder: KeyBinder
    updates: AttributeUpdates

    def tasks(self) -> dict[str, Task]:
        """What works beside the calls, by name."""
        return {
            "geo": self.geo.run,
            "admission control": self.provisioner.run,
            "keys of known clients": self.binder.run,
            "attributes of known clients": self.updates.run,
        }


def read_geo(settings: Settings) -> tuple[GeoReloader, Overrides | None]:
    """What clients are located by. Blocks, for as long as the database is large. Raises
    InvalidInput."""
    overrides = Overrides.read(settings.geo_overrides) if settings.geo_overrides else None
    return GeoReloader.open(settings.geo), overrides


def build_use_case(
    settings: Settings,
    geo: GeoReloader,
    overrides: Overrides | None,
    state: ServerState,
    mover: Mover,
    departures: Departures,
    rng: random.Random,
    stack: AsyncExitStack,
) -> UseCase:
    """Over what the server knows; its signing threads end with `stack`. mover: moves those
    who ask and should not stay where they are. departures: leases for those who are released."""
    fleet_view = state.fleet_view
    signers = stack.enter_context(ThreadPoolExecutor(SIGNER_THREADS, thread_name_prefix="signer"))
    answers = Answers(fleet_view, TicketSigner(state.issuer, wall=time.time, signers=signers))
    hooked = state.hooked
    placer = Placer(
        fleet_view,
        state.ledger,
        hooked,
        jitter=rng.random,
        waiting=WaitingTokens(state.issuer),
        hooks=hooked,
    )
    find_store = record_store_finder(state.store, state.cluster_set)
    binder = KeyBinder(find_store)
    updates = AttributeUpdates(find_store, clock=time.monotonic)
    provisioner = Provisioner(
        fleet_view=fleet_view,
        locator=Locator(geo, overrides),
        ledger=state.ledger,
        placer=placer,
        answers=answers,
        admission=AdmissionController(jitter=rng.random),
        move_on_contact=MoveOnContact(fleet_view, placer, mover, hooked, clock=time.monotonic),
        binder=binder,
        updates=updates,
        hook_waits=HookWaits(fleet_view, state.ledger, hooked),
        recent=state.recent,
        clock=time.monotonic,
        wall=time.time,
    )
    return UseCase(
        binder=binder,
        updates=updates,
        geo=geo,
        provisioner=provisioner,
        assignments=Assignments(
            state.ledger, lease=departures.lease_for, clock=time.monotonic, wall=time.time
        ),
        answers=answers,
        fallback=TicketFallback(
            fleet_view,
            state.issuer,
            answers,
            state.health,
            grace_s=settings.stale_grace_s,
            wall=time.time,
        ),
    )
