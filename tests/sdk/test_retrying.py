"""What follows a failed attempt: the table, the back-off, the deadline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import homeport
from homeport import RetryPolicy
from homeport.core import GET, Core
from homeport.failure import Code, Failure
from homeport.retrying import REMEDIES, RETRY_JITTER, Remedy, backoff_s, wait_s
from homeport.steps import Try, Wait
from tests.sdk.core_harness import UNAVAILABLE, FakeTime, core_on, drive

POLICY = RetryPolicy()


def get(core: Core, timeout_s: float | None = None):
    return core.call(GET, None, timeout_s)  # nothing looks into the request


def test_every_code_has_a_remedy():
    assert set(REMEDIES) == set(Code)


@pytest.mark.parametrize(
    ("failure", "untried", "expected"),
    [
        pytest.param(UNAVAILABLE, True, 0.0, id="another server is there: at once"),
        pytest.param(UNAVAILABLE, False, 0.2, id="all were asked: back off"),
        pytest.param(
            UNAVAILABLE._replace(retry_after_s=2.0), True, 2.4, id="the server said when"
        ),
        pytest.param(
            UNAVAILABLE._replace(retry_after_s=0.0), False, 0.2, id="said at once: back off still"
        ),
        pytest.param(Failure(Code.DEADLINE_EXCEEDED, ""), True, 0.0, id="a stuck server: the next"),
        pytest.param(Failure(Code.CANCELLED, ""), False, 0.2, id="a server stopped mid-call"),
        pytest.param(Failure(Code.RESOURCE_EXHAUSTED, ""), True, None, id="too large: never"),
        pytest.param(
            Failure(Code.RESOURCE_EXHAUSTED, "", retry_after_s=1.0), True, 1.2, id="full: as told"
        ),
        pytest.param(
            Failure(Code.INVALID_ARGUMENT, "", retry_after_s=1.0), True, None,
            id="a wrong request stays wrong, whatever is said about waiting",
        ),
        pytest.param(Failure(Code.INTERNAL, ""), True, None, id="a defect: never"),
    ],
)  # fmt: skip
def test_the_wait_after_a_failure(failure, untried, expected):
    got = wait_s(failure, POLICY, rounds=1, untried=untried, jitter=1.0)
    assert got == (None if expected is None else pytest.approx(expected))


@given(
    rounds=st.integers(1, 10_000),
    jitter=st.floats(0, 1),
    initial_s=st.floats(0, 10),
    longest_s=st.floats(0.001, 100),
)
def test_the_back_off_stays_within_its_bounds(rounds, jitter, initial_s, longest_s):
    policy = RetryPolicy(initial_backoff_s=initial_s, max_backoff_s=longest_s)
    assert 0.0 <= backoff_s(policy, rounds, jitter) <= longest_s


@given(told_s=st.floats(0, 1e6), jitter=st.floats(0, 1), rounds=st.integers(1, 50))
def test_a_servers_delay_is_never_shortened(told_s, jitter, rounds):
    failure = UNAVAILABLE._replace(retry_after_s=told_s)
    wait = wait_s(failure, POLICY, rounds=rounds, untried=True, jitter=jitter)
    assert told_s <= wait <= max(told_s * (1 + RETRY_JITTER), POLICY.max_backoff_s)


def test_the_servers_are_asked_in_rounds_with_growing_waits_between():
    time = FakeTime()
    core = core_on(time, servers="a,b,c", policy=RetryPolicy(max_rounds=4), timeout_s=100.0)
    with pytest.raises(homeport.Unavailable) as caught:
        drive(get(core), time, lambda step: UNAVAILABLE)

    tries_and_waits = [
        step.server[0] if isinstance(step, Try) else step.seconds for step in caught.value.steps
    ]
    assert tries_and_waits == [
        "a",
        "b",
        "c",
        0.2,
        "a",
        "b",
        "c",
        0.4,
        "a",
        "b",
        "c",
        0.8,
        "a",
        "b",
        "c",
    ]
    assert caught.value.attempts == 12


def test_a_server_that_answers_is_asked_first_from_then_on():
    time = FakeTime()
    core = core_on(time)
    drive(get(core), time, lambda step: UNAVAILABLE if step.server == "a:7700" else "found")
    result, steps = drive(get(core), time, lambda step: "found")
    assert (result, [step.server for step in steps]) == ("found", ["b:7700"])


def test_no_try_and_no_wait_outlives_the_deadline():
    time = FakeTime()
    core = core_on(time, servers="a", policy=RetryPolicy(attempt_timeout_s=3.0), timeout_s=7.0)

    def hang(step: Try) -> Failure:
        time.now += step.timeout_s
        return Failure(Code.DEADLINE_EXCEEDED, "Deadline Exceeded")

    with pytest.raises(homeport.DeadlineExceeded):
        drive(get(core), time, hang)
    assert time.now == pytest.approx(7.0)


def test_it_goes_on_until_the_deadline_and_to_the_last_moment():
    time = FakeTime()
    core = core_on(time, servers="a", timeout_s=15.0)
    with pytest.raises(homeport.Unavailable):
        drive(get(core), time, lambda step: UNAVAILABLE)
    assert 14.0 < time.now <= 15.0

    back_at = 14.5
    time = FakeTime()
    core = core_on(time, servers="a", timeout_s=15.0)
    result, _ = drive(get(core), time, lambda step: "found" if time.now >= back_at else UNAVAILABLE)
    assert result == "found"


def test_the_rounds_can_be_bounded():
    time = FakeTime()
    core = core_on(time, servers="a,b", policy=RetryPolicy(max_rounds=3), timeout_s=1_000.0)
    with pytest.raises(homeport.Unavailable) as caught:
        drive(get(core), time, lambda step: UNAVAILABLE)
    assert caught.value.attempts == 6


def test_when_a_servers_wait_does_not_fit_the_error_comes_now():
    time = FakeTime()
    core = core_on(time, timeout_s=5.0)
    with pytest.raises(homeport.Unavailable) as caught:
        drive(get(core), time, lambda step: UNAVAILABLE._replace(retry_after_s=30.0))
    assert (time.now, caught.value.retry_after_s, caught.value.attempts) == (0.0, 30.0, 1)


@given(
    failures=st.lists(
        st.tuples(
            st.sampled_from(sorted(Code)),
            st.one_of(st.none(), st.floats(0, 20)),
            st.floats(0, 4),
        ),
        max_size=40,
    ),
    servers=st.integers(1, 4),
    jitter=st.floats(0, 1),
)
def test_a_call_always_ends_in_time_and_never_repeats_what_cannot_help(failures, servers, jitter):
    time = FakeTime()
    names = ",".join(f"server-{n}" for n in range(servers))
    core = core_on(time, servers=names, timeout_s=10.0, jitter=jitter)
    script = iter(failures)
    met: list[Failure] = []

    def answer(step: Try) -> Failure | str:
        assert 0 < step.timeout_s <= core.policy.attempt_timeout_s
        code, retry_after_s, takes_s = next(script, (None, None, 0.0))
        time.now += min(takes_s, step.timeout_s)
        if code is None:
            return "found"
        met.append(Failure(code, "", retry_after_s=retry_after_s))
        return met[-1]

    error = None
    try:
        drive(get(core), time, answer)
    except homeport.HomeportError as raised:
        error = raised
    if error is not None:
        assert error.attempts == len(met)
        assert error.code is met[-1].code
    assert time.now <= 10.0 + 0.001
    assert all(REMEDIES[failure.code] is not Remedy.NOTHING for failure in met[:-1])


@pytest.mark.parametrize("name", ["max_rounds", "max_backoff_s", "attempt_timeout_s",
                                  "batch_timeout_s"])  # fmt: skip
def test_a_policy_that_cannot_work_is_refused(name):
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: 0})


def test_waits_are_steps_and_not_sleeps():
    """The core asks for time to pass; it takes none itself."""
    time = FakeTime()
    answers = iter([UNAVAILABLE, "found"])
    _, steps = drive(get(core_on(time, servers="a")), time, lambda step: next(answers))
    assert [type(step) for step in steps] == [Try, Wait, Try]
