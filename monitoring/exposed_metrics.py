"""Every metric that a running server exposes, with its type, labels and meaning.

Servers are built as always and asked for their registry; nothing is written down twice. A family
without a sample is there as well: it has its labels before anything has happened.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from data_sharing.runtimes.metrics import SandboxMetrics
from data_sharing.runtimes.runtime_host import RuntimeHost
from data_sharing.settings import read_settings as read_sharing_settings
from data_sharing.wiring.server import serve as serve_sharing
from deployment_units.agent.metrics import AgentMetrics
from provisioner.settings import read_settings as read_provisioner_settings
from provisioner.wiring.server import serve as serve_provisioner

START_S = 120.0
ANYWHERE = ("--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0")
UNITS = {
    "seconds": "s", "bytes": "bytes", "ratio": "0 to 1", "total": "", "clients": "clients",
    "operations": "operations", "events": "events", "transactions": "transactions",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric. name: as in a query, but for the endings of histograms; labels: without those
    that a scrape adds; servers: who exposes it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    servers: tuple[str, ...]

    @property
    def unit(self) -> str:
        """What its value counts or measures, by its name."""
        words = self.name.removesuffix("_total").split("_")
        return UNITS.get(words[-1], "")

    @property
    def series(self) -> tuple[str, ...]:
        """The names that queries may use."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{ending}" for ending in ("bucket", "sum", "count"))
        return (self.name,)


async def exposed_metrics() -> list[Family]:
    """Of all servers, by name. Starts and ends one of each."""
    with tempfile.TemporaryDirectory(prefix="homeport-metrics-") as name:
        folder = Path(name)
        told = {
            "provisioner": await _registered(
                serve_provisioner,
                read_provisioner_settings([f"--store=embedded:{folder / 'store.db'}", *ANYWHERE]),
            ),
            "data sharing": await _registered(
                serve_sharing,
                read_sharing_settings(
                    [f"--data-dir={folder / 'data'}", "--http-listen=127.0.0.1:0", *ANYWHERE]
                ),
            ),
        }
        with RuntimeHost(folder / "compiled", threads=1) as host:
            told["platform"] = list(SandboxMetrics(host).collect())
        told["agent"] = list(AgentMetrics([]).collect())
    return merged(told)


def merged(told: dict[str, list[Metric]]) -> list[Family]:
    """Families by name, of whichever servers. Raises ValueError where two differ."""
    found: dict[str, Family] = {}
    for server, metrics in told.items():
        for one in metrics:
            family = _family(one, server)
            before = found.get(family.name)
            if before is not None:
                if (before.kind, before.labels, before.help) != (
                    family.kind, family.labels, family.help,
                ):  # fmt: skip
                    raise ValueError(f"{family.name} is not the same in every server")
                family = Family(
                    name=family.name, kind=family.kind, labels=family.labels, help=family.help,
                    servers=(*before.servers, server),
                )  # fmt: skip
            found[family.name] = family
    return [found[name] for name in sorted(found)]


async def _registered(serve: Callable[..., Awaitable[None]], settings: object) -> list[Metric]:
    """What a server with these settings tells, once it serves."""
    stop = asyncio.Event()
    ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    serving = asyncio.ensure_future(serve(settings, stop=stop, on_ready=ready.set_result))
    await asyncio.wait([serving, ready], timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        serving.cancel()
        await serving
    registry: CollectorRegistry = ready.result().registry
    told: Iterable[Metric] = await asyncio.to_thread(lambda: list(registry.collect()))
    stop.set()
    await serving
    return list(told)


def _family(metric: Metric, server: str) -> Family:
    name = metric.name
    if metric.type == "counter":
        name = f"{name}_total"
    elif metric.type == "info":
        name = f"{name}_info"
    declared = getattr(metric, "_labelnames", ()) or ()
    if metric.type == "info" and metric.samples:
        declared = tuple(metric.samples[0].labels)
    return Family(
        name=name,
        kind="gauge" if metric.type == "info" else metric.type,
        labels=tuple(declared),
        help=metric.documentation,
        servers=(server,),
    )
