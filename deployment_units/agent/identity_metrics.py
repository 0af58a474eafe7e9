"""What Prometheus is told of the choosing of identities in units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric


class MeasuredIdentities(Protocol):
    """See IdentityService."""

    @property
    def answered(self) -> Mapping[str, int]: ...

    @property
    def warned(self) -> Mapping[str, int]: ...


def identity_metrics(units: Iterable[tuple[str, MeasuredIdentities | None]]) -> Iterator[Metric]:
    """units: their ids, each with its own; None: it keeps no accounts."""
    answers = CounterMetricFamily(
        "homeport_agent_identity_answers",
        "Suggestions and plans of replies, as whom to write and to whom: suggestion, reply.",
        labels=["unit", "of"],
    )
    warnings = CounterMetricFamily(
        "homeport_agent_identity_warnings",
        "Warnings in them of what a message would show, by rule.",
        labels=["unit", "rule"],
    )
    for unit_id, one in units:
        if one is None:
            continue
        for of, count in sorted(dict(one.answered).items()):
            answers.add_metric([unit_id, of], count)
        for rule, count in sorted(dict(one.warned).items()):
            warnings.add_metric([unit_id, rule], count)
    yield answers
    yield warnings
