"""The publisher: an answer for each envelope, in order, whatever became of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import Unavailable
from data_sharing.event import Event
from data_sharing.feeds.intake import Envelope, Intake, Refusal
from data_sharing.feeds.port import Appended, Candidate, FeedLog
from data_sharing.feeds.publisher import Publisher

NOW_MS = 1_000


class EveryOther:
    """An intake that refuses envelopes whose id begins with `bad`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, str]] = []

    def check(
        self, tenant: str, envelope: Envelope, now_ms: int, application: str = ""
    ) -> Candidate | Refusal:
        self.asked.append((tenant, now_ms, application))
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
            future.set_result(
                [Appended(position, False) for position, _ in enumerate(candidates, 1)]
            )


def publisher() -> tuple[Publisher, EveryOther, PendingLog]:
    intake, log = EveryOther(), PendingLog()
    made = Publisher(cast("Intake", intake), cast("FeedLog", log), wall_ms=lambda: NOW_MS)
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
