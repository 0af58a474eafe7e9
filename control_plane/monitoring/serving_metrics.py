"""ServingMetrics: calls, connections, and when the certificate in use expires."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.monitoring.certificate_expiry import certificate_expiry
from control_plane.monitoring.families import histogram_family
from control_plane.serving.server import Server


class ServingMetrics(Collector):
    """Of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        methods = self._server.statistics.methods.copy()
        calls = CounterMetricFamily(
            "homeport_rpc_calls",
            "Calls that ended, by the name of their gRPC status.",
            labels=["method", "code"],
        )
        under_way = GaugeMetricFamily(
            "homeport_rpc_under_way_calls",
            "Calls and streams now; calls of Provision only on the grpcio transport.",
            labels=["method"],
        )
        for name, one in methods.items():
            for code, count in one.codes().items():
                calls.add_metric([name, code], count)
            under_way.add_metric([name], one.under_way)
        yield calls
        yield under_way
        yield histogram_family(
            "homeport_rpc_duration_seconds",
            "How long unary calls took, from their message to their answer.",
            {(name,): one.seconds for name, one in methods.items() if sum(one.seconds.counts)},
            ["method"],
        )
        watch = self._server.watch
        yield GaugeMetricFamily(
            "homeport_connections_open", "Connections at the last look.", watch.connections
        )
        closed = CounterMetricFamily(
            "homeport_connections_closed",
            "Connections that were closed because of a limit.",
            labels=["reason"],
        )
        for reason, count in watch.closed.copy().items():
            closed.add_metric([reason.name.lower()], count)
        yield closed
        pems: dict[str, bytes | None] = {}
        if self._server.tls is not None:
            current = self._server.tls.latest()  # looks at the files, if nobody connected since
            pems = {"server": current.certificate, "client_ca": current.client_ca}
        yield certificate_expiry(pems)
