"""What a unit's call server tells Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric


class MeasuredCallServer(Protocol):
    """A call server, as far as it is told of: see CallServerProcess. counts: of messages, and of
    calls that ended, `call-` before how."""

    @property
    def counts(self) -> Mapping[str, int]: ...

    @property
    def calls(self) -> int: ...

    @property
    def starts(self) -> int: ...


def sip_metrics(
    units: Iterable[tuple[str, MeasuredCallServer | None]],
) -> Iterator[Metric]:
    """units: by id; None: it has no call server."""
    messages = CounterMetricFamily(
        "homeport_agent_sip_messages",
        "SIP messages that came in, by what was made of them: request, response, refused at"
        " once, stranger (of no trunk), too_many (of one address), dropped; unsent, defect:"
        " something is wrong with the call server.",
        labels=["unit", "outcome"],
    )
    ended = CounterMetricFamily(
        "homeport_agent_sip_calls_ended",
        "Calls that the call server passed on or refused, by how they ended.",
        labels=["unit", "cause"],
    )
    calls = GaugeMetricFamily(
        "homeport_agent_sip_calls", "Calls that are under way.", labels=["unit"]
    )
    starts = CounterMetricFamily(
        "homeport_agent_call_server_starts",
        "Times that the call server's process was started; more than one: it ended by itself.",
        labels=["unit"],
    )
    for unit, server in units:
        if server is None:
            continue
        for what, count in sorted(server.counts.items()):
            kind, name = (ended, what[5:]) if what.startswith("call-") else (messages, what)
            kind.add_metric([unit, name.replace("-", "_")], count)
        calls.add_metric([unit], server.calls)
        starts.add_metric([unit], server.starts)
    yield messages
    yield ended
    yield calls
    yield starts
