"""Edges come with evidence and consent, go by themselves, and stay away once taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.device_graph.evidence import BootSource
from deployment_units.services.device_graph.graph import (
    EDGE_MS,
    Consent,
    DeviceGraph,
    apply,
    undo,
)
from deployment_units.services.device_graph.matching import (
    Ambiguous,
    Decision,
    Evidence,
    Linked,
    NoMatch,
)

EVIDENCE = Evidence(
    apart_ms=3, tolerance_ms=60, browser_source=BootSource.TCP, device_source=BootSource.TCP,
    gap_ms=1_000,
)  # fmt: skip
BROWSERS, DEVICES = ("x", "y"), ("phone", "laptop")
DECISIONS = st.one_of(
    st.sampled_from([Linked(device=one, evidence=EVIDENCE) for one in DEVICES]),
    st.sampled_from([Ambiguous(devices=DEVICES), *NoMatch]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(BROWSERS), DECISIONS, st.sampled_from(list(Consent))),
        st.tuples(st.sampled_from(BROWSERS), st.sampled_from(DEVICES), st.none()),
    ),
    max_size=12,
)


def on(device: str) -> Linked:
    return Linked(device=device, evidence=EVIDENCE)


@given(STEPS)
def test_no_edge_without_consent_and_none_that_was_taken_back(
    steps: list[tuple[str, Decision | str, Consent | None]],
) -> None:
    graph, agreed = DeviceGraph(), set[tuple[str, str]]()
    for now_ms, (browser, what, consent) in enumerate(steps):
        before = graph
        if consent is None:
            graph = undo(graph, browser, str(what))
        elif not isinstance(what, str):
            graph = apply(graph, browser, what, consent, now_ms=now_ms)
            if isinstance(what, Linked) and consent is Consent.BOTH:
                agreed.add((browser, what.device))
        for key, edge in graph.edges.items():
            assert (key, edge.device) in agreed
            assert (key, edge.device) not in graph.taken_back
            # A star: a browser goes from one device to another over none.
            assert key not in before.edges or before.edges[key].device == edge.device
        others = {key: edge for key, edge in before.edges.items() if key != browser}
        assert {key: edge for key, edge in graph.edges.items() if key != browser} == others


def test_a_contradiction_takes_the_edge_back_and_the_next_one_decides() -> None:
    graph = apply(DeviceGraph(), "x", on("phone"), Consent.BOTH, now_ms=1)
    graph = apply(graph, "x", on("laptop"), Consent.BOTH, now_ms=2)
    assert graph.edges == {}
    graph = apply(graph, "x", on("laptop"), Consent.BOTH, now_ms=3)
    assert graph.edges["x"].device == "laptop"


def test_an_edge_is_confirmed_and_ends_90_days_after() -> None:
    graph = apply(DeviceGraph(), "x", on("phone"), Consent.BOTH, now_ms=0)
    graph = apply(graph, "x", on("phone"), Consent.BOTH, now_ms=1_000)
    edge = graph.edges["x"]
    assert (edge.times, edge.since_ms, edge.confirmed_ms) == (2, 0, 1_000)
    assert edge.holds(EDGE_MS + 999)
    assert not edge.holds(EDGE_MS + 1_000)
    later = apply(graph, "x", NoMatch.NOT_HERE, Consent.BOTH, now_ms=EDGE_MS + 1_000)
    assert later.edges == {}


def test_what_says_nothing_changes_nothing() -> None:
    graph = apply(DeviceGraph(), "x", on("phone"), Consent.BOTH, now_ms=0)
    for decision in (Ambiguous(devices=DEVICES), *NoMatch):
        assert apply(graph, "x", decision, Consent.BOTH, now_ms=5) == graph
