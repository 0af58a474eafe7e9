"""Devices and their edges as messages of homeport.api.communication.v1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from deployment_units.services.device_graph.evidence import BootSource
from deployment_units.services.device_graph.graph import DeviceGraph, Edge
from deployment_units.services.device_graph.kept import DeviceRow
from deployment_units.services.device_graph.matching import Ambiguous, Decision, Linked
from deployment_units.services.device_graph.requests import REACH
from homeport.api.communication.v1 import device_pb2 as pb

SOURCES = {
    BootSource.TCP: pb.BOOT_SOURCE_TCP,
    BootSource.UPTIME: pb.BOOT_SOURCE_UPTIME,
}
_PURPOSES = {REACH: pb.PURPOSE_REACH}


def map_to_proto(
    devices: Iterable[DeviceRow], graph: DeviceGraph, consents: Mapping[str, int], *, now_ms: int
) -> pb.DeviceMap:
    """Without edges whose time is over."""
    edges = sorted(graph.edges.values(), key=lambda edge: edge.browser)
    return pb.DeviceMap(
        devices=[
            pb.Device(
                device=one.device,
                label=one.label,
                since=_time(one.since_ms),
                browsers=[
                    _edge(edge)
                    for edge in edges
                    if edge.device == one.device and edge.holds(now_ms)
                ],
            )
            for one in devices
        ],
        consents=[
            pb.PurposeConsent(purpose=_PURPOSES[purpose], since=_time(since_ms))
            for purpose, since_ms in sorted(consents.items())
            if purpose in _PURPOSES
        ],
    )


def explanation(edge: Edge | None, decision: Decision | None) -> pb.ExplainBrowserResponse:
    """edge: that there is; decision: on the browser as it waits, where it does."""
    if edge is not None:
        seen = edge.evidence
        why = (
            f"it came from the address of the device, and the two booted within {seen.apart_ms} ms "
            f"of each other ({seen.browser_source} and {seen.device_source}); up to "
            f"{seen.tolerance_ms} ms are taken for the same"
        )
        return pb.ExplainBrowserResponse(edge=_edge(edge), device=edge.device, why=why)
    if isinstance(decision, Linked):
        return pb.ExplainBrowserResponse(
            device=decision.device,
            why="it is on the device by what was seen; the edge was taken back, or the browser was "
            "on a device of somebody else's until now",
        )
    if isinstance(decision, Ambiguous):
        return pb.ExplainBrowserResponse(
            ambiguous=decision.devices,
            why="more than one device at that address booted about then; nothing is decided",
        )
    return pb.ExplainBrowserResponse(why=str(decision))


def _edge(edge: Edge) -> pb.BrowserEdge:
    seen = edge.evidence
    return pb.BrowserEdge(
        browser=edge.browser,
        since=_time(edge.since_ms),
        confirm_time=_time(edge.confirmed_ms),
        times=edge.times,
        evidence=pb.BootEvidence(
            apart_ms=seen.apart_ms,
            tolerance_ms=seen.tolerance_ms,
            browser_source=SOURCES[seen.browser_source],
            device_source=SOURCES[seen.device_source],
            gap=Duration(seconds=seen.gap_ms // 1_000, nanos=seen.gap_ms % 1_000 * 1_000_000),
        ),
    )


def _time(unix_ms: int) -> Timestamp:
    return Timestamp(seconds=unix_ms // 1_000, nanos=unix_ms % 1_000 * 1_000_000)
