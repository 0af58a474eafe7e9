"""The publisher: an answer for each envelope, in order, whatever became of the others."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from control_plane.errors import Unavailable
from data_sharing.event import Event
from data_sharing.feeds.intake import Envelope, Intake, Refusal
from data_sharing.feeds.port import Appended, Candidate, FeedLog
from data_sharing.feeds.publisher import ALL_S, SHARED_SLICE_S, SLICE_S, Publisher

NOW_MS = 1_000


class Clock:
    """Stands still but for what checking takes."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class EveryOther:
    """An intake that refuses envelopes whose id begins with `bad`, and takes `costs_s` for each."""

    def __init__(self, clock: Clock) -> None:
        self.asked: list[tuple[str, int, str]] = []
        self.costs_s = 0.0
        self.broken = False
        self.clock = clock

    def check(
        self, tenant: str, envelope: Envelope, now_ms: int, application: str = ""
    ) -> Candidate | Refusal:
        if self.broken:
            raise RuntimeError("a defect")
        self.asked.append((tenant, now_ms, application))
        self.clock.now += self.costs_s
        if envelope.id.startswith("moved"):
            return Refusal("moved", "key", "of another partition", int(envelope.id[-1]))
        if envelope.id.startswith("bad"):
            return Refusal("bad-id", "id", f"{envelope.id} is refused")
        event = Event(tenant=tenant, source="s", id=envelope.id, type="t", key="k", time_ms=1,
                      data={}, subject="", position=0)  # fmt: skip
        return Candidate(event, b"{}")


class PendingLog:
    """A log whose appends are answered by the test."""

    def __init__(self) -> None:
        self.appended: list[tuple[Sequence[Candidate], asyncio.Future[Sequence[Appended]]]] = []

    def append(self, candidates: Sequence[Candidate]) -> asyncio.Future[Sequence[Appended]]:
        future: asyncio.Future[Sequence[Appended]] = asyncio.get_running_loop().create_future()
        self.appended.append((candidates, future))
        return future

    def answer(self) -> None:
        for candidates, future in self.appended:
            if future.done():
                continue
            future.set_result(
                [Appended(position, False) for position, _ in enumerate(candidates, 1)]
            )


def publisher() -> tuple[Publisher, EveryOther, PendingLog]:
    clock = Clock()
    intake, log = EveryOther(clock), PendingLog()
    made = Publisher(
        cast("Intake", intake), cast("FeedLog", log), wall_ms=lambda: NOW_MS, clock=clock
    )
    return made, intake, log


def envelope(name: str) -> Envelope:
    return Envelope(id=name, source="s", type="t", specversion="1.0", data=None)


def run(names: Sequence[str]) -> Sequence[Appended | Refusal]:
    """What publishing envelopes of these ids answers; `format…` came as a refusal."""

    async def publish() -> Sequence[Appended | Refusal]:
        made, _, log = publisher()
        future = made.publish("home", [
            Refusal("not-an-event", "", name) if name.startswith("format") else envelope(name)
            for name in names
        ])  # fmt: skip
        log.answer()
        return await future

    return asyncio.run(publish())


@given(names=st.lists(st.sampled_from(["good", "bad", "format"]), max_size=12))
def test_answers_come_in_the_order_of_what_was_asked(names: list[str]) -> None:
    answers = run(names)
    assert len(answers) == len(names)
    positions = iter(range(1, len(names) + 1))
    for name, answer in zip(names, answers, strict=True):
        if name == "good":
            assert answer == Appended(next(positions), False)
        else:
            assert isinstance(answer, Refusal)
            assert answer.code == ("bad-id" if name == "bad" else "not-an-event")


async def test_what_is_only_refused_does_not_trouble_the_log() -> None:
    made, _, log = publisher()
    future = made.publish("home", [envelope("bad")])
    assert future.done()
    assert log.appended == []
    assert made.refused == {"bad-id": 1}


async def test_each_envelope_is_checked_for_its_tenant_and_application() -> None:
    made, intake, _ = publisher()
    made.publish("home", [envelope("good"), envelope("bad")], application="alarm")
    assert intake.asked == [("home", NOW_MS, "alarm")] * 2


@pytest.mark.parametrize("names", [("good",), ("good", "bad")], ids=["alone", "beside-a-refusal"])
async def test_a_failing_log_fails_all_of_a_batch(names: tuple[str, ...]) -> None:
    made, _, log = publisher()
    future = made.publish("home", [envelope(name) for name in names])
    log.appended[0][1].set_exception(Unavailable("the disk is full"))
    with pytest.raises(Unavailable, match="the disk is full"):
        await future


async def test_a_caller_that_went_away_does_not_disturb_the_log() -> None:
    made, _, log = publisher()
    future = made.publish("home", [envelope("good"), envelope("bad")])
    future.cancel()
    log.answer()
    await asyncio.sleep(0)
    assert future.cancelled()


# -- checking that takes long ----------------------------------------------------------

LONG_S = SLICE_S / 2 + 0.0001  # two of them are more than is checked at once


async def passes(until: Callable[[], bool]) -> None:
    """Lets the loop go round until something is so."""
    async with asyncio.timeout(5):
        while not until():  # noqa: ASYNC110  # passes of the loop are what is counted
            await asyncio.sleep(0)


async def test_a_batch_that_takes_long_is_checked_a_little_at_a_time() -> None:
    made, intake, log = publisher()
    intake.costs_s = LONG_S
    names = ["good", "bad", "good", "good", "bad", "good", "good"]
    future = made.publish("home", [envelope(name) for name in names])
    assert len(intake.asked) == 2
    counted = [len(intake.asked)]
    while len(intake.asked) < len(names):
        await asyncio.sleep(0)
        counted.append(len(intake.asked))
    assert max(after - before for before, after in itertools.pairwise(counted)) == 2
    assert len(made) == 0
    assert [len(candidates) for candidates, _ in log.appended] == [5], "it is kept as one"
    log.answer()
    answers = await future
    assert [isinstance(one, Refusal) for one in answers] == [name == "bad" for name in names]


class RecordingLoop(asyncio.SelectorEventLoop):
    """Says for how long it was asked to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] = []

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        self.delays.append(delay)
        return super().call_later(delay, callback, *args, context=context)


def test_as_long_as_checking_took_the_loop_is_for_everything_else() -> None:
    async def publish() -> None:
        made, intake, _ = publisher()
        made.publish("away", [envelope("good")])
        intake.costs_s = LONG_S
        made.publish("home", [envelope("good")] * 4)
        while len(made):  # noqa: ASYNC110  # passes of the loop are what is counted
            await asyncio.sleep(0)

    loop = RecordingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(publish())
        assert loop.delays == pytest.approx([LONG_S] * 2), "one at a time, as several publish"


@pytest.mark.parametrize(
    ("others_s", "rounds"),
    [
        pytest.param(0.0, 1, id="nothing else is done: none are waited for"),
        pytest.param(2 * LONG_S / 3, 3, id="as long as checking took"),
    ],
)
async def test_beside_a_tenant_that_alone_publishes_everything_else_has_its_time(
    others_s: float, rounds: int
) -> None:
    """others_s: what each round of the loop takes for other things."""
    made, intake, _ = publisher()
    clock = intake.clock
    intake.costs_s = LONG_S
    made.publish("home", [envelope("good")] * 6)
    await passes(lambda: len(intake.asked) == 4)
    counted = 0
    while len(made):
        clock.now += others_s
        counted += 1
        await asyncio.sleep(0)
    assert len(intake.asked) == 6
    assert counted == rounds


async def test_who_has_little_checked_does_not_wait_where_one_tenants_batches_do() -> None:
    made, intake, log = publisher()
    intake.costs_s = SHARED_SLICE_S
    for _ in range(3):
        made.publish("greedy", [envelope("good")] * 50)
    intake.costs_s = 0.0
    made.publish("steady", [envelope("good")])
    assert [candidates[0].event.tenant for candidates, _ in log.appended] == ["steady"]


async def test_many_tenants_at_once_wait_as_one_does() -> None:
    made, intake, _ = publisher()
    intake.costs_s = SHARED_SLICE_S
    for number in range(50):
        made.publish(f"tenant{number}", [envelope("good")])
    assert len(intake.asked) <= ALL_S / SHARED_SLICE_S + 1
    await passes(lambda: len(intake.asked) == 50)


class Unread(Sequence[Envelope | Refusal]):
    """Envelopes that are read where they are asked for, which takes as long as its cost says."""

    def __init__(self, count: int, clock: Clock, costs_s: float) -> None:
        self._count, self._clock, self._costs_s = count, clock, costs_s
        self.read = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        self.read += 1
        self._clock.now += self._costs_s
        return envelope("good")


async def test_what_is_costly_to_read_is_read_a_little_at_a_time() -> None:
    made, intake, log = publisher()
    batch = Unread(20, intake.clock, LONG_S)
    made.publish("home", batch)
    assert batch.read == 2
    await passes(lambda: bool(log.appended))
    assert batch.read == 20, "once each"


async def test_while_one_tenants_batches_wait_anothers_has_its_turn() -> None:
    made, intake, log = publisher()
    intake.costs_s = LONG_S
    for _ in range(3):
        made.publish("hostile", [envelope("good")] * 50)
    made.publish("steady", [envelope("good")])
    await passes(lambda: bool(log.appended))
    assert log.appended[0][0][0].event.tenant == "steady"
    assert len(intake.asked) <= 7
    await passes(lambda: len(made) == 0)
    assert [len(candidates) for candidates, _ in log.appended] == [1, 50, 50, 50]


async def test_many_small_calls_at_once_wait_as_one_large_one_does() -> None:
    made, intake, _ = publisher()
    intake.costs_s = LONG_S
    for _ in range(20):
        made.publish("home", [envelope("good")])
    assert len(intake.asked) == 2
    assert len(made) == 18
    await passes(lambda: len(intake.asked) == 20)


async def test_a_tenants_events_are_kept_in_the_order_of_its_calls() -> None:
    made, intake, log = publisher()
    intake.costs_s = LONG_S
    made.publish("home", [envelope("long")] * 5)
    intake.costs_s = 0.0
    made.publish("home", [envelope("short")])
    assert log.appended == []
    await passes(lambda: len(log.appended) == 2)
    assert [candidates[0].event.id for candidates, _ in log.appended] == ["long", "short"]


async def test_what_nobody_waits_for_any_more_is_not_checked() -> None:
    made, intake, log = publisher()
    intake.costs_s = LONG_S
    future = made.publish("home", [envelope("good")] * 50)
    future.cancel()
    await passes(lambda: len(made) == 0)
    assert len(intake.asked) == 2
    assert log.appended == []


async def test_a_defect_while_it_waited_is_told_to_who_waits_and_to_nobody_else() -> None:
    made, intake, log = publisher()
    intake.costs_s = LONG_S
    first = made.publish("home", [envelope("good")] * 3)
    second = made.publish("away", [envelope("good")] * 3)
    intake.broken = True
    with pytest.raises(RuntimeError, match="a defect"):
        await first
    with pytest.raises(RuntimeError, match="a defect"):
        await second
    intake.broken = False
    third = made.publish("home", [envelope("good")])
    await passes(lambda: len(log.appended) == 1)
    log.answer()
    assert await third == [Appended(1, False)]


MOVED = [f"moved-{partition}" for partition in range(3)]


@given(names=st.lists(st.sampled_from(["good", "bad", "format", *MOVED]), max_size=12))
def test_what_is_of_other_partitions_is_passed_on_in_order_and_answered_in_its_place(
    names: list[str],
) -> None:
    async def publish() -> tuple[Sequence[Appended | Refusal], dict[int, list[int]]]:
        made, _, log = publisher()
        passed: dict[int, list[int]] = {}

        def forward(
            partition: int, envelopes: Sequence[Envelope]
        ) -> asyncio.Future[Sequence[Appended | Refusal]]:
            future: asyncio.Future[Sequence[Appended | Refusal]]
            future = asyncio.get_running_loop().create_future()
            passed[partition] = [int(one.subject) for one in envelopes]
            future.set_result([Appended(1_000 + int(one.subject), False) for one in envelopes])
            return future

        future = made.publish("home", [
            Refusal("not-an-event", "", name) if name.startswith("format")
            else replace(envelope(name), subject=str(place))
            for place, name in enumerate(names)
        ], forward=forward)  # fmt: skip
        log.answer()
        return await future, passed

    answers, passed = asyncio.run(publish())
    positions = iter(range(1, len(names) + 1))
    for place, (name, answer) in enumerate(zip(names, answers, strict=True)):
        if name == "good":
            assert answer == Appended(next(positions), False)
        elif name in MOVED:
            assert answer == Appended(1_000 + place, False)
        else:
            assert isinstance(answer, Refusal)
    for partition, places in passed.items():
        assert places == [at for at, name in enumerate(names) if name == f"moved-{partition}"]


def test_what_is_of_another_partition_is_refused_where_nothing_is_passed_on() -> None:
    (answer,) = run(["moved-2"])
    assert isinstance(answer, Refusal)
    assert answer.partition == 2
