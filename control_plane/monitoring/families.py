"""Families of metrics for what this code counts by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client.core import HistogramMetricFamily

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
