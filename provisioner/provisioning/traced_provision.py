"""TracedProvision: a pending provision whose call is traced, with a span for each step.

The steps are those of `sampled_steps`: admit, locate, decide, record, answer; a client that is
looked up before it is claimed has `look up` as well. Calls that are not traced never come here.
"""

from __future__ import annotations

from typing import Protocol

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.fleet.unit import TenantSpec
from control_plane.store.port import KeyValue
from control_plane.tracing.tracer import Span
from provisioner.geo.locator import Locator
from provisioner.ledger.account import Account
from provisioner.placement.attributes import Attributes
from provisioner.provisioning.client_proof import ClientProof
from provisioner.provisioning.pending import AnyPending, ProvisionFlow
from provisioner.provisioning.sampled_steps import Step
from provisioner.provisioning.single import SingleProvision, Sink

LOOK_UP = "look up"


class TracingFlow(ProvisionFlow, Protocol):
    """What is needed of the use case."""

    locator: Locator

    def begin(self, pending: AnyPending, /) -> None:
        """Puts a client on its way."""
        ...

    def now(self) -> float:
        """Monotonic time, s."""
        ...

    def wall_ms(self) -> int:
        """Unix time, ms."""
        ...


class TracedProvision(SingleProvision):
    """span: of its call; since_ns: when the step under way began; recording: while the ledger
    has it."""

    __slots__ = ("recording", "since_ns", "span")

    span: Span
    recording: Span | None
    since_ns: int

    def trace(self, span: Span, since_ns: int) -> None:
        """From now on its steps are told."""
        self.span, self.since_ns, self.recording = span, since_ns, None

    def choose(self) -> Account | ServiceError:
        self._recorded("rerouted")
        began = self.span.now_ns()
        account = super().choose()
        self.since_ns = self.span.now_ns()
        self.span.step(Step.DECIDE, began, self.since_ns)
        if not isinstance(account, ServiceError):
            self.span.set("homeport.unit", account.unit)
            self.span.set("homeport.rule", self.choice.rule)
            self.recording = self.span.child(Step.RECORD, at_ns=self.since_ns)
        return account

    def assigned(self, revision: int) -> None:
        self._recorded("assigned")
        super().assigned(revision)

    def existing(self, found: KeyValue) -> None:
        self._recorded("existing")
        super().existing(found)

    def changed(self, found: KeyValue | None) -> None:
        self._recorded("changed")
        super().changed(found)

    def failed(self, error: ServiceError) -> None:
        self._recorded("failed")
        super().failed(error)

    def found(self, found: KeyValue | None) -> None:
        now = self.span.now_ns()
        self.span.step(LOOK_UP, self.since_ns, now)
        self.since_ns = now
        super().found(found)

    def reply(self, response: bytes) -> None:
        self._recorded("joined")
        self.span.step(Step.ANSWER, self.since_ns, self.span.now_ns())
        super().reply(response)

    def fail(self, error: ServiceError) -> None:
        self._recorded("failed")
        super().fail(error)

    def _recorded(self, outcome: str) -> None:
        """The ledger has done with it, if it had it."""
        if self.recording is not None:
            self.since_ns = self.span.now_ns()
            self.recording.set("homeport.outcome", outcome)
            self.recording.end(at_ns=self.since_ns)
            self.recording = None


def begin_traced(
    flow: TracingFlow,
    span: Span,
    tenant: TenantSpec,
    client_id: str,
    address: str | None,
    position: tuple[float, float] | None,
    sink: Sink,
    *,
    proof: ClientProof,
    with_ticket: bool,
    timeout_s: float,
    attributes: Attributes,
) -> None:
    """As Provisioner.provision, of a call that has a span."""
    began = span.now_ns()
    span.step(Step.ADMIT, span.began_ns, began)
    span.set("homeport.tenant", tenant.id)
    location = flow.locator.locate(address, position, tenant.default_position)
    located = span.now_ns()
    span.step(Step.LOCATE, began, located, **{"homeport.location": location.source.value})
    pending = TracedProvision(
        flow,
        keys.assignment(tenant.id, client_id),
        tenant,
        client_id,
        location,
        flow.wall_ms(),
        flow.now() + timeout_s,
        with_ticket,
        sink,
        proof,
        attributes,
    )
    pending.trace(span, located)
    flow.begin(pending)
