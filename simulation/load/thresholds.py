"""Thresholds: what must hold of a run, written as k6 has them: `p99<50ms`, `errors<1%`. Pure.

p50 p90 p95 p99 p99.9 mean max    latency of good answers; ms, s or us behind the number
p99{known}                        the same of one kind of user
late                              p99 of how late this generator sent
goodput arrivals                  good answers, users, a second
errors refused failed lost        of all calls, or of users: with %, or a share from 0 to 1
homeless                          users who had no home before the clock started: a number
missing                           of the outcomes that had to come: with %, or a share from 0 to 1
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from control_plane.printable import quoted

_COMPARE = {"<": lt, "<=": le, ">": gt, ">=": ge}
_FORM = re.compile(
    r"\s*(p\(?[\d.]+\)?|[a-z]+)\s*(?:\{(?:kind:)?([a-z]+)\})?\s*(<=|>=|<|>)\s*([\d.]+)\s*(ms|us|s|%)?\s*"
)
_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, None: 1.0}
_LATENCIES = ("p50", "p90", "p95", "p99", "p99.9", "mean", "max")
_TIMES = (*_LATENCIES, "late")
_SHARES = ("errors", "refused", "failed", "lost", "missing")
_NUMBERS = ("goodput", "arrivals", "homeless")
MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One that must hold. limit: milliseconds, a share or a number, as the metric is."""

    text: str
    metric: str
    kind: str
    compare: str
    limit: float

    def held_against(self, result: Mapping[str, Any]) -> ThresholdResult:
        """Whether it holds of a LoadResult's document. Of what there is nothing to measure, it
        does not."""
        value = _value(self, result)
        holds = value is not None and _COMPARE[self.compare](value, self.limit)
        return ThresholdResult(threshold=self, value=value, holds=holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdResult:
    """value: None: there was nothing to measure."""

    threshold: Threshold
    value: float | None
    holds: bool

    @property
    def sentence(self) -> str:
        """What was wanted, and what was."""
        metric, value = self.threshold.metric, self.value
        if value is None:
            was = "nothing of the kind was measured"
        elif metric in _TIMES:
            was = f"it was {value:,.3g} ms"
        elif metric in _SHARES:
            was = f"it was {value:.2%}"
        else:
            was = f"it was {value:,.6g}"
        return f"{self.threshold.text}: {was}"


def parse_threshold(text: str) -> Threshold:
    """Raises ValueError that says what there is."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{quoted(text)} is no threshold; write one such as p99<50ms or errors<1%")
    metric, kind, compare, number, unit = found.groups()
    metric = metric.replace("(", "").replace(")", "")
    known = (*_TIMES, *_SHARES, *_NUMBERS)
    if metric not in known:
        raise ValueError(f"{quoted(text)}: there is no {metric}; there are {', '.join(known)}")
    if kind and metric not in _LATENCIES:
        raise ValueError(
            f"{quoted(text)}: {metric} is not told by kind; {', '.join(_LATENCIES)} are"
        )
    try:
        limit = float(number)
    except ValueError as error:
        raise ValueError(f"{quoted(text)}: {number} is no number") from error
    fits = _MS.keys() if metric in _TIMES else {None, "%"} if metric in _SHARES else {None}
    if unit not in fits:
        raise ValueError(f"{quoted(text)}: {metric} is not in {unit}")
    if metric in _TIMES:
        limit *= _MS[unit]
    elif unit == "%":
        limit /= 100
    return Threshold(
        text=text.strip(), metric=metric, kind=kind or "", compare=compare, limit=limit
    )


def _value(one: Threshold, result: Mapping[str, Any]) -> float | None:
    calls = result["calls"]
    asked = float(max(1, calls["asked"]))
    refused, failed = (float(sum(calls[what].values())) for what in ("refused", "failed"))
    match one.metric:
        case "late":
            return float(result["late_ms"]["p99"])
        case "goodput" | "arrivals":
            return float(result[f"{one.metric}_per_s"])
        case "homeless":
            return float(result["homeless"])
        case "errors":
            return (refused + failed) / asked
        case "refused":
            return refused / asked
        case "failed":
            return failed / asked
        case "missing":
            outcome = result["kinds"].get("outcome")
            return float(outcome["missing"]) / max(1, outcome["arrived"]) if outcome else None
        case "lost":
            return float(calls["lost_users"]) / max(1.0, float(calls["arrived"]))
    if one.kind:
        of_kind = result["kinds"].get(one.kind)
        return float(of_kind["latency_ms"][one.metric]) if of_kind and of_kind["good"] else None
    return float(result["latency_ms"][one.metric]) if calls["good"] else None
