"""Accounts, what they have and where they are at home, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, fold, number, whole
from console.cli.views.times import time_text

if TYPE_CHECKING:
    from homeport.api.directory.v1 import directory_pb2 as pb


def residence_document(one: pb.Residence) -> dict[str, Any]:
    """Where an account is at home, for programs."""
    return {
        "account": one.account,
        "unit_id": one.unit_id,
        "endpoint": one.endpoint,
        "epoch": one.epoch,
    }


def found_view(document: dict[str, str]) -> Table:
    """Whom a client found by a name, for people."""
    return facts(("account", escape(document["account"])), ("found as", escape(document["shown"])))


def account_document(found: pb.GetAccountResponse) -> dict[str, Any]:
    """An account for programs; times are Unix seconds."""
    from homeport.api.directory.v1 import directory_pb2

    def state(number: int) -> str:
        return directory_pb2.ClaimState.Name(number).removeprefix("CLAIM_STATE_").lower()  # type: ignore[arg-type]

    return {
        **residence_document(found.residence),
        "account": found.account,
        "handles": [
            {"handle": one.handle, "claimed_at": one.claim_time.seconds} for one in found.handles
        ],
        "identifiers": [
            {
                "kind": one.kind,
                "digest": one.digest,
                "state": state(one.state),
                "proved_at": one.prove_time.seconds,
                "contest_ends_at": (
                    one.contest_end_time.seconds if one.HasField("contest_end_time") else None
                ),
                "findable": one.findable,
            }
            for one in found.identifiers
        ],
    }


def account_view(found: pb.GetAccountResponse) -> Table:
    """An account for people."""
    document = account_document(found)
    table = facts(
        ("account", escape(document["account"])),
        ("at home in", escape(document["unit_id"])),
        ("endpoint", escape(document["endpoint"] or "not known here")),
        ("epoch", f"{document['epoch']}"),
    )
    for one in document["handles"]:
        table.add_row("handle", escape(f"@{one['handle']}, since {_time(one['claimed_at'])}"))
    for one in document["identifiers"]:
        said = f"{one['kind']} {one['digest']}, proved {_time(one['proved_at'])}"
        if one["findable"]:
            said += ", findable"
        if one["contest_ends_at"] is not None:
            said += f"; contested, to be proved again by {_time(one['contest_ends_at'])}"
        table.add_row("identifier", escape(said))
    return table


def residences_table(residences: Iterable[pb.Residence]) -> Table:
    """Accounts and their homes for people."""
    table = Table(fold("account"), fold("unit"), whole("endpoint"), number("epoch"))
    for one in residences:
        table.add_row(
            escape(one.account), escape(one.unit_id), escape(one.endpoint or "?"), f"{one.epoch}"
        )
    return table


def _time(at_s: int) -> str:
    return time_text(at_s * 1_000)
