"""Whether one event can cost a tenant too much, once new versions of rules decide. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data_sharing.decisions.rule_tables import RuleVersion
from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.rules import event_cost
from data_sharing.rules.event_cost import EventCost
from data_sharing.rules.ruleset import RuleSet


def check_costs(
    tenant: str,
    new_forecasts: Iterable[ForecastSpec],
    versions: Sequence[RuleVersion],
    now: RuleSet,
    costs: Sequence[EventCost],
) -> None:
    """Whether events can cost too much once these versions and forecasts, of which `costs` are,
    decide beside what does now. Raises Refused."""
    feeds = {one.feed for one in costs}
    rules = {(tenant, one.slot) for one in versions}
    forecasts = {(tenant, one.forecast) for one in new_forecasts}
    besides = [
        cost
        for name, rule in now.rules.items()
        if name[0] == tenant and name not in rules
        for cost in event_cost.of_rule(rule)
    ]
    besides += [
        event_cost.of_forecast(one)
        for name, one in now.forecasts.items()
        if name[0] == tenant and name not in forecasts
    ]
    event_cost.check_feeds(tenant, [*besides, *costs], feeds)
