"""DirectoryMetrics: what the directory tells Prometheus: lookups, and what it remembers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from provisioner.directory.directory import Directory


class DirectoryMetrics(Collector):
    """Of one server's. pages: how many answers over HTTP, by what came of them."""

    def __init__(self, directory: Directory, pages: Mapping[str, int]) -> None:
        self._directory = directory
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        directory = self._directory
        lookups = CounterMetricFamily(
            "homeport_directory_lookups", "Names looked up.", labels=["outcome"]
        )
        lookups.add_metric(["found"], directory.resolver.found)
        lookups.add_metric(["missed"], directory.resolver.missed)
        lookups.add_metric(["refused"], directory.budgets.refused)
        yield lookups
        pages = CounterMetricFamily(
            "homeport_directory_pages",
            "Answers of WebFinger, pages of handles and vCards.",
            labels=["outcome"],
        )
        for outcome, count in self._pages.items():
            pages.add_metric([outcome], count)
        yield pages
        remembered = GaugeMetricFamily(
            "homeport_directory_remembered_keys",
            "Claims and homes that this server remembers.",
            labels=["of"],
        )
        reads = CounterMetricFamily(
            "homeport_directory_reads",
            "Reads of claims and homes; a miss asks the store.",
            labels=["of", "outcome"],
        )
        replicas = {"claims": directory.claims, "homes": directory.homes}
        for name, replica in replicas.items():
            if replica is not None:
                remembered.add_metric([name], len(replica))
                reads.add_metric([name, "hit"], replica.hits)
                reads.add_metric([name, "miss"], replica.misses)
        yield from (remembered, reads)
