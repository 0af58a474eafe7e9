"""FeedSubscribers: all that depends on one feed, as one audience sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal, TypeAlias

from data_sharing.rules.compiled import CompiledForecast, CompiledRule, FedWindow, Input
from data_sharing.rules.fields_read import feeds_of
from data_sharing.rules.index import FeedIndex
from data_sharing.rules.plain_rule import PlainRule
from data_sharing.sharing.audience import Audience
from data_sharing.sharing.policies import SharingPolicies

Place: TypeAlias = tuple[str, str, Audience | None]
"""Tenant, feed, and who sees it so; None: the feed has no policy, and all see it alike."""


class Subscriber:
    """A window or an input of a rule: what an index finds. alone: the input of a rule that looks
    at one event alone. plain: that rule, where it is a plain one; False: not looked at yet. Equal
    to itself alone."""

    __slots__ = ("alone", "part", "place", "plain", "rule")

    def __init__(self, rule: CompiledRule, part: FedWindow | Input, number: int) -> None:
        """number: of the part within its rule."""
        self.rule = rule
        self.part = part
        self.place = (*rule.order, number)  # in the order of deciding
        self.alone = part if rule.alone and isinstance(part, Input) else None
        self.plain: PlainRule | Literal[False] | None = False


in_order = attrgetter("place")


@dataclass(frozen=True, slots=True)
class FeedSubscribers:
    """forecasts: by name."""

    index: FeedIndex[Subscriber]
    subscribers: Mapping[str, tuple[Subscriber, ...]]  # by their rule
    forecasts: tuple[CompiledForecast, ...]

    @property
    def empty(self) -> bool:
        return not (self.subscribers or self.forecasts)


NOTHING = FeedSubscribers(FeedIndex(), {}, ())


def place_of(policies: SharingPolicies, tenant: str, feed: str, audience: Audience) -> Place:
    """Where what an audience reads of a feed is."""
    return tenant, feed, None if policies.get(tenant, feed) is None else audience


def places_of(policies: SharingPolicies, rule: CompiledRule) -> Iterator[Place]:
    """Where a rule is, each once."""
    for feed in sorted(feeds_of(rule)):
        yield place_of(policies, rule.tenant, feed, rule.audience)


def parts_of(rule: CompiledRule) -> list[FedWindow | Input]:
    """Windows before inputs: an event is in the windows that its own decision reads."""
    return [*rule.windows.values(), *rule.inputs.values()]


def by_kind(parts: Sequence[FedWindow | Input]) -> tuple[list[FedWindow], list[Input]]:
    """Apart again."""
    windows = [part for part in parts if isinstance(part, FedWindow)]
    return windows, [part for part in parts if isinstance(part, Input)]
