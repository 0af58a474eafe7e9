"""Push addresses of an account, for people and programs; what of them is secret is never there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, fold, whole
from console.cli.views.times import time_text
from homeport.api.communication.v1 import push_pb2 as pb

_NOTHING = "–"


def address_document(address: pb.PushAddress) -> dict[str, Any]:
    proved = address.HasField("prove_time")
    return {
        "id": address.id,
        "shown": address.shown,
        "label": address.label or None,
        "proved": time_text(address.prove_time.ToMilliseconds()) if proved else None,
    }


def addresses_document(addresses: Iterable[pb.PushAddress]) -> dict[str, Any]:
    return {"addresses": [address_document(one) for one in addresses]}


def added_document(added: pb.AddPushAddressResponse) -> dict[str, Any]:
    sent = added.HasField("expire_time")
    expires = time_text(added.expire_time.ToMilliseconds()) if sent else None
    return {**address_document(added.address), "code_expires": expires}


def addresses_view(document: dict[str, Any]) -> Table:
    table = Table(whole("id"), fold("address"), fold("label"), whole("proved"))
    for one in document["addresses"]:
        table.add_row(
            escape(one["id"]), escape(one["shown"]), escape(one["label"] or _NOTHING),
            one["proved"] or "no: nothing is sent there",
        )  # fmt: skip
    return table


def added_view(document: dict[str, Any]) -> Table:
    """What is to be done next."""
    table = facts(("address", escape(document["shown"])), ("id", escape(document["id"])))
    if document["code_expires"] is None:
        table.add_row("proved", document["proved"] or _NOTHING)
    else:
        table.add_row("a code was sent there", f"good until {document['code_expires']}")
        table.add_row("next", "homeport push confirm CLIENT ID CODE")
    return table
