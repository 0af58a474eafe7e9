"""Plans of deliveries, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, whole
from console.cli.views.times import time_text
from deployment_units.services.gateway.convert.converting import Converted
from deployment_units.services.gateway.route import RoutePlan

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
