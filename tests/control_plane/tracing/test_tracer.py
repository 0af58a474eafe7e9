"""Spans as a collector gets them; and a collector that is away."""

from __future__ import annotations

import gc
import itertools
import time

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from pydantic import ValidationError

from control_plane.tracing.otlp import BATCH, QUEUE, opened_tracer
from control_plane.tracing.settings import TracingSettings
from control_plane.tracing.trace_parent import TraceParent
from control_plane.tracing.tracer import SpanKind
from tests.support.trace_collector import TraceCollector

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ANOTHER = TraceParent("1" * 32, "2" * 16, True)
GIVEN_UP_S = 15.0  # far more than `LAST_S`, far less than what OpenTelemetry would wait


def settings(endpoint: str, ratio: float = 1.0) -> TracingSettings:
    return TracingSettings(otlp_endpoint=endpoint, trace_ratio=ratio)


def opened(endpoint: str, ratio: float = 1.0, **more: object):
    wall = more.pop("wall_ns", time.time_ns)
    return opened_tracer(settings(endpoint, ratio), "test", wall_ns=wall)


async def test_a_span_tells_its_parent_kind_links_attributes_and_error():
    with TraceCollector() as collector:
        async with opened(collector.endpoint) as tracer:
            parent = TraceParent(TRACE, SPAN, True, "a=1,b=2")
            span = tracer.begin(
                "outer", parent, kind=SpanKind.SERVER, links=[ANOTHER], attributes={"n": 3}
            )
            span.step("inner", 5, 9, why="x")
            span.end("Unavailable")
        inner, outer = sorted(collector.spans(), key=lambda one: one.name)
    assert (outer.trace_id, outer.parent_id, outer.state) == (TRACE, SPAN, "a=1,b=2")
    assert (outer.service, outer.kind, outer.failed) == ("test", "SERVER", True)
    assert (outer.links, outer.attributes) == ((ANOTHER.span_id,), {"n": 3})
    assert (inner.trace_id, inner.parent_id) == (TRACE, outer.span_id)
    assert (inner.kind, inner.failed, inner.attributes) == ("INTERNAL", False, {"why": "x"})


@pytest.mark.parametrize(
    ("ratio", "parent", "recorded"),
    [
        pytest.param(0.0, None, False, id="no-share"),
        pytest.param(1.0, None, True, id="all"),
        pytest.param(0.0, TraceParent(TRACE, SPAN, True), True, id="its-parent-is"),
        pytest.param(1.0, TraceParent(TRACE, SPAN, False), False, id="its-parent-is-not"),
    ],
)
async def test_what_is_sampled(ratio, parent, recorded):
    with TraceCollector() as collector:
        async with opened(collector.endpoint, ratio) as tracer:
            span = tracer.begin("x", parent)
            assert (span is not None) == recorded
            if span is not None:
                span.end()
        assert len(collector.spans()) == recorded


async def test_a_share_is_about_the_share_it_says():
    async with opened("http://127.0.0.1:9", 0.25) as tracer:
        sampled = sum(tracer.begin("x") is not None for _ in range(4_000))
    assert 800 <= sampled <= 1_200  # 7 standard deviations


async def test_without_an_endpoint_there_is_no_tracer():
    async with opened("") as tracer:
        assert tracer is None


async def test_so_many_spans_wait_for_a_collector_that_is_away_and_no_more():
    with TraceCollector(stuck=True) as collector:
        async with opened(collector.endpoint) as tracer:
            for _ in range(3 * QUEUE):
                tracer.begin("x").end()
            kept = sum(isinstance(one, ReadableSpan) for one in gc.get_objects())
            assert QUEUE <= kept <= QUEUE + 2 * BATCH
            collector.release()


@pytest.mark.parametrize("stuck", [False, True], ids=["nobody-listens", "it-never-answers"])
async def test_the_end_does_not_wait_for_a_collector_that_is_away(stuck):
    with TraceCollector(stuck=True) as collector:
        async with opened(collector.endpoint if stuck else "http://127.0.0.1:9") as tracer:
            for _ in range(QUEUE):
                tracer.begin("x").end()
            ending = time.monotonic()
        assert time.monotonic() - ending < GIVEN_UP_S


async def test_times_are_those_of_the_clock_that_is_given():
    ticks = itertools.count(1_000)
    async with opened("http://127.0.0.1:9", wall_ns=lambda: next(ticks)) as tracer:
        span = tracer.begin("x")
        assert (span.began_ns, span.now_ns()) == (1_000, 1_001)


@pytest.mark.parametrize(
    ("endpoint", "good"),
    [
        pytest.param("", True, id="off"),
        pytest.param("http://collector:4317", True, id="plain"),
        pytest.param("https://otel.example.net:4317/", True, id="tls"),
        pytest.param("http://[::1]:4317", True, id="ipv6"),
        pytest.param("collector:4317", False, id="no-scheme"),
        pytest.param("http://collector", False, id="no-port"),
        pytest.param("http://collector:0", False, id="port-0"),
        pytest.param("http://collector:70000", False, id="no-such-port"),
        pytest.param("http://user:secret@collector:4317", False, id="a-password"),
        pytest.param("http://collector:4317/v1/traces", False, id="a-path"),
        pytest.param("ftp://collector:4317", False, id="another-protocol"),
    ],
)
def test_endpoints_that_are_taken(endpoint, good):
    if good:
        assert settings(endpoint).otlp_endpoint == endpoint
    else:
        with pytest.raises(ValidationError, match="write http://host:port"):
            settings(endpoint)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_is_a_share(ratio):
    with pytest.raises(ValidationError):
        settings("", ratio)
