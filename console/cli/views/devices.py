"""Devices of an account and the browsers that are on them, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, fold, number, whole
from console.cli.views.times import time_text
from homeport.api.communication.v1 import device_pb2 as pb

if TYPE_CHECKING:
    from rich.console import RenderableType

_NOTHING = "–"
_SOURCES = {
    pb.BOOT_SOURCE_UNSPECIFIED: None,
    pb.BOOT_SOURCE_TCP: "tcp",
    pb.BOOT_SOURCE_UPTIME: "uptime",
}
_PURPOSES = {pb.PURPOSE_REACH: "reach"}


def map_document(found: pb.DeviceMap) -> dict[str, Any]:
    return {
        "consents": [
            {"purpose": _PURPOSES.get(one.purpose), "since": _time(one.since)}
            for one in found.consents
        ],
        "devices": [
            {
                "device": one.device,
                "label": one.label or None,
                "since": _time(one.since),
                "browsers": [_edge(edge) for edge in one.browsers],
            }
            for one in found.devices
        ],
    }


def map_view(document: dict[str, Any]) -> RenderableType:
    """A row for each browser, under its device."""
    from rich.console import Group

    agreed = ", ".join(str(one["purpose"]) for one in document["consents"])
    about = facts(("agreed to", escape(agreed or "nothing: no device is matched")))
    if not document["devices"]:
        return Group(about, "no device was reported; homeport devices report CLIENT DEVICE does")
    table = Table(
        fold("device"), fold("browser"), whole("since"), whole("confirmed"), number("times"),
        whole("booted apart"),
    )  # fmt: skip
    for one in document["devices"]:
        name = escape(one["device"] + (f" ({one['label']})" if one["label"] else ""))
        if not one["browsers"]:
            table.add_row(name, _NOTHING, one["since"], _NOTHING, _NOTHING, _NOTHING)
        for edge in one["browsers"]:
            evidence = edge["evidence"]
            table.add_row(
                name, escape(edge["browser"]), edge["since"], edge["confirmed"],
                str(edge["times"]), f"{evidence['apart_ms']} of {evidence['tolerance_ms']} ms",
            )  # fmt: skip
            name = ""
    return Group(about, table)


def report_document(reported: pb.ReportDeviceResponse) -> dict[str, Any]:
    return {
        "sources": [_SOURCES.get(one) for one in reported.sources],
        "again": reported.again,
        "matched": reported.matched,
    }


def report_view(document: dict[str, Any]) -> Table:
    by = ", ".join(str(one) for one in document["sources"])
    return facts(
        ("booting known by", by or "nothing: say --uptime, or report over the unit's HTTP port"),
        ("browsers matched", str(document["matched"])),
    )


def explanation_document(said: pb.ExplainBrowserResponse) -> dict[str, Any]:
    return {
        "device": said.device or None,
        "edge": _edge(said.edge) if said.HasField("edge") else None,
        "ambiguous": list(said.ambiguous),
        "why": said.why,
    }


def explanation_view(document: dict[str, Any]) -> Table:
    on = document["device"] if document["edge"] else None
    table = facts(("on device", escape(on or _NOTHING)), ("why", escape(document["why"])))
    if document["ambiguous"]:
        table.add_row("could be", escape(", ".join(document["ambiguous"])))
    return table


def erased_view(document: dict[str, Any]) -> Table:
    return facts(("rows deleted", str(document["rows"])))


def _edge(edge: pb.BrowserEdge) -> dict[str, Any]:
    seen = edge.evidence
    return {
        "browser": edge.browser,
        "since": _time(edge.since),
        "confirmed": _time(edge.confirm_time),
        "times": edge.times,
        "evidence": {
            "apart_ms": seen.apart_ms,
            "tolerance_ms": seen.tolerance_ms,
            "browser_source": _SOURCES.get(seen.browser_source),
            "device_source": _SOURCES.get(seen.device_source),
            "gap_s": seen.gap.ToMilliseconds() / 1_000,
        },
    }


def _time(at: Any) -> str:
    return time_text(at.ToMilliseconds())
