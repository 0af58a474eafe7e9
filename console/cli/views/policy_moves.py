"""From where to where clients would move by a policy, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, number, whole

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.policy.v1 import policy_pb2 as pb

MOST_WAYS = 40  # rows


def ways_document(answer: pb.MoveByPolicyResponse) -> dict[str, Any]:
    """As a simulation has it, so that either is a plan."""
    return {
        "policy_version": answer.policy_version or None,
        "moved": {
            "clients": answer.moves,
            "ways": len(answer.plan),
            "largest": [
                {"from": one.from_unit_id, "to": one.to_unit_id, "clients": one.clients}
                for one in answer.plan
            ],
        },
        "stay": answer.stay,
        "stay_reason": answer.stay_reason or None,
    }


def ways_view(answer: pb.MoveByPolicyResponse) -> RenderableType:
    """Largest ways first."""
    from rich.console import Group

    clients = f"{answer.moves:,} {'client' if answer.moves == 1 else 'clients'} would move"
    by = f" by version {answer.policy_version} of the policy" if answer.policy_version else " back"
    parts: list[RenderableType] = [f"[bold]{clients}{by}[/]"]
    if answer.plan:
        more = len(answer.plan) - MOST_WAYS
        table = Table(
            whole("from"), whole("to"), number("clients"),
            caption=f"and {more:,} more ways" if more > 0 else "",
        )  # fmt: skip
        for one in answer.plan[:MOST_WAYS]:
            table.add_row(escape(one.from_unit_id), escape(one.to_unit_id), f"{one.clients:,}")
        parts.append(table)
    if answer.stay:
        parts.append(f"[yellow]{answer.stay:,} would stay: {escape(answer.stay_reason)}[/]")
    return Group(*parts)
