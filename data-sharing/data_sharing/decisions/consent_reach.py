"""What a consent reaches: which rules and forecasts it let see something, and of which feeds.

Found by the feeds that it is about and by who sees them, so that rules of other feeds, purposes and
consumers are not looked at. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.ruleset import RuleSet
from data_sharing.sharing.audience import Audience, consumer_of
from data_sharing.sharing.consent import Consent
from data_sharing.sharing.policies import Memory


class Reached(NamedTuple):
    """feeds: of which the consent let it see something."""

    of: CompiledRule | CompiledForecast
    feeds: set[str]


def reached(rules: RuleSet, consent: Consent) -> dict[Memory, Reached]:
    """By what they remember in."""
    tenant, found = consent.tenant, dict[Memory, Reached]()
    feeds = [consent.feed] if consent.feed else [
        one.feed for one in rules.policies.of_tenant(tenant)
    ]  # fmt: skip
    for feed in feeds:
        for audience, seen_by in rules.seen_by(tenant, feed):
            if not _shows(rules, consent, feed, audience):
                continue
            for those in seen_by.subscribers.values():
                rule = those[0].rule
                memory = Memory(tenant, "rule", rule.state)
                found.setdefault(memory, Reached(rule, set())).feeds.add(feed)
            for one in seen_by.forecasts:
                memory = Memory(tenant, "forecast", one.spec.forecast)
                found.setdefault(memory, Reached(one, set())).feeds.add(feed)
    return found


def _shows(rules: RuleSet, consent: Consent, feed: str, audience: Audience) -> bool:
    """Whether it lets the audience see something of the feed."""
    if not consent.about(feed, audience.purpose):
        return False
    if consent.consumer not in map(consumer_of, audience.readers):
        return False
    view = rules.policies.view(consent.tenant, feed, audience)
    return view is not None and consent.consumer in view.consumers
