"""Which calls come to nothing, who has too many of them, and whom that must not concern."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.serving.wasted_calls import (
    LATER,
    RAPID_S,
    SUSPICION_S,
    WAITED_S,
    Allowance,
    Excess,
    WastedCalls,
)

A, B = "ipv4:192.0.2.1:1001", "ipv4:192.0.2.1:1002"  # two connections of one address
OTHER = "ipv4:198.51.100.7:1001"
SMALL = {
    "of_connection": Allowance(burst=10, per_s=1),
    "of_address": Allowance(burst=30, per_s=3),
    "of_suspect": Allowance(burst=2, per_s=0),
}


def wasted(**more: object) -> WastedCalls:
    return WastedCalls(**(SMALL | more))  # type: ignore[arg-type]


def give_up(calls: WastedCalls, peer: str, now: float = 0.0) -> Excess:
    call, _ = calls.begin(peer, now)
    return calls.ended(call, now, given_up=True)


def stand(calls: WastedCalls, peer: str, count: int, now: float) -> list[tuple[str, Excess]]:
    """So many calls without a message, each after the time that one may wait."""
    return [one for n in range(count) for one in calls.begin(peer, now + n * WAITED_S)[1]]


def test_calls_that_are_given_up_count_by_connection_and_are_forgiven_with_time():
    calls = wasted()
    assert not any(give_up(calls, A) for _ in range(10))
    assert not give_up(calls, OTHER)
    assert give_up(calls, A) == Excess.CONNECTION
    assert not any(give_up(calls, OTHER, 60.0 + n) for n in range(100))


def test_a_call_that_is_given_up_later_was_meant():
    calls = wasted()
    for _ in range(100):
        call, _ = calls.begin(A, 0.0)
        calls.heard(call)
        assert not calls.ended(call, RAPID_S, given_up=True)


def test_calls_without_a_message_count_once_many_have_begun_since():
    calls = wasted(of_connection=Allowance(burst=10, per_s=0))
    assert stand(calls, A, LATER + 10, 0.0) == []
    assert stand(calls, A, 1, 60 * WAITED_S) == [(A, Excess.CONNECTION)]


def test_calls_that_began_at_once_wait_for_no_time_and_do_not_count():
    """A machine that stands still has many calls begin before it reads the messages of any."""
    calls = wasted()
    begun = [calls.begin(A, 0.0) for _ in range(2_000)]
    assert all(not found for _, found in begun)


def test_where_calls_have_their_messages_already_only_those_given_up_count():
    calls = wasted(waits=False)
    assert stand(calls, A, 1_000, 0.0) == []
    assert [give_up(calls, A, 100.0) for _ in range(11)][-1] == Excess.CONNECTION


def test_what_is_heard_of_late_is_not_counted_any_more():
    calls = wasted()
    late = [calls.begin(A, n * WAITED_S)[0] for n in range(LATER + 8)]
    for call in late:
        calls.heard(call)
    assert [give_up(calls, A, 40 * WAITED_S) for _ in range(11)][:10] == [Excess.NONE] * 10


def answered(calls: WastedCalls, peer: str, now: float = 0.0) -> Excess:
    call, _ = calls.begin(peer, now)
    calls.heard(call)
    return calls.ended(call, now, given_up=False)


def test_whoever_asks_twice_and_gives_up_the_second_goes_on_at_any_rate():
    calls = wasted(
        of_connection=Allowance(burst=10, per_s=0), of_address=Allowance(burst=30, per_s=0)
    )
    assert not any(answered(calls, A) or give_up(calls, A) for _ in range(1_000))


def test_answers_make_up_for_no_more_than_was_wasted():
    calls = wasted(
        of_connection=Allowance(burst=10, per_s=0), of_address=Allowance(burst=30, per_s=0)
    )
    assert not any(answered(calls, A) for _ in range(1_000))
    assert [give_up(calls, A) for _ in range(11)][10] == Excess.CONNECTION


def test_answers_to_one_connection_are_none_to_another():
    calls = wasted(of_connection=Allowance(burst=10, per_s=0))
    found = [answered(calls, A) | give_up(calls, B) for _ in range(11)]
    assert found[10] == Excess.CONNECTION


def test_a_call_whose_message_did_not_come_makes_up_for_none_when_it_ends():
    calls = wasted(of_connection=Allowance(burst=10, per_s=0))
    begun = [calls.begin(A, 0.0)[0] for _ in range(11)]
    assert [calls.ended(call, 20.0, given_up=False) for call in begun][10] == Excess.CONNECTION


@given(st.lists(st.tuples(st.floats(0.0, 0.5), st.integers(0, 60)), max_size=200))
def test_who_sends_messages_is_never_closed(steps):
    """Whatever the pace, and however many wait at a time, less than there may be."""
    calls, now, waiting = WastedCalls(), 0.0, []
    for pause, heard in steps:
        now += pause
        if len(waiting) >= 100:
            calls.heard(waiting.pop(0))
        call, found = calls.begin(A, now)
        waiting.append(call)
        assert found == []
        for _ in range(min(heard, len(waiting))):
            calls.heard(waiting.pop(0))


def test_an_address_that_wastes_much_over_many_connections_is_suspected():
    calls = wasted()
    found = [give_up(calls, f"ipv4:192.0.2.1:{n}") for n in range(2_000, 2_031)]
    assert found[:30] == [Excess.NONE] * 30
    assert found[30] == Excess.ADDRESS
    # From now on a silent connection of it may waste a few alone, and one elsewhere as before.
    assert [give_up(calls, A) for _ in range(3)][2] == Excess.CONNECTION | Excess.ADDRESS
    assert not any(give_up(calls, OTHER) for _ in range(10))


def test_a_connection_with_calls_that_were_meant_is_not_held_to_less():
    calls = wasted()
    call, _ = calls.begin(B, 0.0)
    calls.heard(call)
    for n in range(2_000, 2_031):
        give_up(calls, f"ipv4:192.0.2.1:{n}")
    assert not any(give_up(calls, B) for _ in range(10))
    assert calls.has_called("192.0.2.1", 1002)
    assert not calls.has_called("192.0.2.1", 1001)


def test_suspicion_ends():
    calls = wasted()
    for n in range(2_000, 2_031):
        give_up(calls, f"ipv4:192.0.2.1:{n}")
    later = SUSPICION_S + 1.0
    assert not any(give_up(calls, A, later) for _ in range(10))


def test_a_trusted_proxy_may_waste_ten_times_as_much():
    calls = wasted(is_proxy=lambda address: address == "192.0.2.1")
    assert not any(give_up(calls, A) for _ in range(100))
    assert give_up(calls, A) == Excess.CONNECTION


@pytest.mark.parametrize("peer", ["unix:", "unix:/run/homeport.sock", "nonsense"])
def test_whoever_has_no_address_is_one(peer):
    calls = wasted()
    assert [give_up(calls, peer) for _ in range(11)][-1] & Excess.CONNECTION


def test_of_connections_so_many_are_remembered():
    calls = wasted(of_connection=Allowance(burst=1, per_s=0), most=3)
    for number in range(10):
        give_up(calls, f"ipv4:192.0.2.1:{number}")
    assert give_up(calls, "ipv4:192.0.2.1:9") & Excess.CONNECTION
    assert not give_up(calls, "ipv4:192.0.2.1:0")
