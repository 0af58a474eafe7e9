"""Deliveries as messages of homeport.api.communication.v1."""

from __future__ import annotations

from control_plane.errors import InvalidInput
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.conversations.messages import TO_CHANNEL
from deployment_units.services.conversations.requests import id_of
from deployment_units.services.gateway.kept import DeliveryRow
from deployment_units.services.gateway.records import decoded_record
from deployment_units.services.gateway.route import RoutePlan
from deployment_units.services.gateway.states import AttemptRecord, AttemptState, DeliveryState
from deployment_units.services.gateway.told import TELLABLE, MessageTold, ToldState, known_of
from homeport.api.communication.v1 import delivery_pb2 as pb

MOST_RECEIPTS = 100
_MOST_MS = 253_402_300_799_999  # the end of the year 9999
_STATES = {one: pb.DeliveryState.Value(f"DELIVERY_STATE_{one.name}") for one in DeliveryState}
_FROM_STATES = {number: one for one, number in _STATES.items()}
_ATTEMPTS = {
    AttemptState.BEGUN: DeliveryState.UNKNOWN,
    AttemptState.UNKNOWN: DeliveryState.UNKNOWN,
    AttemptState.HANDED_OVER: DeliveryState.HANDED_OVER,
    AttemptState.DELAYED: DeliveryState.DELAYED,
    AttemptState.RELAYED: DeliveryState.HANDED_OVER,
    AttemptState.FAILED: DeliveryState.UNDELIVERABLE,
    AttemptState.DELIVERED: DeliveryState.DELIVERED,
    AttemptState.SEEN: DeliveryState.SEEN,
}


def delivery_to_proto(message: bytes, conversation: bytes, row: DeliveryRow) -> pb.Delivery:
    """message, conversation: their ids; row: of a delivery to somebody else."""
    known = known_of(row.record, row.told)
    record = decoded_record(row.record)
    decisive = record.decisive if known.state is DeliveryState.DELAYED else None
    made = pb.Delivery(
        message=message,
        conversation=conversation,
        recipient=row.recipient,
        state=_STATES[known.state],
        attempts=map(_attempt_to_proto, record.attempts),
        words=row.words if decisive is None else decisive.words,
        position=row.position,
    )
    if known.at_ms is not None:
        made.state_time.FromMilliseconds(known.at_ms)
    if row.due_ms is not None:
        made.next_time.FromMilliseconds(row.due_ms)
    return made


def kept_at_once(message: KeptMessage, recipient: str) -> pb.Delivery:
    """Of a member for whom it was kept in the transaction in which it was sent, and of whom nothing
    was heard since."""
    made = pb.Delivery(
        message=message.id,
        conversation=message.conversation,
        recipient=recipient,
        state=pb.DELIVERY_STATE_HANDED_OVER,
        position=message.position,
    )
    made.state_time.FromMilliseconds(message.kept_ms)
    return made


def plan_to_proto(plan: RoutePlan) -> pb.ExplainRouteResponse:
    made = pb.ExplainRouteResponse(
        why=[pb.RouteReason(rule=one.rule, clause=one.clause, value=one.value) for one in plan.why],
        no_route=plan.no_route or "",
    )
    for one in plan.steps:
        step = made.steps.add(channel=TO_CHANNEL[one.channel], address=one.address)
        step.time.FromMilliseconds(one.at_ms)
        step.deadline.FromMilliseconds(one.deadline_ms)
    return made


def receipt_to_proto(told: MessageTold) -> pb.MessageReceipt:
    made = pb.MessageReceipt(message=told.message, state=_STATES[told.told.state])
    made.time.FromMilliseconds(told.told.at_ms)
    return made


def receipts_of(request: pb.ReceiptRequest) -> list[MessageTold]:
    """Raises InvalidInput."""
    if not 0 < len(request.receipts) <= MOST_RECEIPTS:
        raise InvalidInput(
            "receipts", f"there are {len(request.receipts)} receipts; 1 to {MOST_RECEIPTS}"
        )
    found = []
    for number, one in enumerate(request.receipts):
        field = f"receipts[{number}]"
        state = _FROM_STATES.get(one.state)
        if state not in TELLABLE:
            raise InvalidInput(f"{field}.state", f"{field}.state is nothing that is told")
        at_ms = one.time.seconds * 1_000 + one.time.nanos // 1_000_000
        if not 0 <= at_ms <= _MOST_MS:
            raise InvalidInput(f"{field}.time", f"{field}.time is no time of a receipt")
        found.append(MessageTold(id_of(one.message, f"{field}.message"), ToldState(state, at_ms)))
    return found


def _attempt_to_proto(attempt: AttemptRecord) -> pb.Attempt:
    made = pb.Attempt(
        number=attempt.number,
        channel=TO_CHANNEL[attempt.channel],
        state=_STATES[_ATTEMPTS[attempt.state]],
        evidence=attempt.words,
        failed=attempt.state is AttemptState.FAILED,
        lost=attempt.lost,
    )
    made.time.FromMilliseconds(attempt.at_ms)
    return made
