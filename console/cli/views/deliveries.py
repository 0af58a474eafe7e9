"""Plans of deliveries, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, whole
from console.cli.views.times import time_text
from deployment_units.services.gateway.convert.converting import Converted
from deployment_units.services.gateway.route import RoutePlan
from homeport.api.communication.v1 import conversation_pb2
from homeport.api.communication.v1 import delivery_pb2 as pb

if TYPE_CHECKING:
    from rich.console import RenderableType


def document_of(plan: RoutePlan, now_ms: int) -> dict[str, Any]:
    """For programs."""
    return {
        "at": time_text(now_ms),
        "no_route": None if plan.no_route is None else plan.no_route.value,
        "steps": [
            {
                "channel": step.channel.value,
                "address": step.address or None,
                "at": time_text(step.at_ms),
                "deadline": time_text(step.deadline_ms),
            }
            for step in plan.steps
        ],
        "why": [
            {"rule": one.rule, "clause": one.clause, "value": str(one.value)} for one in plan.why
        ],
    }


def plan_view(document: dict[str, Any]) -> RenderableType:
    """The steps in their order, and below what decided."""
    from rich.console import Group

    why = Table(whole("rule"), fold("clause"), fold("value"))
    for one in document["why"]:
        why.add_row(escape(one["rule"]), escape(one["clause"]), escape(one["value"]))
    if document["no_route"] is not None:
        return Group(f"no route: {escape(document['no_route'])}", why)
    steps = Table(
        whole("step"), whole("channel"), fold("address"), whole("at"), whole("without a receipt by")
    )
    for place, one in enumerate(document["steps"], 1):
        steps.add_row(
            str(place),
            escape(one["channel"]),
            escape(one["address"] or "–"),
            escape(one["at"]),
            escape(one["deadline"]),
        )
    return Group(steps, why)


def explained_document(plan: pb.ExplainRouteResponse, now_ms: int) -> dict[str, Any]:
    """As `document_of`, of what a unit says."""
    return {
        "at": time_text(now_ms),
        "no_route": plan.no_route or None,
        "steps": [
            {
                "channel": _channel(step.channel),
                "address": step.address or None,
                "at": time_text(step.time.ToMilliseconds()),
                "deadline": time_text(step.deadline.ToMilliseconds()),
            }
            for step in plan.steps
        ],
        "why": [{"rule": one.rule, "clause": one.clause, "value": one.value} for one in plan.why],
    }


def delivery_document(delivery: pb.Delivery) -> dict[str, Any]:
    """For programs."""
    return {
        "message": delivery.message.hex(),
        "conversation": delivery.conversation.hex(),
        "recipient": delivery.recipient,
        "state": _state(delivery.state),
        "since": _time(delivery, "state_time"),
        "next": _time(delivery, "next_time"),
        "words": delivery.words,
        "attempts": [
            {
                "number": one.number,
                "channel": _channel(one.channel),
                "state": _state(one.state),
                "failed": one.failed,
                "at": time_text(one.time.ToMilliseconds()),
                "evidence": one.evidence,
                "lost": list(one.lost),
            }
            for one in delivery.attempts
        ],
    }


_NO_ATTEMPT = {"evidence": "", "lost": []}


def deliveries_view(documents: list[dict[str, Any]]) -> Table:
    table = Table(
        whole("message"), fold("recipient"), whole("state"), whole("next"), fold("said"),
        fold("lost"),
    )  # fmt: skip
    for one in documents:
        last: dict[str, Any] = one["attempts"][-1] if one["attempts"] else _NO_ATTEMPT
        said = one["words"] or last["evidence"]
        table.add_row(
            one["message"],
            escape(one["recipient"]),
            escape(one["state"]),
            escape(one["next"] or "–"),
            escape(said) or "–",
            escape(", ".join(last["lost"])) or "–",
        )
    return table


def _state(state: pb.DeliveryState.ValueType) -> str:
    return pb.DeliveryState.Name(state).removeprefix("DELIVERY_STATE_").lower()


def _channel(channel: conversation_pb2.Channel.ValueType) -> str:
    return conversation_pb2.Channel.Name(channel).removeprefix("CHANNEL_").lower()


def _time(delivery: pb.Delivery, field: str) -> str | None:
    if not delivery.HasField(field):  # type: ignore[arg-type]
        return None
    return time_text(getattr(delivery, field).ToMilliseconds())


def converted_document(made: Converted) -> dict[str, Any]:
    """For programs."""
    messages = None
    if made.messages is not None:
        messages = {
            "encoding": made.messages.encoding.value,
            "segments": [{"text": one.text, "units": one.units} for one in made.messages.segments],
        }
    return {
        "text": made.text,
        "html": made.html or None,
        "messages": messages,
        "lost": list(made.lost),
    }


def converted_view(document: dict[str, Any]) -> RenderableType:
    """The text, or each text message with the room it takes, and what was lost."""
    from rich.console import Group

    parts: list[RenderableType] = []
    if (messages := document["messages"]) is not None:
        table = Table(number("message"), number(messages["encoding"]), fold("text"))
        for place, one in enumerate(messages["segments"], 1):
            table.add_row(str(place), str(one["units"]), escape(one["text"]))
        parts.append(table)
    else:
        parts += map(escape, document["text"].splitlines())
    if document["lost"]:
        parts.append(f"lost: {escape(', '.join(document['lost']))}")
    return Group(*parts)
