"""Publisher: checks envelopes, appends those that pass to the feed log, answers in order.

What a batch asks for costs no task and no lock: everything up to the log's own queue happens
in the call, so events are kept in the order in which calls were made.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from data_sharing.feeds.intake import Envelope, Intake, Refusal
from data_sharing.feeds.port import Appended, Candidate, FeedLog
from data_sharing.spans import trace_at_hand

Answer: TypeAlias = Appended | Refusal


class Publisher:
    """wall_ms: Unix ms."""

    def __init__(self, intake: Intake, log: FeedLog, *, wall_ms: Callable[[], int]) -> None:
        self._intake = intake
        self._log = log
        self._wall_ms = wall_ms
        self.refused: Counter[str] = Counter()  # by code

    def publish(
        self, tenant: str, envelopes: Iterable[Envelope | Refusal], *, application: str = ""
    ) -> asyncio.Future[Sequence[Answer]]:
        """An answer for each envelope, in order, once all that can be kept is durable. A
        Refusal among them stands for an event that its format could not give, and is its own
        answer. `application`: the only one whose feeds may be published to; empty: any.

        The future raises what FeedLog.append does, for all of them.
        """
        check, now_ms = self._intake.check, self._wall_ms()
        candidates: list[Candidate] = []
        refusals: list[tuple[int, Refusal]] = []
        for place, envelope in enumerate(envelopes):
            judged: Candidate | Refusal
            if type(envelope) is Refusal:
                judged = envelope
            else:
                judged = check(tenant, envelope, now_ms, application)  # type: ignore[arg-type]
            if type(judged) is Candidate:
                candidates.append(judged)
            else:
                refusals.append((place, judged))  # type: ignore[arg-type]
        if trace := trace_at_hand():
            candidates = [_traced(one, trace) for one in candidates]
        if not refusals:
            return self._log.append(candidates)  # type: ignore[return-value]
        self.refused.update([one.code for _, one in refusals])
        answer: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        if not candidates:
            answer.set_result([one for _, one in refusals])
            return answer

        def merge(done: asyncio.Future[Sequence[Appended]]) -> None:
            if answer.done():
                return
            if done.cancelled():
                answer.cancel()
            elif (failure := done.exception()) is not None:
                answer.set_exception(failure)
            else:
                answers: list[Answer] = list(done.result())
                for place, refusal in refusals:  # in rising order, so each lands in its place
                    answers.insert(place, refusal)
                answer.set_result(answers)

        self._log.append(candidates).add_done_callback(merge)
        return answer


def _traced(candidate: Candidate, trace: str) -> Candidate:
    """The event is of the call's trace, unless it says itself of which it is."""
    event = candidate.event
    return candidate if event.trace else replace(candidate, event=replace(event, trace=trace))
