"""Epochs of ticket keys, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from console.cli.tables import Table, number, whole
from console.cli.views.times import time_text

if TYPE_CHECKING:
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy

_COLOURS = {"signing": "green", "announced": "yellow"}


def document_of(epoch: tenancy.TicketKeyEpoch) -> dict[str, Any]:
    """One epoch for programs; times are Unix seconds."""
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy_pb

    state = tenancy_pb.TicketKeyState.Name(epoch.state).removeprefix("TICKET_KEY_STATE_")
    return {
        "epoch": epoch.epoch,
        "state": state.lower(),
        "created_at": epoch.create_time.seconds,
        "signs_from": epoch.sign_time.seconds,
        "accepted_until": epoch.expire_time.seconds if epoch.HasField("expire_time") else None,
    }


def epochs_table(epochs: Iterable[tenancy.TicketKeyEpoch]) -> Table:
    """Epochs for people, oldest first."""
    table = Table(
        number("epoch"), whole("state"), whole("made"), whole("signs from"), whole("accepted until")
    )
    for one in epochs:
        facts = document_of(one)
        colour, until_s = _COLOURS.get(facts["state"], "dim"), facts["accepted_until"]
        table.add_row(
            f"{facts['epoch']}",
            f"[{colour}]{facts['state']}[/]",
            time_text(facts["created_at"] * 1_000),
            time_text(facts["signs_from"] * 1_000),
            "its successor signs" if until_s is None else time_text(until_s * 1_000),
        )
    return table
