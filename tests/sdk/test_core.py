"""Operations of the core, step by step, without a network or a disk."""

from __future__ import annotations

from dataclasses import replace

import pytest

import homeport
from homeport import Assignment
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.core import MAX_STALE_S
from homeport.failure import Code, Failure
from homeport.steps import CacheDelete, CacheGet, CachePut, Try
from tests.sdk.core_harness import UNAVAILABLE, WALL_AT_START, FakeTime, core_on, drive

HOME = Assignment(
    tenant="acme",
    client_id="phone",
    unit_id="unit-0",
    endpoint="unit.example.net:443",
    epoch=3,
    ticket="ticket",
    ticket_expires_at=WALL_AT_START + 3600.0,
    existing=True,
)


def provision(core, *, prefer_cache=False, with_ticket=True):
    return core.provision(
        "phone",
        address=None,
        position=None,
        with_ticket=with_ticket,
        prefer_cache=prefer_cache,
        timeout_s=None,
    )


def answered(ttl_s: int = 3600, took_s: float = 0.0, time: FakeTime | None = None):
    def answer(step: Try) -> pb.ProvisionResponse:
        if time is not None:
            time.now += took_s
        response = pb.ProvisionResponse(ticket="" if step.request.without_ticket else "fresh")
        response.assignment.client_id = step.request.client_id
        response.assignment.tenant = step.request.tenant
        response.ticket_ttl.seconds = ttl_s
        response.decision.distance_km = -1.0
        return response

    return answer


def test_an_answer_is_remembered():
    time = FakeTime()
    home, steps = drive(provision(core_on(time, uses_cache=True)), time, answered())
    assert [type(step) for step in steps] == [CacheGet, Try, CachePut]
    assert steps[-1].assignment == home


def test_an_answer_without_ticket_is_no_use_later_and_not_remembered():
    time = FakeTime()
    core = core_on(time, uses_cache=True)
    home, steps = drive(provision(core, with_ticket=False), time, answered())
    assert (home.ticket, [type(step) for step in steps]) == ("", [Try])


def test_a_tickets_end_is_reckoned_from_before_the_call():
    """A slow answer must not make a ticket look good for longer than it is."""
    time = FakeTime()
    home, _ = drive(provision(core_on(time)), time, answered(60, took_s=2.0, time=time))
    assert home.ticket_expires_at == WALL_AT_START + 60.0


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED])
def test_the_last_known_home_stands_in_when_nobody_can_answer(code):
    time = FakeTime()
    home, steps = drive(
        provision(core_on(time, uses_cache=True, timeout_s=0.1)),
        time,
        lambda step: Failure(code, ""),
        else_do=lambda step: HOME,
    )
    assert home == replace(HOME, stale=True, from_cache=True)
    assert steps[-1] == CacheGet("acme", "phone")


@pytest.mark.parametrize(
    ("age_s", "shown"),
    [
        pytest.param(3600.0 + MAX_STALE_S - 60, True, id="ticket over for just under a week"),
        pytest.param(3600.0 + MAX_STALE_S + 60, False, id="ticket over for more than a week"),
    ],
)
def test_a_home_is_shown_for_a_week_after_its_tickets_end(age_s, shown):
    time = FakeTime()
    time.now = age_s
    steps = provision(core_on(time, uses_cache=True))
    if shown:
        home, _ = drive(steps, time, lambda step: UNAVAILABLE, else_do=lambda step: HOME)
        assert home.stale
    else:
        with pytest.raises(homeport.Unavailable):
            drive(steps, time, lambda step: UNAVAILABLE, else_do=lambda step: HOME)


@pytest.mark.parametrize(
    "code", sorted(set(Code) - {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED})
)
def test_an_answer_is_an_answer_even_when_it_is_no(code):
    time = FakeTime()
    with pytest.raises(homeport.HomeportError) as caught:
        drive(
            provision(core_on(time, uses_cache=True)),
            time,
            lambda step: Failure(code, ""),
            else_do=lambda step: HOME,
        )
    assert [type(step) for step in caught.value.steps] == [CacheGet, Try]


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        pytest.param(HOME, "ticket", id="a client that has been here shows its last ticket"),
        pytest.param(None, "", id="a new one has none to show"),
    ],
)
def test_the_last_ticket_goes_with_the_request(known, shown):
    time = FakeTime()
    _, steps = drive(
        provision(core_on(time, uses_cache=True)),
        time,
        answered(),
        else_do=lambda step: known if isinstance(step, CacheGet) else None,
    )
    (asked,) = [step for step in steps if isinstance(step, Try)]
    assert asked.request.ticket == shown


@pytest.mark.parametrize(
    ("left_s", "asks"),
    [
        pytest.param(61.0, False, id="more than a minute left"),
        pytest.param(59.0, True, id="less than a minute left"),
        pytest.param(-1.0, True, id="over"),
    ],
)
def test_prefer_cache_asks_only_when_the_ticket_is_nearly_over(left_s, asks):
    time = FakeTime()
    time.now = 3600.0 - left_s
    home, steps = drive(
        provision(core_on(time, uses_cache=True), prefer_cache=True),
        time,
        answered(),
        else_do=lambda step: HOME if isinstance(step, CacheGet) else None,
    )
    assert any(isinstance(step, Try) for step in steps) is asks
    assert (home.ticket, home.from_cache) == (("fresh", False) if asks else ("ticket", True))


def test_release_forgets_before_it_asks():
    time = FakeTime()
    steps = core_on(time, uses_cache=True).release("phone", None)
    released, done = drive(steps, time, lambda step: pb.ReleaseAssignmentResponse(released=True))
    assert released is True
    assert [type(step) for step in done] == [CacheGet, CacheDelete, Try]


def test_without_a_cache_nothing_of_it_is_asked():
    time = FakeTime()
    core = core_on(time)
    assert drive(core.cached("phone"), time, answered()) == (None, [])
    _, steps = drive(provision(core, prefer_cache=True), time, answered())
    assert [type(step) for step in steps] == [Try]


def test_a_ticket_does_not_show_in_a_log():
    assert "ticket='" not in repr(HOME)
    assert HOME.ticket not in repr(HOME).replace("ticket_expires_at", "")
