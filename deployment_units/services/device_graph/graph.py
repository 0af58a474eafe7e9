"""The graph: edges from browsers to the device they are on; a star around each device. Pure.

A browser is on one device. So an edge can be taken back by itself, and nothing has to be clustered
anew. What contradicts an edge takes it back, and gives no other one at once: the next observation
does, if it agrees. What a person took back does not come again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from deployment_units.services.device_graph.matching import Decision, Evidence, Linked

EDGE_MS: Final = 90 * 86_400_000  # after it was last confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """browser is on device, as of evidence; since_ms and confirmed_ms: Unix ms."""

    browser: str
    device: str
    evidence: Evidence
    since_ms: int
    confirmed_ms: int
    times: int = 1  # how often it was found

    def holds(self, now_ms: int) -> bool:
        return now_ms < self.confirmed_ms + EDGE_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGraph:
    """edges: by browser; taken_back: (browser, device) of those that a person took back."""

    edges: Mapping[str, Edge] = field(default_factory=dict)
    taken_back: frozenset[tuple[str, str]] = frozenset()


class Consent(StrEnum):
    """Who agreed to what an edge is for."""

    BOTH = "both"
    NOT_DEVICE = "the device's account has not agreed"
    NOT_BROWSER = "the browser's user has not agreed"


def apply(
    graph: DeviceGraph, browser: str, decision: Decision, consent: Consent, *, now_ms: int
) -> DeviceGraph:
    """The graph after a decision on a browser. consent: to an edge to the device it names."""
    known = graph.edges.get(browser)
    if known is not None and not known.holds(now_ms):
        graph, known = without(graph, browser), None
    if not isinstance(decision, Linked) or consent is not Consent.BOTH:
        return graph
    if (browser, decision.device) in graph.taken_back:
        return graph
    if known is None:
        edge = Edge(
            browser=browser,
            device=decision.device,
            evidence=decision.evidence,
            since_ms=now_ms,
            confirmed_ms=now_ms,
        )
    elif known.device == decision.device:
        confirmed_ms = max(known.confirmed_ms, now_ms)
        edge = replace(
            known, evidence=decision.evidence, confirmed_ms=confirmed_ms, times=known.times + 1
        )
    else:
        return without(graph, browser)
    return replace(graph, edges={**graph.edges, browser: edge})


def undo(graph: DeviceGraph, browser: str, device: str) -> DeviceGraph:
    """Takes an edge back for good, also one that is not there yet."""
    known = graph.edges.get(browser)
    if known is not None and known.device == device:
        graph = without(graph, browser)
    return replace(graph, taken_back=graph.taken_back | {(browser, device)})


def without(graph: DeviceGraph, browser: str) -> DeviceGraph:
    """The graph without a browser's edge, which may come again."""
    return replace(graph, edges={key: one for key, one in graph.edges.items() if key != browser})
