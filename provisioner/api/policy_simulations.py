"""PolicySimulations: policies tried and simulated for callers, in child processes.

What is asked has bounds before anything is worked on; one simulation runs at a time, tenants in
turn. Clients are read page by page as the child asks for them, as of one revision. A child whose
caller has left is told to stop when it says next how far it is, and its limits hold all the while.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput, ServiceError
from control_plane.fleet.registry import UnitRegistry
from control_plane.offloading.messages import error_value
from control_plane.offloading.port import Offload, TaskLimits
from control_plane.store.port import Compacted
from provisioner.applied_policies.followed_pins import FollowedPins
from provisioner.fleet_view import FleetView
from provisioner.ledger.client_keys import ClientKeys
from provisioner.policy.reading import MOST_BYTES
from provisioner.policy.told_attributes import check_told

TASKS = "simulation.policy_tasks:TASKS"  # by name: simulation stands above this package
LIMITS = {
    "test_policy": TaskLimits(cpu_s=30.0, wall_s=120.0),
    "simulate_policy": TaskLimits(
        cpu_s=180.0, wall_s=900.0, memory_bytes=2 << 30, questions=1_000_000
    ),
}
WAITING_OF_TENANT = 4

MOST_TEXT_BYTES = 1 << 20  # cases, answers of hooks
MOST_USERS = 100_000_000_000
MOST_EXACT = 20_000_000
MOST_GROWTH = 1_000.0
MOST_WITHOUT = 1_000
MOST_SHARES = 256
PAGE = 2_000  # clients
SAID_S = 0.5  # between two words on how far it is


class Progress(NamedTuple):
    """How far a simulation is. total 0: not known."""

    doing: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is simulated, as SimulatePolicyRequest has it; current: the policy before, empty: the
    tenant has none; as_it_is: both sides have it."""

    tenant: str
    current: str
    document: str
    as_it_is: bool
    live: bool
    users: int
    exact: bool
    growth: float
    without: Sequence[str]
    sun: bool
    price_label: str
    seed: int
    hook_answers: str
    page: bool
    picture: bool
    latencies: str = ""
    attribute_shares: Sequence[tuple[str, str, float]] = ()  # name, value, percent

    def check(self) -> None:
        """Raises InvalidInput."""
        check_texts(self.document, self.hook_answers, self.latencies)
        if len(self.current) > MOST_BYTES:
            raise InvalidInput("current", f"the policy is larger than {MOST_BYTES:,} bytes")
        if self.users > MOST_USERS:
            raise InvalidInput("users", f"there are more than {MOST_USERS:,} users")
        grown = self.users * max(1.0, self.growth)
        if not (0.01 <= self.growth <= MOST_GROWTH and math.isfinite(self.growth)):
            raise InvalidInput("growth", f"growth is {self.growth:g}; give 0.01 to 1000")
        if self.exact and not self.live and grown > MOST_EXACT:
            raise InvalidInput(
                "users", f"a server places {MOST_EXACT:,} users one after another; leave out exact"
            )
        if len(self.without) > MOST_WITHOUT:
            raise InvalidInput("without_unit_ids", f"more than {MOST_WITHOUT:,} units are named")
        if len(self.attribute_shares) > MOST_SHARES:
            raise InvalidInput("attribute_shares", f"there are more than {MOST_SHARES} shares")
        for name, value, _ in self.attribute_shares:
            check_told({name: value})
        if self.live and (self.sun or self.growth != 1.0 or self.attribute_shares):
            raise InvalidInput(
                "population",
                "clients that there are neither grow nor come by the sun, and have their own "
                "attributes; leave that out, or simulate a modelled population",
            )


class PolicySimulations:
    """One per server. nowhere: what the server gives clients of whom nothing is known; geo: the
    file of its database, empty: the bundled one; one_revision: whether `clients` can be read as of
    one. page: clients read at once."""

    def __init__(
        self,
        offload: Offload,
        fleet_view: FleetView,
        registry: UnitRegistry,
        clients: ClientKeys,
        pins: FollowedPins,
        *,
        nowhere: str,
        geo: str,
        one_revision: bool,
        page: int = PAGE,
        said_s: float = SAID_S,
    ) -> None:
        self._offload = offload
        self._fleet_view = fleet_view
        self._registry = registry
        self._clients = clients
        self._pins = pins
        self._said = {"nowhere": nowhere, "geo": geo}
        self._one_revision = one_revision
        self._page = page
        self._said_s = said_s

    async def test(
        self, tenant: str, document: str, cases: str, hook_answers: str, latencies: str = ""
    ) -> Any:
        """As the task answers. Raises InvalidInput, and what `offload` does."""
        check_texts(document, hook_answers, latencies)
        if len(cases) > MOST_TEXT_BYTES:
            raise InvalidInput("cases", f"the cases are larger than {MOST_TEXT_BYTES:,} bytes")
        arguments = {
            **self._said,
            "tenant": tenant,
            "document": document,
            "cases": cases,
            "hook_answers": hook_answers,
            "latencies": latencies,
            "units": self._taking(),
        }
        return await self._offload.offload("test_policy", arguments, tenant=tenant, subject="cases")

    async def simulate(self, asked: Asked) -> AsyncGenerator[Progress | dict[str, Any]]:
        """How far it is, any number of times; last the answer of the task. Raises InvalidInput,
        Conflict, StoreUnavailable and what `offload` does."""
        asked.check()
        run = _Run(self._clients, self._pins, asked.tenant, page=self._page)
        arguments = {
            **self._said,
            **{name: getattr(asked, name) for name in Asked.__slots__},
            **await self._fleet(asked, run),
        }
        task = asyncio.ensure_future(
            self._offload.offload(
                "simulate_policy", arguments,
                tenant=asked.tenant, subject="population", answer=run.answer,
            )
        )  # fmt: skip
        try:
            while not (await asyncio.wait({task}, timeout=self._said_s))[0]:
                yield run.progress
            yield task.result()
        finally:
            run.left = True
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _fleet(self, asked: Asked, run: _Run) -> dict[str, Any]:
        """The units: for a modelled population those that take clients; else all, who takes
        nobody, and how many clients they have."""
        if not asked.live:
            return {"units": self._taking(), "closed": [], "taken": {}}
        views, revision = await self._registry.list()
        run.revision = revision if self._one_revision else 0
        takes = {unit.id for unit in self._fleet_view.fleet.units if unit.accepting}
        return {
            "units": [msgspec.to_builtins(view.spec) for view in views],
            "closed": [str(view.spec.id) for view in views if view.spec.id not in takes],
            "taken": {str(view.spec.id): view.clients for view in views},
        }

    def _taking(self) -> list[Any]:
        known = self._fleet_view.units
        fleet = self._fleet_view.fleet
        return [
            msgspec.to_builtins(known[unit.id])
            for unit in fleet.units
            if unit.accepting and unit.id in known
        ]


class _Run:
    """One simulation: answers what its child asks."""

    def __init__(self, clients: ClientKeys, pins: FollowedPins, tenant: str, *, page: int) -> None:
        self._clients = clients
        self._pins = pins
        self._prefix = keys.assignment(tenant, "")
        self._page = page
        self._after: bytes | None = None
        self.revision = 0  # as of which clients are read; 0: as of each page's moment
        self.progress = Progress("waiting")
        self.left = False  # whether nobody waits for it any more

    async def answer(self, question: Any) -> Any:
        """Never raises."""
        if self.left:
            return {"stop": True}
        if "page" not in question:
            self.progress = Progress(question["doing"], question["done"], question["total"])
            return {}
        try:
            page = await self._clients.range(
                self._prefix,
                start_after=self._after,
                limit=self._page,
                at_revision=self.revision,
            )
        except Compacted:
            gone = Conflict(
                "the history of clients was compacted while they were read; simulate again"
            )
            return {"error": error_value(gone)}
        except ServiceError as error:
            return {"error": error_value(error)}
        if page.items:
            self._after = page.items[-1].key
        self.progress = Progress("reading", self.progress.done + len(page.items))
        told = [(pair.key, self._pins.of(pair.key)) for pair in page.items]
        start = len(self._prefix)
        return {
            "items": [(pair.key, pair.value) for pair in page.items],
            "pins": {key[start:].decode(): pin.unit for key, pin in told if pin is not None},
            "more": page.more,
        }


def check_texts(document: str, hook_answers: str, latencies: str) -> None:
    """Raises InvalidInput for what is too large to be worked on."""
    if len(document) > MOST_BYTES:
        raise InvalidInput("document", f"the document is larger than {MOST_BYTES:,} bytes")
    if len(hook_answers) > MOST_TEXT_BYTES:
        raise InvalidInput("hook_answers", f"the answers are larger than {MOST_TEXT_BYTES:,} bytes")
    if len(latencies) > MOST_TEXT_BYTES:
        raise InvalidInput("latencies", f"the latencies are larger than {MOST_TEXT_BYTES:,} bytes")
