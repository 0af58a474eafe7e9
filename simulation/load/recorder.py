"""Recorder: counts what becomes of calls, second by second, in one process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from simulation.load.counts import MOST_DELAYS, MOST_UNITS, LoadSecond
from simulation.load.latencies import Latencies
from simulation.load.refusals import READ_EACH_S, Refusal, has_details, refusal_in
from simulation.load.user_kinds import UserKind

WORDS = tuple(kind.word for kind in UserKind)
REFUSING = {"grpc-status 8": "RESOURCE_EXHAUSTED", "grpc-status 14": "UNAVAILABLE"}
MOST_REASONS = 50


class Recorder:
    """cpu_s: processor time that this process has used so far; words: of the kinds of calls."""

    def __init__(self, cpu_s: Callable[[], float], words: Sequence[str] = WORDS) -> None:
        self._words = words
        self._cpu_s = cpu_s
        self._cpu_before = cpu_s()
        self._read: dict[str, deque[Refusal]] = {}  # the last ones of each status
        self._begin(0)

    def _begin(self, second: int) -> None:
        self.now = LoadSecond(second=second)
        self._latencies: tuple[list[float], ...] = tuple([] for _ in self._words)
        self._late: list[float] = []
        self._read_count = 0

    def begin(self) -> None:
        """The clock of the run starts now."""
        self._cpu_before = self._cpu_s()

    def sent(self, kind: int, late_s: float, *, again: bool) -> None:
        """A call went out. again: of a user who was refused before."""
        now = self.now
        now.asked += 1
        self._late.append(late_s)
        if again:
            now.came_back += 1
        else:
            now.arrived[self._words[kind]] += 1

    def answered(self, kind: int, answer: bytes, latency_s: float) -> None:
        """A call ended well."""
        now = self.now
        now.good[self._words[kind]] += 1
        self.keep_latency(kind, latency_s)
        if kind == UserKind.RELEASED:
            return
        response = pb.ProvisionResponse.FromString(answer)
        unit = response.assignment.unit_id
        if unit in now.homes or len(now.homes) < MOST_UNITS:
            now.homes[unit] += 1
        now.started += not response.existing
        now.stale += response.stale
        now.moved += response.existing and bool(response.decision.moved_from)

    def keep_latency(self, kind: int, latency_s: float) -> None:
        """Of a call that ended well."""
        self._latencies[kind].append(latency_s)

    def ended(self, kind: int, error: str, trailers: bytes) -> float | None:
        """A call ended otherwise. When its user was told to come back, in seconds; None: it was
        not."""
        now = self.now
        status = REFUSING.get(error)
        if status is None or not trailers:
            known = error in now.failed or len(now.failed) < MOST_REASONS
            now.failed[error if known else "of other kinds"] += 1
            return None
        told = Refusal()
        if not has_details(trailers):
            now.silent += 1
        elif self._read_count < READ_EACH_S or status not in self._read:
            self._read_count += 1
            told = refusal_in(trailers)
            self._read.setdefault(status, deque(maxlen=READ_EACH_S)).append(told)
            now.silent += told.retry_after_s is None
            if told.retry_after_s is not None and len(now.delays_s) < MOST_DELAYS:
                now.delays_s.append(told.retry_after_s)
        else:
            told = self._read[status][0]  # by turns: their delays are spread
            self._read[status].rotate(-1)
        now.refused[told.reason or status] += 1
        now.refused_kinds[self._words[kind]] += 1
        return told.retry_after_s

    def told(self, error: str, trailers: bytes) -> float | None:
        """When a call that failed, and is not counted, may be made again, in seconds; None: it was
        not said."""
        return refusal_in(trailers).retry_after_s if error in REFUSING else None

    def lost(self) -> None:
        """A user has given up."""
        self.now.lost += 1

    def finish(self, under_way: int, next_second: int) -> LoadSecond:
        """The second that is over; another begins."""
        done, spent = self.now, self._cpu_s()
        done.under_way, done.cpu_s = under_way, spent - self._cpu_before
        self._cpu_before = spent
        for word, seconds in zip(self._words, self._latencies, strict=True):
            if seconds:
                held = Latencies()
                held.record(seconds)
                done.latencies[word] = held.encoded()
        late = Latencies()
        late.record(self._late)
        done.late = late.encoded()
        self._begin(next_second)
        return done
