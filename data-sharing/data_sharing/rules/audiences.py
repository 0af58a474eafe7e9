"""Audiences of rules and forecasts: who learns what they read.

A rule tells its owner, the applications that it has act, and the plans that it changes. A forecast
tells the tenant's rules, and those whom its `readers` and `plans` name: a rule reads it where all
of its own audience is among these, and its purpose is the same.
"""

from __future__ import annotations

from functools import lru_cache

from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.rules.spec import RuleSpec
from data_sharing.sharing.audience import PLANS, RULES, Audience


def of_rule(spec: RuleSpec) -> Audience:
    """The audience of a rule."""
    readers = {spec.application or RULES}
    for effect in spec.do:
        readers.add(effect.invoke.application if effect.invoke is not None else PLANS)
    return _audience(frozenset(readers), spec.purpose or "")


def of_forecast(spec: ForecastSpec) -> Audience:
    """The audience of a forecast."""
    readers = {RULES, *spec.readers, *((PLANS,) if spec.plans else ())}
    return _audience(frozenset(readers), spec.purpose or "")


@lru_cache(maxsize=1_024)
def _audience(readers: frozenset[str], purpose: str) -> Audience:
    """Rules by the thousand have the same few."""
    return Audience(readers, purpose)
