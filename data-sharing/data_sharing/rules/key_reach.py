"""Whether a document can be decided where keys are spread over partitions: no part of a rule may
reach over keys, for no partition knows what is at keys of another. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.instruction import OUTCOME_FEED
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.spec import RulesDocument, RuleSpec

KEY = "event.key"
_SPREAD = "keys are spread over partitions here, by the key that the feed's manifest names"


def check(document: RulesDocument) -> None:
    """Raises InvalidDocument with every clause that reaches over keys."""
    faults = FaultCollector()
    for forecast in document.forecasts:
        for at, what in _of_forecast(forecast):
            faults.add(f"forecasts.{forecast.forecast}.{at}", what)
    for rule in document.rules:
        for at, what in _of_rule(rule):
            faults.add(f"rules.{rule.rule}.{at}", what)
    faults.raise_if_any()


def _of_forecast(spec: ForecastSpec) -> Iterator[tuple[str, str]]:
    if spec.key.strip() != KEY:
        yield "key", _other_key(spec.key)


def _of_rule(spec: RuleSpec) -> Iterator[tuple[str, str]]:
    for name, one in spec.watch.items():
        if one.key.strip() != KEY:
            yield f"watch.{name}.key", _other_key(one.key)
    for name, window in spec.windows.items():
        if window.key is not None and window.key.strip() != KEY:
            yield f"windows.{name}.key", _other_key(window.key)
    if spec.plan is not None and spec.plan.of.strip() != "key":
        yield (
            "plan.of",
            f"{spec.plan.of} may name plans of other keys; {_SPREAD}, and a plan is where its "
            "owner's key is: leave `of` out",
        )
    for number, limit in enumerate(spec.limits):
        if limit.of == "rule":
            yield (
                f"limits[{number}].of",
                f"a limit of the rule counts firings at all keys; {_SPREAD}, and none of them "
                "counts those of the others: use `of: key`",
            )
    feeds = {one.feed for one in spec.watch.values()}
    feeds |= {one.feed for one in spec.windows.values() if one.feed is not None}
    if OUTCOME_FEED in feeds and len(feeds) > 1:
        yield (
            "watch",
            f"{OUTCOME_FEED} is kept where the instruction was decided, and meets no events of "
            f"other feeds by its key; {_SPREAD}: watch it in a rule of its own",
        )


def _other_key(key: str) -> str:
    return (
        f"{key} puts events of several keys together; {_SPREAD}: leave `key` out, or have the feed "
        "name this as its key"
    )
