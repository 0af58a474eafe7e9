"""What follows from an event whose feed has a policy: each audience decides by what it is shown of
it, from the index on, and all of them together resolve what they want done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from data_sharing.event import Event
from data_sharing.rules.asked_rules import asked, decided
from data_sharing.rules.compiled import CompiledForecast
from data_sharing.rules.estimating import take_in
from data_sharing.rules.evaluation_context import EvaluationContext
from data_sharing.rules.feed_subscribers import FeedSubscribers, Subscriber
from data_sharing.rules.results import NO_RESULT, EvaluationResult
from data_sharing.sharing.consent import Consents
from data_sharing.sharing.field_view import AudienceRead, FieldView


class Seer(NamedTuple):
    """The rules and forecasts of one audience of a feed, and how they see it."""

    feed: FeedSubscribers
    view: FieldView


def decided_shown(
    event: Event,
    seers: Sequence[Seer],
    make_context: Callable[[], EvaluationContext],
    shape: Callable[[CompiledForecast], str],
    *,
    whole: bool,
    consents: Consents,
) -> EvaluationResult:
    """make_context: of the event; shape: of a forecast's state. whole: as of RuleSet.decide."""
    context: EvaluationContext | None = None
    shown: dict[Subscriber, Event] = {}
    left_out: set[Subscriber] = set()
    reads: list[AudienceRead] = []
    for feed, view in seers:
        seen = view.of(event, consents)
        if seen is None:
            continue
        mine, selection = seen
        concerned = feed.index.touched(mine)
        if not (concerned or whole or feed.forecasts):
            continue
        if context is None:
            context = make_context()
            # What a producer calls its flow is not for all who may see that the event was there.
            context.refs = tuple(one._replace(correlation=one.id) for one in context.refs)
        context.event = mine
        for one in feed.forecasts:
            take_in(one, shape(one), context)
        touched = feed.index.subscriptions if whole else concerned
        if whole:
            left_out |= feed.index.subscriptions.keys() - concerned
        shown.update(dict.fromkeys(touched, mine))
        if touched or feed.forecasts:
            reads.append(selection.read)
    if context is None or not reads:
        return NO_RESULT
    result = decided(asked(context, shown, left_out, shown), context)
    return replace(result, reads=tuple(reads))
