"""OpenStreams: as many at once as each may have, and room again once one ends."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.quotas.open_streams import OpenLimits, OpenStreams, TooManyOpen


def streams(*, of_caller: int = 2, of_tenant: int = 3, of_all: int = 5) -> OpenStreams:
    limits = OpenLimits(of_caller=of_caller, of_tenant=of_tenant, of_all=of_all)
    return OpenStreams("tails", limits, jitter=lambda: 0.5)


CASES = [
    pytest.param(
        [("city", "a")] * 2, ("city", "a"), "a has 2 tails open for tenant city", id="of-a-caller"
    ),
    pytest.param(
        [("city", "a"), ("city", "b"), ("city", "c")],
        ("city", "d"),
        "tenant city has 3 tails open",
        id="of-a-tenant",
    ),
    pytest.param(
        [(f"t{n}", "a") for n in range(5)],
        ("new", "a"),
        "this server has 5 tails open",
        id="in-all",
    ),
]


@pytest.mark.parametrize(("open_", "further", "words"), CASES)
def test_one_too_many_is_refused_until_one_ends(open_, further, words):
    opened = streams()
    with ExitStack() as held:
        last = ExitStack()
        for number, one in enumerate(open_, 1):
            (last if number == len(open_) else held).enter_context(opened.hold(*one))
        with pytest.raises(TooManyOpen, match=words) as refused, opened.hold(*further):
            pass
        assert refused.value.retry_after_s == pytest.approx(1.0)
        last.close()
        with opened.hold(*further):
            assert len(opened) == len(open_)
    assert len(opened) == 0
    assert opened.refused == 1


def test_what_one_caller_has_is_counted_in_each_tenant_alone():
    opened = streams(of_caller=1)
    with (
        opened.hold("city", "operator"),
        opened.hold("bank", "operator"),
        pytest.raises(TooManyOpen),
        opened.hold("bank", "operator"),
    ):
        pass


def test_0_is_no_limit():
    opened = streams(of_caller=0, of_tenant=0, of_all=0)
    with ExitStack() as held:
        for _ in range(100):
            held.enter_context(opened.hold("city", "a"))
        assert len(opened) == 100


def test_one_that_ends_with_an_error_makes_room():
    opened = streams(of_caller=1)
    with pytest.raises(ZeroDivisionError), opened.hold("city", "a"):
        raise ZeroDivisionError
    with opened.hold("city", "a"):
        pass


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("abc"), st.booleans())))
def test_nobody_ever_has_more_than_they_may(steps):
    opened = streams()
    held: list[tuple[str, str, ExitStack]] = []
    for tenant, caller, ends in steps:
        if ends and held:
            held.pop(0)[2].close()
            continue
        fits = (
            sum(one[:2] == (tenant, caller) for one in held) < 2
            and sum(one[0] == tenant for one in held) < 3
            and len(held) < 5
        )
        stack = ExitStack()
        try:
            stack.enter_context(opened.hold(tenant, caller))
        except TooManyOpen:
            assert not fits
        else:
            assert fits
            held.append((tenant, caller, stack))
