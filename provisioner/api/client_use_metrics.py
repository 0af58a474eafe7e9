"""ClientUseMetrics: how many clients tenants have, and may have at once.

It is read from the store now and then, beside the scrapes, whoever scrapes how often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane import quota_keys
from control_plane.quotas.quotas import MOST_TENANTS_TOLD
from provisioner.ledger.client_bounds import UNBOUNDED
from provisioner.ledger.client_use import ClientUse

READ_EVERY_S = 10.0


class ClientUseMetrics(Collector):
    """read: uses by the names of quotas; none where they cannot be read. `run` is a task of the
    owner's. jitter: 0 to 1, so that not all servers read at once."""

    def __init__(
        self, read: Callable[[], Awaitable[Mapping[str, ClientUse]]], *, jitter: Callable[[], float]
    ) -> None:
        self._read = read
        self._jitter = jitter
        self._uses: Mapping[str, ClientUse] = {}

    async def run(self) -> None:
        """Reads for ever."""
        while True:
            self._uses = await self._read()
            await asyncio.sleep(READ_EVERY_S * (0.5 + self._jitter()))

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes. The first hundred tenants by name."""
        clients = GaugeMetricFamily(
            "homeport_tenant_clients",
            "Clients of a tenant whose clients are counted, as this server has read.",
            labels=["tenant"],
        )
        most = GaugeMetricFamily(
            "homeport_tenant_max_clients",
            "How many clients a tenant may have at once.",
            labels=["tenant"],
        )
        for name, use in sorted(self._uses.items())[:MOST_TENANTS_TOLD]:
            tenant = quota_keys.tenant_of_quota(name)
            if use.bound < UNBOUNDED:
                clients.add_metric([tenant], use.clients)
                most.add_metric([tenant], use.bound)
        yield clients
        yield most
