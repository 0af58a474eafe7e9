"""Platforms, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, whole

if TYPE_CHECKING:
    from homeport.api.datasharing.v1 import platform_pb2 as pb


def document_of(platform: pb.Platform) -> dict[str, Any]:
    return {
        "platform": platform.platform,
        "tenant": platform.tenant,
        "leaving": platform.leaving,
        "capacity": platform.capacity,
        "in_flight": platform.in_flight,
        "applications": [
            {"application": one.application, "version": one.version, "sha256": one.sha256}
            for one in platform.applications
        ],
        "outcomes": platform.outcomes,
        "refusals": platform.refusals,
        "connected": platform.connect_time.ToJsonString(),
        "last_seen_time": platform.last_seen_time.ToJsonString(),
        "incarnation": platform.incarnation,
        "version": platform.version,
    }


def platforms_table(found: list[pb.Platform]) -> Table:
    """Platforms that are connected, with what they host."""
    table = Table(
        whole("platform"), fold("hosts"), whole("busy"), number("outcomes"), number("refusals"),
        whole("last seen"),
    )  # fmt: skip
    for one in found:
        hosts = ", ".join(escape(f"{app.application} {app.version}") for app in one.applications)
        table.add_row(
            escape(one.platform) + (" (leaving)" if one.leaving else ""),
            hosts or "–",
            f"{one.in_flight} of {one.capacity}",
            f"{one.outcomes:,}",
            f"{one.refusals:,}",
            one.last_seen_time.ToJsonString(),
        )
    return table
