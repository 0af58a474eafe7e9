"""What callers say of their traces: well-formed, malformed, too much of it."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import get_current_span

from control_plane.tracing.trace_parent import (
    MAX_PARENT,
    TraceParent,
    read_text,
    read_trace_parent,
    trace_parent_of,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        pytest.param(GOOD, True, id="sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", False, id="not-sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-03", True, id="flags-of-later-levels"),
        pytest.param(f"01-{TRACE}-{SPAN}-01-more", True, id="a-later-version-with-more"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01", True, id="a-later-version-without"),
    ],
)
def test_what_is_well_formed_is_read(text, sampled):
    assert read_trace_parent(text) == TraceParent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(None, id="nothing"),
        pytest.param(GOOD.encode(), id="bytes"),
        pytest.param(GOOD.upper(), id="upper-case"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", id="no-trace"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="no-span"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", id="the-forbidden-version"),
        pytest.param(f"{GOOD}-more", id="version-00-with-more"),
        pytest.param(f"{GOOD}\n", id="a-line-feed"),
        pytest.param(f" {GOOD}", id="a-blank"),
        pytest.param(GOOD[:-1], id="short"),
        pytest.param(GOOD.replace("-", "_"), id="other-dashes"),
        pytest.param(GOOD.replace("a", "\u0430"), id="letters-that-look-alike"),
        pytest.param(f"01-{TRACE}-{SPAN}-01-{'x' * MAX_PARENT}", id="long"),
    ],
)
def test_what_is_malformed_is_as_if_it_were_not_there(text):
    assert read_trace_parent(text, "a=1") is None


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        pytest.param("a=1,b=2", "a=1,b=2", id="members"),
        pytest.param("a=1 ,\tb=2,,", "a=1,b=2", id="blanks-and-empty-members"),
        pytest.param("fw529a3039@dt=x:y/z", "fw529a3039@dt=x:y/z", id="a-tenant-s-key"),
        pytest.param("1a@b=c", "1a@b=c", id="a-tenant-may-begin-with-a-digit"),
        pytest.param("a=1,a=2", "", id="twice-the-same-key"),
        pytest.param("A=1", "", id="upper-case-key"),
        pytest.param("a", "", id="no-value"),
        pytest.param("a=b=c", "", id="two-equals"),
        pytest.param("a=\u00e9", "", id="not-ascii"),
        pytest.param(",".join(f"k{n}=1" for n in range(33)), "", id="too-many"),
        pytest.param("a=" + "x" * 256, "a=" + "x" * 256, id="the-longest-value"),
        pytest.param("a=" + "x" * 257, "", id="too-long-a-value"),
        pytest.param(",".join(f"k{n}={'x' * 200}" for n in range(3)), "", id="too-long"),
    ],
)
def test_a_state_is_kept_whole_or_not_at_all(state, kept):
    found = read_trace_parent(GOOD, state)
    assert found == TraceParent(TRACE, SPAN, True, kept)
    assert read_text(found.text()) == found


def test_of_metadata_lines_of_the_state_are_one_list_and_two_parents_are_none():
    lines = [("tracestate", "a=1"), ("traceparent", GOOD), ("x", "y"), ("tracestate", "b=2")]
    assert trace_parent_of(lines) == TraceParent(TRACE, SPAN, True, "a=1,b=2")
    assert trace_parent_of([*lines, ("traceparent", GOOD)]) is None
    assert trace_parent_of([("traceparent", GOOD)] + [("tracestate", "a=" + "x" * 100)] * 9) == (
        TraceParent(TRACE, SPAN, True)
    )
    assert trace_parent_of([("tracestate", "a=1")]) is None


@given(st.text(alphabet="0123456789abcdef-g \n", max_size=60) | st.just(GOOD), st.text())
def test_it_reads_the_parents_that_opentelemetry_reads(parent, state):
    carrier = {"traceparent": parent}
    context = get_current_span(get_global_textmap().extract(carrier)).get_span_context()
    found = read_trace_parent(parent, state)
    assert (found is not None) == (context.is_valid and parent == parent.strip())
    if found is not None:
        assert int(found.trace_id, 16) == context.trace_id
        assert read_text(found.text()) == found


def test_nothing_is_logged_of_what_a_caller_wrote(caplog):
    caplog.set_level(logging.DEBUG)
    read_trace_parent("x" * 10_000, "y" * 10_000)
    read_trace_parent(GOOD, "forged line")
    assert not caplog.records
