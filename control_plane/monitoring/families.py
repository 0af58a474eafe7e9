"""Families of metrics for what this code counts by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

from control_plane.histogram import Histogram, MillisecondHistogram


def histogram_family(
    name: str,
    documentation: str,
    histograms: Mapping[tuple[str, ...], Histogram | MillisecondHistogram],
    labels: Sequence[str] = (),
) -> HistogramMetricFamily:
    """One family. histograms: by the values of `labels`; one without labels is at ()."""
    family = HistogramMetricFamily(name, documentation, labels=labels)
    for values, histogram in list(histograms.items()):
        family.add_metric(values, histogram.cumulative(), histogram.total)
    return family


def store_connected_family(connected: bool | None) -> GaugeMetricFamily:
    """Whether the store answers; None: there is none, and nothing is said."""
    family = GaugeMetricFamily("homeport_store_connected", "1 while the store answers.", labels=[])
    if connected is not None:
        family.add_metric([], 1.0 if connected else 0.0)
    return family


def damaged_records_family(keys: Iterable[str]) -> GaugeMetricFamily:
    """keys: of the records that cannot be read; several readers may name one."""
    family = GaugeMetricFamily(
        "homeport_store_damaged_record",
        "1 for each record that is left out because it cannot be read.",
        labels=["key"],
    )
    for key in dict.fromkeys(keys):
        family.add_metric([key], 1.0)
    return family
