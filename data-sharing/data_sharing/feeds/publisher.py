"""Publisher: checks envelopes, appends those that pass to the feed log, answers in order.

What a batch asks for costs no task and no lock: up to the log's own queue all of it happens in the
call, so events are kept in the order in which calls were made. Where checking a tenant's has taken
the event loop for a while, what is left of its events waits, and is checked a little at a time, for
each tenant in turn and for half of the time at most, and in smaller pieces while several tenants
publish. Whoever has had little checked of late is not made to wait. A tenant's events keep their
order.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from data_sharing.feeds.intake import Envelope, Intake, Refusal
from data_sharing.feeds.port import Appended, Candidate, FeedLog
from data_sharing.feeds.publishing_tenants import PublishingTenants
from data_sharing.spans import trace_at_hand

Answer: TypeAlias = Appended | Refusal
Forward: TypeAlias = Callable[[int, Sequence[Envelope]], asyncio.Future[Sequence[Answer]]]
"""(another partition, events of its keys) to what it answers, in order. Calls keep theirs, too."""

SLICE_S = 0.002  # of a tenant, checked at once, and one event more, which takes some 6 ms at most
SHARED_SLICE_S = 0.0005  # while several tenants publish
ALL_S = 0.004  # of all tenants together
IDLE_S = 0.0001  # the event loop comes round within that where there is nothing to do
WINDOW_S = 0.005  # what was checked within it counts as at once


class Publisher:
    """Use from one event loop. wall_ms: Unix ms. clock: monotonic seconds."""

    def __init__(
        self,
        intake: Intake,
        log: FeedLog,
        *,
        wall_ms: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._intake = intake
        self._log = log
        self._wall_ms = wall_ms
        self._clock = clock
        self._window = 0.0
        self._spent_s: dict[str, float] = {}  # in it, by tenant
        self._publishing = PublishingTenants()
        self._waiting: dict[str, deque[_Batch]] = {}  # by tenant, whose turn it is in front
        self.refused: Counter[str] = Counter()  # by code

    def __len__(self) -> int:
        """Batches that wait to be checked."""
        return sum(map(len, self._waiting.values()))

    def publish(
        self,
        tenant: str,
        envelopes: Sequence[Envelope | Refusal],
        *,
        application: str = "",
        forward: Forward | None = None,
    ) -> asyncio.Future[Sequence[Answer]]:
        """An answer for each envelope, in order, once all that can be kept is durable. A
        Refusal among them stands for an event that its format could not give, and is its own
        answer. `application`: the only one whose feeds may be published to; empty: any. forward:
        what becomes of events of other partitions' keys; None: they are refused, naming it.

        The future raises what FeedLog.append and `forward` do, for all of them.
        """
        batch = _Batch(tenant, application, envelopes, self._wall_ms(), trace_at_hand(), forward)
        if tenant not in self._waiting and self._begin_now(batch):
            return self._append(batch)
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._pass)
        self._waiting.setdefault(tenant, deque()).append(batch)
        batch.answer = asyncio.get_running_loop().create_future()
        return batch.answer

    def _begin_now(self, batch: _Batch) -> bool:
        """Whether all of it is checked."""
        now = self._clock()
        self._publishing.note(batch.tenant, now)
        if now - self._window > WINDOW_S:
            self._window = now
            self._spent_s.clear()
        slice_s, spent_s = self._slice_s(now), self._spent_s
        own_s = spent_s.get(batch.tenant, 0.0)
        if own_s >= slice_s or sum(spent_s.values()) >= ALL_S:
            return False
        checked = batch.check(self._intake, self._clock, now + slice_s - own_s)
        spent_s[batch.tenant] = own_s + self._clock() - now
        return checked

    def _slice_s(self, now: float) -> float:
        return SHARED_SLICE_S if self._publishing.several(now) else SLICE_S

    def _pass(self) -> None:
        """Checks for so long, a tenant's first batch after the other's; then as much time is for
        everything else."""
        began = self._clock()
        until = began + self._slice_s(began)
        while self._waiting and self._clock() < until:
            tenant = next(iter(self._waiting))
            line = self._waiting.pop(tenant)
            if self._checked(line[0], until):
                line.popleft()
            if line:
                self._waiting[tenant] = line
        if self._waiting:
            now, loop = self._clock(), asyncio.get_running_loop()
            if self._publishing.several(now):
                loop.call_later(now - began, self._pass)
            else:
                loop.call_soon(self._rest, now + now - began, now)

    def _rest(self, until: float, since: float) -> None:
        """One tenant alone publishes: the next pass comes then, or once the loop came round with
        nothing else to do. since: when it was last here."""
        now = self._clock()
        if now >= until or now - since < IDLE_S:
            self._pass()
        else:
            asyncio.get_running_loop().call_soon(self._rest, until, now)

    def _checked(self, batch: _Batch, until: float) -> bool:
        """Whether it waits no more: all of it is checked, or nobody waits for the answer."""
        answer = batch.answer
        assert answer is not None
        if answer.done():
            return True
        try:
            if not batch.check(self._intake, self._clock, until):
                return False
            _hand_on(self._append(batch), answer)
        except Exception as error:  # noqa: BLE001  # goes to whoever waits for the answer
            answer.set_exception(error)
        return True

    def _append(self, batch: _Batch) -> asyncio.Future[Sequence[Answer]]:
        """Of a batch that is checked."""
        candidates, refusals = batch.candidates, batch.refusals
        if batch.moved:
            return self._append_and_forward(batch)
        if batch.trace:
            candidates = [_traced(one, batch.trace) for one in candidates]
        if not refusals:
            return self._log.append(candidates)  # type: ignore[return-value]
        self.refused.update([one.code for _, one in refusals])
        answer: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        if not candidates:
            answer.set_result([one for _, one in refusals])
            return answer

        def merged(appended: Sequence[Appended]) -> Sequence[Answer]:
            answers: list[Answer] = list(appended)
            for place, refusal in refusals:  # in rising order, so each lands in its place
                answers.insert(place, refusal)
            return answers

        _hand_on(self._log.append(candidates), answer, merged)
        return answer

    def _append_and_forward(self, batch: _Batch) -> asyncio.Future[Sequence[Answer]]:
        """Both at once: keys of one partition are in no order with those of another."""
        moved, forward, total = batch.moved, batch.forward, batch.place
        assert forward is not None
        batch.moved = {}
        gone = {place for rows in moved.values() for place, _ in rows}
        here = [place for place in range(total) if place not in gone]
        rank = {place: number for number, place in enumerate(here)}
        batch.refusals = [(rank[place], one) for place, one in batch.refusals]
        waits: list[asyncio.Future[Sequence[Answer]]] = []
        if here:
            waits.append(self._append(batch))
        places = [here] * bool(here)
        for partition, rows in moved.items():
            places.append([place for place, _ in rows])
            waits.append(forward(partition, [envelope for _, envelope in rows]))

        def in_order(found: list[Sequence[Answer]]) -> Sequence[Answer]:
            answers: list[Answer | None] = [None] * total
            for at, some in zip(places, found, strict=True):
                for place, one in zip(at, some, strict=True):
                    answers[place] = one
            return answers  # type: ignore[return-value]

        answer: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        _hand_on(asyncio.gather(*waits), answer, in_order)  # type: ignore[arg-type]
        return answer


class _Batch:
    """What one call publishes. answer: for one that waits."""

    __slots__ = (
        "answer", "application", "candidates", "envelopes", "forward", "moved", "now_ms", "place",
        "refusals", "tenant", "trace",
    )  # fmt: skip

    def __init__(
        self,
        tenant: str,
        application: str,
        envelopes: Sequence[Envelope | Refusal],
        now_ms: int,
        trace: str,
        forward: Forward | None = None,
    ) -> None:
        self.tenant = tenant
        self.application = application
        self.envelopes = envelopes
        self.now_ms = now_ms
        self.trace = trace
        self.place = 0  # of the next one to be checked
        self.candidates: list[Candidate] = []
        self.refusals: list[tuple[int, Refusal]] = []
        self.forward = forward
        self.moved: dict[int, list[tuple[int, Envelope]]] = {}  # by partition, with their places
        self.answer: asyncio.Future[Sequence[Answer]] | None = None

    def check(self, intake: Intake, clock: Callable[[], float], until: float) -> bool:
        """Whether it came to the end of the batch; at least one event is checked."""
        check, tenant, now_ms, application = (
            intake.check, self.tenant, self.now_ms, self.application,
        )  # fmt: skip
        envelopes, candidates = self.envelopes, self.candidates
        count = len(envelopes)
        while self.place < count:
            envelope = envelopes[self.place]
            judged: Candidate | Refusal
            if type(envelope) is Refusal:
                judged = envelope
            else:
                judged = check(tenant, envelope, now_ms, application)  # type: ignore[arg-type]
            if type(judged) is Candidate:
                candidates.append(judged)
            elif judged.partition >= 0 and self.forward is not None:  # type: ignore[union-attr]
                rows = self.moved.setdefault(judged.partition, [])  # type: ignore[union-attr]
                rows.append((self.place, envelope))  # type: ignore[arg-type]
            else:
                self.refusals.append((self.place, judged))  # type: ignore[arg-type]
            self.place += 1
            if self.place < count and clock() >= until:
                return False
        return True


def _hand_on(
    done: asyncio.Future[Sequence[Appended]] | asyncio.Future[Sequence[Answer]],
    answer: asyncio.Future[Sequence[Answer]],
    change: Callable[[Sequence[Appended]], Sequence[Answer]] | None = None,
) -> None:
    """What becomes of one future becomes of the other."""

    def hand_on(done: asyncio.Future[Sequence[Appended]]) -> None:
        if answer.done():
            return
        if done.cancelled():
            answer.cancel()
        elif (failure := done.exception()) is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(done.result() if change is None else change(done.result()))

    done.add_done_callback(hand_on)  # type: ignore[arg-type]


def _traced(candidate: Candidate, trace: str) -> Candidate:
    """The event is of the call's trace, unless it says itself of which it is."""
    event = candidate.event
    return candidate if event.trace else replace(candidate, event=replace(event, trace=trace))
