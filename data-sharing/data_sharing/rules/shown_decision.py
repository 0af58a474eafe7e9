"""What follows from an event whose feed has a policy: each audience decides by what it is shown of
it, from the index on, and all of them together resolve what they want done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from data_sharing.event import Event
from data_sharing.rules.asked_rules import asked, decided
from data_sharing.rules.compiled import CompiledForecast
from data_sharing.rules.estimating import take_in
from data_sharing.rules.evaluation_context import EvaluationContext
from data_sharing.rules.feed_subscribers import FeedSubscribers, Subscriber
from data_sharing.rules.results import NO_RESULT, EvaluationResult
from data_sharing.sharing.consent import Consents
from data_sharing.sharing.field_view import MOST_SELECTIONS, AudienceRead, FieldView, Selection


class Seer:
    """The rules and forecasts of one audience of a feed, and how they see it."""

    __slots__ = ("_asked_for", "feed", "view")

    def __init__(self, feed: FeedSubscribers, view: FieldView) -> None:
        self.feed = feed
        self.view = view
        self._asked_for: dict[Selection, frozenset[str] | None] = {}

    def finds_by_itself(self, event: Event, selection: Selection) -> bool:
        """Whether the index finds the same in the event as in what is shown of it: nothing that it
        looks at and the event has is hidden or masked."""
        if selection in self._asked_for:
            names = self._asked_for[selection]
        else:
            if len(self._asked_for) >= MOST_SELECTIONS:
                self._asked_for.clear()
            paths = [one for one in self.feed.index.paths if not selection.leaves(one)]
            in_data = all(path[0] == "data" for path in paths)
            names = frozenset(path[1] for path in paths) if in_data else None
            self._asked_for[selection] = names
        return names is not None and names.isdisjoint(event.data)


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
    for seer in seers:
        feed, view = seer.feed, seer.view
        selection = view.selection(view.consents_of(event, consents))
        if selection is None:
            continue
        # Most events concern nobody, and what is shown of them is not made.
        found = feed.index.touched(event) if seer.finds_by_itself(event, selection) else None
        if found is not None and not (found or whole or feed.forecasts):
            continue
        mine = selection.event_of(event)
        concerned = feed.index.touched(mine) if found is None else found
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
