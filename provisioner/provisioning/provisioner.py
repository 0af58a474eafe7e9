"""Provisioner: the use case of provisioning. Locates a client, has a unit chosen and recorded.

Everything arrives as arguments (fleet view, locator, ledger, clocks) and answers leave
through sinks as bytes, so that one path serves single calls and batches on any transport.

Whether a client has an assignment already is not known before the store is asked. New clients are
claimed at once, and the refused claim brings the assignment they had; but where many turn out to be
known (a fleet of devices that starts again), the store is asked first, so that known ones do not
spoil the batches of the new. What decides is the share of recent clients that were known. It is
also asked first where more wait than can be served in time: reads do not queue behind writes, so
known clients are answered and only new ones turned away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from control_plane import keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.unit import TenantSpec
from control_plane.histogram import TOP_MS, MillisecondHistogram
from control_plane.identity.names import check_client_id
from control_plane.serving.status import code_of
from control_plane.serving.traced_calls import span_of
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import KeyValue
from provisioner.fleet_view import FleetView
from provisioner.geo.locator import Locator
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment
from provisioner.ledger.client_quotas import ClientQuotaReached
from provisioner.ledger.port import Ledger
from provisioner.ledger.recent_assignments import RecentAssignments
from provisioner.moves.move_operation import Moved
from provisioner.placement.attributes import NO_ATTRIBUTES, Attributes
from provisioner.policy.told_attributes import check_told
from provisioner.provisioning.admission_control import MAX_WAITING, TURNED_AWAY, AdmissionController
from provisioner.provisioning.answers import Answers
from provisioner.provisioning.attribute_updates import AttributeUpdates
from provisioner.provisioning.client_proof import ANYONES, ClientProof, damaged
from provisioner.provisioning.hook_waits import HookWaits
from provisioner.provisioning.joined_callers import ComeAfter, proven, told_of
from provisioner.provisioning.key_binding import KeyBinder
from provisioner.provisioning.move_on_contact import MoveOnContact
from provisioner.provisioning.pending import AnyPending, LookupBeforeRefusal
from provisioner.provisioning.placer import NO_PLACE, Placer
from provisioner.provisioning.sampled_steps import SampledSteps, Step
from provisioner.provisioning.single import SingleProvision, Sink
from provisioner.provisioning.tenant_shares import TenantShares
from provisioner.provisioning.ticket_fallback import LET_DOWN
from provisioner.provisioning.traced_provision import begin_traced

DEFAULT_TIMEOUT_S = 5.0  # a client without deadline of its own is answered within this
CHECK_STORE_ABOVE = 0.02  # share of recent clients that were known
KNOWN_SHARE_WEIGHT = 1 / 256  # of the newest client in that share
EXISTING_RULE = "existing"  # of an answer that decided nothing
ADMISSION_INTERVAL_S = 0.1  # how often the admission controller learns how things stand


class Provisioner:
    """One per server. clock: monotonic seconds; wall: Unix seconds. move_on_contact: moves who
    should not stay; None: nobody is moved. binder: of keys to known clients; None: they get none.
    hook_waits: None: nobody waits. updates: None: records keep the attributes that they have.
    most_waiting: clients in all, before shares count."""

    def __init__(
        self,
        *,
        fleet_view: FleetView,
        locator: Locator,
        ledger: Ledger,
        placer: Placer,
        answers: Answers,
        admission: AdmissionController,
        move_on_contact: MoveOnContact | None,
        binder: KeyBinder | None = None,
        hook_waits: HookWaits | None = None,
        recent: RecentAssignments | None = None,
        updates: AttributeUpdates | None = None,
        clock: Callable[[], float],
        wall: Callable[[], float],
        most_waiting: int = MAX_WAITING,
    ) -> None:
        self.locator = locator
        self.placer = placer
        self.answers = answers
        self.recent = recent
        self.admission = admission
        self._fleet_view = fleet_view
        self._ledger = ledger
        self._move_on_contact = move_on_contact
        self._binder = binder
        self._updates = updates
        self.hook_waits = hook_waits
        self._clock = clock
        self._wall = wall
        self._most_waiting = most_waiting
        self._under_way: dict[bytes, AnyPending] = {}
        self._asking: dict[bytes, AnyPending] = {}  # those who may not make their client
        self._after = ComeAfter(self)
        self._shares = TenantShares()
        self._known_share = 0.0
        self._turn_ms = 0  # Unix ms in this turn of the loop; 0: nobody has asked
        self.new = self.known = self.refused = 0
        self.new_times = MillisecondHistogram()  # from asking to a durable assignment
        self.known_times = MillisecondHistogram()
        self.over_quota: Callable[[str], None] = lambda tenant: None  # told of each client refused
        self.failures: dict[str, int] = {}  # of clients without ticket, by the name of their status
        self.steps = SampledSteps(clock)
        self.traces_calls = False  # whether sinks may have spans

    @property
    def under_way(self) -> int:
        """Clients that wait for their answer."""
        return len(self._under_way) + len(self._asking)

    def now(self) -> float:
        """Monotonic time, s."""
        return self._clock()

    def wall_ms(self) -> int:
        """Unix time, ms."""
        return int(self._wall() * 1000)

    def turn_ms(self) -> int:
        """The same, read once in each turn of the event loop: answers come many at a time."""
        if not self._turn_ms:
            self._turn_ms = self.wall_ms()
            asyncio.get_running_loop().call_soon(self._end_turn)
        return self._turn_ms

    def _end_turn(self) -> None:
        self._turn_ms = 0

    async def run(self) -> None:
        """Keeps the admission controller informed, for ever."""
        before = self._clock()
        while True:
            await asyncio.sleep(ADMISSION_INTERVAL_S)
            self.steps.due = True
            now = self._clock()
            self.admission.update(
                waiting=self.under_way,
                served=self.new + self.known,
                seconds=max(ADMISSION_INTERVAL_S, now - before),
                may_write=self._ledger.may_write,
                connected=self._ledger.connected,
            )
            before = now

    # -- asking ------------------------------------------------------------------------

    def provision(
        self,
        tenant: TenantSpec,
        client_id: str,
        address: str | None,
        position: tuple[float, float] | None,
        sink: Sink,
        *,
        proof: ClientProof = ANYONES,
        with_ticket: bool = True,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        kind: Callable[..., SingleProvision] = SingleProvision,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> None:
        """Sees to it that `sink` is answered, once. `address`: the client's, or that of its
        connection; `position`: latitude and longitude it declared, degrees; `proof`: what the
        caller showed; `kind`: makes the pending provision; another one is not traced step by step;
        `attributes`: that it tells of the client, beside those of the proof.
        Raises InvalidInput and Unavailable before anything has begun."""
        check_client_id(client_id)
        if attributes is not NO_ATTRIBUTES or proof.attributes is not NO_ATTRIBUTES:
            attributes = check_told({**proof.attributes, **attributes})
        if self.traces_calls and kind is SingleProvision:  # all that it costs untraced
            span = span_of(sink)
            if span is not None:
                begin_traced(
                    self, span, tenant, client_id, address, position, sink,
                    proof=proof, with_ticket=with_ticket, timeout_s=timeout_s,
                    attributes=attributes,
                )  # fmt: skip
                return
        steps = self.steps
        sampled = steps.open
        if sampled:
            steps.done(Step.ADMIT)
        location = self.locator.locate(address, position, tenant.default_position)
        if sampled:
            steps.located()
        pending = kind(
            self, keys.assignment(tenant.id, client_id), tenant, client_id, location,
            self.wall_ms(), self._clock() + timeout_s, with_ticket, sink, proof,
            attributes,
        )  # fmt: skip
        try:
            self.begin(pending)
        finally:
            if sampled:
                steps.active = False

    def begin(self, pending: AnyPending) -> None:
        """Puts a client on its way; one for the same client that is under way already takes its
        caller along, unless that tells other attributes: it is begun afterwards. Raises
        Unavailable, and then `pending` is nothing."""
        key, may_claim = pending.key, pending.proof.may_claim
        waiting = self._under_way if may_claim else self._asking
        under_way = waiting.get(key)
        if under_way is not None:
            if pending.attributes and pending.attributes != under_way.attributes:
                self._after.add(pending)
                return
            under_way.join(pending)
            return
        crowded = len(waiting) >= self.admission.limit
        tenant = pending.tenant.id
        if crowded and (
            self.admission.store_away
            or self._shares.is_full(tenant, len(waiting), self._most_waiting)
        ):
            raise self.admission.refusal(shows_ticket=pending.shows_ticket)
        waiting[key] = pending
        self._shares.enter(tenant)
        if crowded or not may_claim or self._known_share > CHECK_STORE_ABOVE:
            pending.checked_store = True
            self._ledger.look_up(pending)
        else:
            self.claim(pending)

    def _is_over_its_share(self, tenant: str) -> bool:
        """Of the clients that may wait at the rate they are served."""
        return self._shares.waiting(tenant) > self._shares.share(tenant, self.admission.limit)

    # -- what a pending provision calls, as ProvisionFlow ------------------------------

    def claim(self, pending: AnyPending) -> None:
        """Chooses a unit for the client and asks the ledger for a slot there, if it may be
        made."""
        if not pending.proof.may_claim:
            self.denied(pending)
            return
        if self.hook_waits is None or not self.hook_waits.begin(pending, self._claim):
            self._claim(pending)

    def _claim(self, pending: AnyPending) -> None:
        account = pending.choose()
        if isinstance(account, ServiceError):
            self.failed(pending, account)
            return
        pending.account = account
        if self.steps.active:
            self.steps.decided(pending)
        self._ledger.submit(pending)

    def absent(self, pending: AnyPending) -> None:
        """The store was asked, and holds no assignment of the client."""
        if not pending.proof.may_claim:
            self.denied(pending)
        elif len(
            self._under_way
        ) - self._ledger.lookups_waiting > self.admission.limit and self._is_over_its_share(
            pending.tenant.id
        ):
            self.failed(pending, self.admission.refusal(shows_ticket=pending.shows_ticket))
        else:
            self.claim(pending)

    def assigned(self, pending: AnyPending) -> None:
        """The assignment is durable."""
        self.count_new(pending)
        sampled = pending is self.steps.pending
        if sampled:
            self.steps.done(Step.RECORD)
        if pending.joined is not None:
            key = pending.proof.bound_key
            pending.joined = self._proven(
                pending.joined, lambda proof: proof.vouched or proof.has_key(key)
            )
        at_ms = pending.at_ms
        self.answers.send(
            pending, pending.account.unit, 1, at_ms, at_ms, pending.choice.rule, False
        )
        if sampled:
            self.steps.answered()

    def count_new(self, pending: AnyPending) -> None:
        """A new client's assignment is durable, and somebody answers it."""
        self.new += 1
        took_ms = (self._turn_ms or self.turn_ms()) - pending.at_ms
        if 0 <= took_ms <= TOP_MS:  # 5 us is all that a client of a batch takes
            self.new_times.counts[took_ms] += 1
        else:
            self.new_times.observe_ms(took_ms)
        self._known_share -= self._known_share * KNOWN_SHARE_WEIGHT
        if self._under_way.pop(pending.key, None) is not None:
            self._shares.leave(pending.tenant.id)
        if self._after.waiting:
            self._after.answered(pending.key)

    def existing(self, pending: AnyPending, found: KeyValue) -> None:
        """The store holds an assignment of the client already."""
        try:
            record = decode_assignment(found.value)
        except UNREADABLE:
            if pending.proof.vouched:
                self.failed(pending, damaged(pending.client_id))
            else:
                self.denied(pending)
            return
        proof = pending.proof
        if not (proof.vouched or proof.proves(record)):
            # Before it is moved, and before anybody is told of it.
            if pending.joined is None:
                self.denied(pending)
            else:
                self.stays(pending, record)
            return
        updates = self._updates if pending.attributes else None
        if updates is not None and updates.begin(self, pending, found, record):
            return
        # One attribute where nobody has to move: it is a known client's hot path.
        if not (
            self._fleet_view.restless
            and self._move_on_contact is not None
            and self._move_on_contact.begin(pending, found, record)
        ):
            if proof.binds_known and proof.key and not record.key and self._binder is not None:
                self._binder.bind(found, proof.key)
            self.stays(pending, record)

    def stays(self, pending: AnyPending, record: AssignmentRecord) -> None:
        """The client keeps the assignment it has."""
        self._count_known(pending)
        told = self._told(pending, record)
        if told is not None:
            self.answers.send(
                told, record.unit, record.epoch, record.at_ms, record.first_ms, EXISTING_RULE, True
            )

    def moved(self, pending: AnyPending, before: AssignmentRecord, now: Moved, rule: str) -> None:
        """The client had an assignment, and was moved to another unit."""
        self._count_known(pending)
        told = self._told(pending, before)
        if told is not None:
            self.answers.send(told, now.unit, now.epoch, now.at_ms, now.first_ms, rule, False)

    def failed(self, pending: AnyPending, error: ServiceError) -> None:
        """The client goes without, unless there is no room for new clients and this one has
        an assignment already."""
        if not pending.checked_store and isinstance(error, NO_PLACE):
            pending.checked_store = True
            self._ledger.look_up(LookupBeforeRefusal(pending, error))
            return
        self.refused += 1
        code = code_of(error)
        if isinstance(error, ClientQuotaReached):
            self.over_quota(pending.tenant.id)
        # Who is turned away is counted as that, and who shows a ticket by what comes of it.
        elif not isinstance(error, TURNED_AWAY) and not (pending.shows_ticket and code in LET_DOWN):
            self.failures[code.name] = self.failures.get(code.name, 0) + 1
        self._leave(pending)
        if isinstance(error, Unavailable) and not isinstance(error, TURNED_AWAY):
            error = self.admission.with_retry_delay(error)
        pending.fail(error)
        for other in pending.joined or ():
            other.fail(error)

    def _told(self, pending: AnyPending, record: AssignmentRecord) -> AnyPending | None:
        told, denied = told_of(pending, record)
        self.refused += denied
        return told

    def _proven(
        self, asked: list[AnyPending], proves: Callable[[ClientProof], bool]
    ) -> list[AnyPending]:
        found, denied = proven(asked, proves)
        self.refused += denied
        return found

    def denied(self, pending: AnyPending) -> None:
        """The client is not there and may not be made, or whoever asked is not it: which of
        both, nobody is told."""
        self._leave(pending)
        self._proven([pending, *(pending.joined or ())], lambda proof: False)

    def _leave(self, pending: AnyPending) -> None:
        waiting = self._under_way if pending.proof.may_claim else self._asking
        if waiting.pop(pending.key, None) is not None:
            self._shares.leave(pending.tenant.id)
        if self._after.waiting:
            self._after.answered(pending.key)

    def _count_known(self, pending: AnyPending) -> None:
        self.known += 1
        self.known_times.observe_ms((self._turn_ms or self.turn_ms()) - pending.at_ms)
        self._known_share += (1.0 - self._known_share) * KNOWN_SHARE_WEIGHT
        self._leave(pending)
