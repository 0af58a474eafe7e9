"""A trace from an event through its decision, the instruction and the platform to the outcome."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from control_plane.tracing.current import TraceIds, tracing
from data_sharing.decisions.outbox import InstructionState
from data_sharing.delivery.outcome_events import outcome_event
from data_sharing.instruction import Performance, Performed
from data_sharing.spans import extensions_of_trace, trace_at_hand, trace_of_extensions
from tests.support.decisions_harness import decision_harness, event
from tests.support.dispatch_harness import REPEATABLE, DispatchHarness
from tests.support.instructions import Clock
from tests.support.kept_spans import KeptSpans

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
BLINK = """
rules:
  - rule: slow-road
    watch: {e: {feed: traffic}}
    when: e.data.minutes > 30
    do: [{invoke: {application: lamp, action: blink, config: {times: e.data.minutes}}}]
"""


@pytest.mark.parametrize(
    ("extensions", "trace"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"traceparent": PARENT}, PARENT, id="a-parent"),
        pytest.param({"traceparent": PARENT, "tracestate": "a=1"}, f"{PARENT} a=1", id="a-state"),
        pytest.param({"traceparent": PARENT, "tracestate": "?"}, PARENT, id="a-state-that-is-none"),
        pytest.param({"traceparent": PARENT, "tracestate": 7}, PARENT, id="a-state-of-a-number"),
        pytest.param({"traceparent": "nonsense"}, "", id="no-parent"),
        pytest.param({"traceparent": 7}, "", id="a-number"),
        pytest.param({"tracestate": "a=1"}, "", id="a-state-alone"),
    ],
)
def test_the_trace_that_an_event_says_it_is_of(extensions, trace):
    assert trace_of_extensions(extensions) == trace
    assert trace_of_extensions(extensions_of_trace(trace)) == trace


def test_the_trace_of_a_call_is_at_hand_while_it_is_answered():
    with tracing(TraceIds(TRACE, SPAN)):
        assert trace_at_hand() == PARENT
    assert trace_at_hand() == ""


@pytest.fixture
def spans() -> KeptSpans:
    return KeptSpans()


async def decided(folder, trace: str, tracer) -> str:
    """What the instruction of an event with this trace carries along."""
    async with decision_harness(folder) as harness:
        harness.worker.tracer = tracer
        harness.rules(BLINK)
        await harness.publish(replace(event({"minutes": 45}), trace=trace))
        (stored,) = harness.instructions()
        return stored.instruction.trace


async def performed(folder, trace: str, tracer) -> None:
    """An instruction of this trace goes to a platform, and its outcome comes back."""
    dispatching = DispatchHarness(folder)
    async with dispatching.service() as service:
        if tracer is not None:
            service.dispatcher.use_tracer(tracer)
        link = await dispatching.platform(service)
        link.host.tracer = tracer
        link.connect()
        await service.decide(replace(REPEATABLE, trace=trace))
        await service.ends(InstructionState.DONE)
        await dispatching.close()


async def test_one_trace_from_the_event_to_the_outcome(tmp_path, spans):
    carried = await decided(tmp_path, f"{PARENT} a=1", spans.tracer)
    await performed(tmp_path, carried, spans.tracer)
    assert spans.path("sandbox") == [
        "sandbox", "perform instruction", "send instruction", "decide",
    ]  # fmt: skip
    assert spans.path("record outcome") == ["record outcome", "decide"]
    assert f"{spans.one('decide').parent.span_id:016x}" == SPAN
    for one in spans.all():
        assert f"{one.context.trace_id:032x}" == TRACE
        assert one.context.trace_state.to_header() == "a=1"
        assert one.status.is_unset
    assert spans.one("decide").attributes == {"homeport.feed": "traffic", "homeport.effects": 1}
    assert spans.one("record outcome").attributes["homeport.status"] == "done"


@pytest.mark.parametrize(
    ("trace", "traced"),
    [
        pytest.param(PARENT, False, id="nobody-traces"),
        pytest.param(PARENT[:-1] + "0", True, id="it-is-not-sampled"),
    ],
)
async def test_a_trace_goes_through_where_nothing_is_recorded(tmp_path, spans, trace, traced):
    tracer = spans.tracer if traced else None
    assert await decided(tmp_path, trace, tracer) == trace
    await performed(tmp_path, trace, tracer)
    assert spans.all() == []


async def test_what_is_of_no_trace_begins_none(tmp_path, spans):
    assert await decided(tmp_path, "", spans.tracer) == ""
    await performed(tmp_path, "", spans.tracer)
    assert spans.all() == []


async def test_an_outcome_s_event_is_of_the_trace_as_well(tmp_path):
    dispatching = DispatchHarness(tmp_path)
    async with dispatching.service() as service:
        await service.decide(replace(REPEATABLE, trace=f"{PARENT} a=1"))
        kept = service.kept()
        await dispatching.close()
    done = Performed(
        instruction=kept.instruction.id, attempt=1, status=Performance.DONE, platform="hub",
        ended_at_ms=Clock()(),
    )  # fmt: skip
    made = outcome_event(kept, done)
    assert made.event.trace == f"{PARENT} a=1"
    attributes = msgspec.json.decode(made.attributes)
    assert attributes["causationid"] == kept.instruction.id
    assert (attributes["traceparent"], attributes["tracestate"]) == (PARENT, "a=1")
