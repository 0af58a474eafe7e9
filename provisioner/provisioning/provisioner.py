"""Desk: the use case. Locates a client, has a unit chosen, has it recorded, answers.

Everything arrives as arguments (world, locator, ledger, issuer, clocks) and answers leave
through sinks as bytes, so that one path serves single calls and batches on any transport.

Whether a client has a home already is not known before the store is asked. New clients are
claimed at once, and the refused claim brings the home they had; but where many turn out to
be known (a fleet of devices that starts again), the desk looks first, so that known ones do
not spoil the batches of the new. It goes by the share of recent clients that were known. It
also looks first where more wait than can be served in time: reads have a way of their own,
so known clients get their answer and only the new are turned away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from control_plane import keys
from control_plane.errors import Exhausted, NotFound, Refused, ServiceError, Unavailable
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.names import check_client_id
from control_plane.store.port import KeyValue
from provisioner.fleet_view import FleetView
from provisioner.geo.location import Location, LocationSource
from provisioner.geo.locator import Locator
from provisioner.ledger.account import Account
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.ledger.ledger import Ledger
from provisioner.ledger.sharded.ledger import ShardedLedger
from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import distance_km
from provisioner.provisioning import response_encoding
from provisioner.provisioning.admission_control import MOST, AdmissionController, Overloaded
from provisioner.provisioning.pending import PendingProvision, Sink
from provisioner.provisioning.ticket_signer import TicketSigner

if TYPE_CHECKING:
    from provisioner.provisioning.move_on_contact import MoveOnContact

PATIENCE_S = 5.0  # a client without deadline of its own is answered within this
LOOK_FIRST_ABOVE = 0.02  # share of recent clients that were known
MEMORY = 1 / 256  # weight of the newest client in that share
DECISIONS_KEPT = 50_000
EXISTING = "existing"  # the rule of an answer that decided nothing
LOOK_S = 0.1  # how often the turnstile is set


class Provisioner:
    """One per server. clock: monotonic seconds; wall: Unix seconds; jitter: a number
    between 0 and 1, new at each call, for delays that many clients are told at once."""

    def __init__(
        self,
        *,
        fleet_view: FleetView,
        locator: Locator,
        ledger: Ledger | ShardedLedger,
        tickets: TicketSigner,
        policy: PlacementPolicy,
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self.fleet_view = fleet_view
        self.locator = locator
        self.ledger = ledger
        self._tickets = tickets
        self.policy = policy
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._under_way: dict[bytes, PendingProvision] = {}
        self._known_share = 0.0
        self._decisions: dict[tuple[int, str, str], tuple[Location, bytes]] = {}
        self.admission = AdmissionController(jitter=jitter)
        self.move_on_contact: MoveOnContact | None = None  # moves those who ask and should not stay
        self.new = 0
        self.known = 0
        self.refused = 0
        self.follow(fleet_view.fleet)

    def follow(self, fleet: PlacementFleet) -> None:
        """From now on decides over this snapshot."""
        self.fleet = fleet
        self.ledger.follow([unit.id for unit in fleet.units])
        self._chooser = self.ledger.chooser(fleet, self.policy)
        self.accounts: list[Account] = [self.ledger.account(unit.id) for unit in fleet.units]
        self.unit_bytes = {
            unit_id: response_encoding.unit_bytes(unit_id, spec.endpoint)
            for unit_id, spec in self.fleet_view.units.items()
        }
        if self.move_on_contact is not None:
            self.move_on_contact.follow(fleet, self.ledger.occupancy)

    @property
    def under_way(self) -> int:
        """Clients that wait for their answer."""
        return len(self._under_way)

    def now(self) -> float:
        """Monotonic time, s."""
        return self._clock()

    async def run(self) -> None:
        """Sets the turnstile, for ever."""
        before = self._clock()
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._clock()
            self.admission.look(
                waiting=self.under_way,
                served=self.new + self.known,
                seconds=max(LOOK_S, now - before),
                standing=self.ledger.standing,
                connected=self.ledger.connected,
            )
            before = now

    def wall_ms(self) -> int:
        """Unix time, ms."""
        return int(self._wall() * 1000)

    # -- asking ------------------------------------------------------------------------

    def tenant(self, tenant_id: str) -> TenantSpec:
        """Raises NotFound."""
        tenant = self.fleet_view.tenant(tenant_id or "default")
        if tenant is None:
            raise NotFound(
                f"there is no tenant {tenant_id!r}; apply it with `homeport tenants apply`"
            )
        return tenant

    def provision(
        self,
        tenant: TenantSpec,
        client_id: str,
        address: str | None,
        position: tuple[float, float] | None,
        sink: Sink,
        *,
        with_ticket: bool = True,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Sees to it that `sink` is answered, once. `address`: the client's, or that of its
        connection; `position`: latitude and longitude it declared, degrees. Raises
        InvalidInput and Unavailable before anything has begun."""
        check_client_id(client_id)
        self.begin(
            PendingProvision(
                self,
                keys.assignment(tenant.id, client_id),
                tenant,
                client_id,
                self.locator.locate(address, position, tenant.default_position),
                self.wall_ms(),
                self._clock() + patience_s,
                with_ticket,
                sink,
            )
        )

    def begin(self, claim: PendingProvision) -> None:
        """Puts a claim on its way; one for the same client that is under way already takes
        its caller along. Raises Unavailable, and then the claim is nothing."""
        key = claim.key
        under_way = self._under_way.get(key)
        if under_way is not None:
            if under_way.also is None:
                under_way.also = []
            under_way.also.append((claim, claim.with_ticket))
            return
        crowded = len(self._under_way) >= self.admission.limit
        if crowded and (self.admission.shut or len(self._under_way) >= MOST):
            raise self.admission.refusal()
        self._under_way[key] = claim
        if crowded or self._known_share > LOOK_FIRST_ABOVE:
            claim.looked = True
            self.ledger.look_up(claim)
        else:
            self.claim(claim)

    def claim_new(self, claim: PendingProvision) -> None:
        """The store was asked and knows no home of this client."""
        if len(self._under_way) - self.ledger.looking > self.admission.limit:
            claim.failed(self.admission.refusal())
        else:
            self.claim(claim)

    def claim(self, claim: PendingProvision) -> None:
        """Chooses a unit for the client and asks the ledger for a slot."""
        account = claim.choose()
        if isinstance(account, ServiceError):
            claim.failed(account)
            return
        claim.account = account
        self.ledger.submit(claim)

    def choose(
        self, tenant_id: str, client_key: bytes, location: Location
    ) -> Choice | ServiceError:
        """The unit for a client as things stand; `accounts` has ours there."""
        choice = self._chooser.choose(location, tenant_id, client_key)
        if isinstance(choice, NoChoice):
            return self._no_room(choice, tenant_id)
        return choice

    def _no_room(self, choice: NoChoice, tenant_id: str) -> ServiceError:
        if not choice.allowed:
            if not self.fleet.units:
                return Refused("the fleet has no units; apply one with `homeport units apply`")
            return Refused(
                f"no unit may take this client of tenant {tenant_id}: {choice.reason}; "
                "`homeport explain` shows each unit's reason"
            )
        self.ledger.cry(choice.allowed)
        return Exhausted(
            "all units that may take this client are full; try again later, or add capacity",
            retry_after_s=1.0 + 2.0 * self._jitter(),
        )

    # -- answering ---------------------------------------------------------------------

    def answer_new(self, claim: PendingProvision) -> None:
        """The assignment is durable."""
        unit_id = claim.account.unit
        decision = self.placed(claim)
        self._answer(claim, unit_id, 1, claim.at_ms, decision, existing=False)

    def placed(self, claim: PendingProvision) -> bytes:
        """Counts a client whose assignment is durable; how it was decided, as bytes."""
        self.new += 1
        self._known_share -= self._known_share * MEMORY
        self._under_way.pop(claim.key, None)
        return self._decision(claim.location, claim.account.unit, claim.choice.rule)

    def answer_existing(self, claim: PendingProvision, record: AssignmentRecord) -> None:
        """The client had a home already."""
        self.known += 1
        self._known_share += (1.0 - self._known_share) * MEMORY
        decision = self._decision(claim.location, record.unit, EXISTING)
        self._answer(claim, record.unit, record.epoch, record.at_ms, decision, existing=True)

    def moves_on(self, claim: PendingProvision, found: KeyValue, record: AssignmentRecord) -> bool:
        """Whether the client is moved before it is answered."""
        return self.move_on_contact is not None and self.move_on_contact.takes(claim, found, record)

    def answer_moved(
        self, claim: PendingProvision, unit_id: str, epoch: int, at_ms: int, rule: str
    ) -> None:
        """The client had a home already and was given another one."""
        self.known += 1
        self._known_share += (1.0 - self._known_share) * MEMORY
        decision = self._decision(claim.location, unit_id, rule)
        self._answer(claim, unit_id, epoch, at_ms, decision, existing=False)

    def answer_error(self, claim: PendingProvision, error: ServiceError) -> None:
        """The client goes without, unless there is no room for new clients and this one has
        a home already."""
        if not claim.looked and isinstance(error, Exhausted | Refused):
            claim.looked = True
            self.ledger.look_up(_LastLook(claim, error))
            return
        self.refused += 1
        self._under_way.pop(claim.key, None)
        if isinstance(error, Unavailable) and not isinstance(error, Overloaded):
            error = self.admission.spread_out(error)
        claim.fail(error)
        for sink, _ in claim.also or ():
            sink.fail(error)

    def _answer(
        self,
        claim: PendingProvision,
        unit_id: str,
        epoch: int,
        at_ms: int,
        decision: bytes,
        *,
        existing: bool,
    ) -> None:
        self._under_way.pop(claim.key, None)
        tenant = claim.tenant
        assignment = self.assignment(tenant.id, claim.client_id, unit_id, epoch, at_ms)
        self._finish(claim, claim, claim.with_ticket, assignment, unit_id, epoch, decision,
                     existing)  # fmt: skip
        for sink, with_ticket in claim.also or ():
            self._finish(claim, sink, with_ticket, assignment, unit_id, epoch, decision, True)

    def assignment(
        self, tenant_id: str, client_id: str, unit_id: str, epoch: int, at_ms: int
    ) -> bytes:
        """An Assignment message's content."""
        unit = self.unit_bytes.get(unit_id)
        return response_encoding.assignment_bytes(
            response_encoding.tenant_bytes(tenant_id),
            client_id.encode(),
            unit if unit is not None else response_encoding.unit_bytes(unit_id, ""),
            epoch,
            response_encoding.time_bytes(at_ms),
        )

    def _finish(
        self,
        claim: PendingProvision,
        sink: Sink,
        with_ticket: bool,
        assignment: bytes,
        unit_id: str,
        epoch: int,
        decision: bytes,
        existing: bool,
    ) -> None:
        if not with_ticket:
            sink.reply(response_encoding.response_bytes(assignment, "", b"", decision, existing))
            return
        tenant = claim.tenant
        ttl = response_encoding.ttl_bytes(tenant.ticket_ttl_s)
        ticket = self._tickets.issue_now(tenant, unit_id, claim.client_id, epoch)
        if ticket is not None:
            sink.reply(
                response_encoding.response_bytes(assignment, ticket, ttl, decision, existing)
            )
            return

        def signed(ticket: str | ServiceError) -> None:
            if isinstance(ticket, ServiceError):
                sink.fail(ticket)
            else:
                sink.reply(
                    response_encoding.response_bytes(assignment, ticket, ttl, decision, existing)
                )

        self._tickets.issue_later(tenant, unit_id, claim.client_id, epoch, signed)

    def _decision(self, location: Location, unit_id: str, rule: str) -> bytes:
        """The decision's bytes; kept by identity for locations that the database shares."""
        if location.source is not LocationSource.DATABASE:
            return response_encoding.decision_bytes(
                location, self._away_km(location, unit_id), rule
            )
        key = (id(location), unit_id, rule)
        kept = self._decisions.get(key)
        if kept is not None and kept[0] is location:
            return kept[1]
        if len(self._decisions) >= DECISIONS_KEPT:
            self._decisions.clear()
        made = response_encoding.decision_bytes(location, self._away_km(location, unit_id), rule)
        self._decisions[key] = (location, made)
        return made

    def _away_km(self, location: Location, unit_id: str) -> float:
        """How far the client is from the unit; -1 where either's place is not known."""
        unit = self.fleet_view.seen(unit_id)
        if unit is None or location.latitude is None or location.longitude is None:
            return -1.0
        there = unit.position
        return distance_km(location.latitude, location.longitude, there.latitude, there.longitude)


class _LastLook:
    """Looks a client up for whom there is no room: it may have a home already."""

    __slots__ = ("claim", "error", "expires_at", "key")

    def __init__(self, claim: PendingProvision, error: ServiceError) -> None:
        self.claim = claim
        self.key = claim.key
        self.expires_at = claim.expires_at
        self.error = error

    def found(self, found: KeyValue | None) -> None:
        if found is not None:
            self.claim.existing(found)
        else:
            self.claim.failed(self.error)

    def failed(self, error: ServiceError) -> None:
        self.claim.failed(error)
