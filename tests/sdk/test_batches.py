"""provision_many's steps under streams that break anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import homeport
from homeport import ProvisionResult, RetryPolicy
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.batches import provision_many
from homeport.core import Core
from homeport.failure import Code, Failure
from homeport.steps import Emit, EndRequests, OpenStream, Pull, Receive, Send, Wait
from tests.sdk.core_harness import FakeTime, core_on

BROKEN = Failure(Code.UNAVAILABLE, "connection reset")
CANCELLED = Failure(Code.CANCELLED, "by a proxy on the way")


class FakeStream:
    """Carries the steps out against a server that answers in order. Each Receive meets the
    next of `fates`: an answer, a Failure, None for an early end; then answers only."""

    def __init__(self, time: FakeTime, clients: list[str], fates: Iterable[Any] = ()) -> None:
        self.time = time
        self.source = iter(clients)
        self.fates = iter(fates)
        self.open_on: str | None = None
        self.unanswered: list[pb.ProvisionManyRequest] = []
        self.most_under_way = 0
        self.answered: list[str] = []  # every client that got an answer, in order
        self.emitted: list[ProvisionResult] = []
        self.steps: list[Any] = []

    def carry_out(self, core: Core, **how: Any) -> list[ProvisionResult]:
        how = {"with_tickets": True, "batch_size": 3, "window": 2, "timeout_s": None, **how}
        steps = provision_many(core, **how)
        reply: Any = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration:
                return self.emitted
            self.steps.append(step)
            reply = self._perform(step)

    def _perform(self, step: Any) -> Any:
        match step:
            case Pull(size):
                return list(islice(self.source, size))
            case OpenStream(server):
                self.open_on, self.ended, self.unanswered = server, False, []
            case Send(request):
                assert self.open_on is not None
                assert not self.ended, "a request after the end of requests"
                ids = [client.client_id for client in request.clients]
                assert not set(ids) & set(self.answered), "an answered client was sent again"
                self.unanswered.append(request)
                self.most_under_way = max(self.most_under_way, len(self.unanswered))
            case EndRequests():
                self.ended = True
            case Emit(results):
                self.emitted.extend(results)
            case Wait(seconds):
                self.time.now += seconds
            case Receive():
                return self._receive()
        return None

    def _receive(self) -> Any:
        if not self.unanswered:
            assert self.ended, "waits for an answer to nothing"
            return None
        fate = next(self.fates, "answer")
        if fate != "answer":
            self.open_on, self.unanswered = None, []
            return fate
        response = pb.ProvisionManyResponse()
        for client in self.unanswered.pop(0).clients:
            response.results.add(client_id=client.client_id).provisioned.assignment.epoch = 1
            self.answered.append(client.client_id)
        return response


def ids(count: int) -> list[str]:
    return [f"phone-{n}" for n in range(count)]


fates = st.lists(
    st.sampled_from(["answer", BROKEN, None, CANCELLED, Failure(Code.DEADLINE_EXCEEDED, "late")]),
    max_size=30,
)
clients = st.lists(st.sampled_from(["", "good", "x" * 200]), max_size=25).map(
    lambda kinds: [f"phone-{n}" if kind == "good" else kind for n, kind in enumerate(kinds)]
)


@given(
    clients=clients, fates=fates, batch_size=st.integers(1, 5), window=st.integers(1, 4),
    servers=st.integers(1, 3),
)  # fmt: skip
def test_every_client_gets_one_result_in_its_place_or_the_call_says_why_not(
    clients, fates, batch_size, window, servers
):
    """Whatever breaks: in order, each once, none sent again after its answer, never more
    than the window under way."""
    time = FakeTime()
    stream = FakeStream(time, clients, fates)
    core = core_on(time, servers=",".join(f"s{n}" for n in range(servers)))
    given_up = False
    try:
        stream.carry_out(core, batch_size=batch_size, window=window)
    except (homeport.Unavailable, homeport.DeadlineExceeded):
        given_up = True
    assert given_up or len(stream.emitted) == len(clients)
    assert [r.client_id for r in stream.emitted] == clients[: len(stream.emitted)]
    assert [r.ok for r in stream.emitted] == [
        c.startswith("phone") for c in clients[: len(stream.emitted)]
    ]
    assert stream.most_under_way <= window


def test_after_a_failure_the_oldest_batch_goes_alone_to_the_next_server():
    time = FakeTime()
    stream = FakeStream(time, ids(12), [BROKEN])
    stream.carry_out(core_on(time), window=3)

    steps = stream.steps
    again = next(
        n for n, s in enumerate(steps) if isinstance(s, OpenStream) and s.server == "b:7700"
    )
    assert [type(step) for step in steps[again : again + 5]] == [
        OpenStream,
        Send,
        Receive,
        Emit,
        Pull,
    ]
    assert [c.client_id for c in steps[again + 1].request.clients] == ids(3)


def test_an_answer_renews_the_time_for_the_next():
    """The deadline is for the oldest batch, not for the whole stream."""
    time = FakeTime()
    one_bad_round = [BROKEN, "answer"] * 20
    stream = FakeStream(time, ids(60), one_bad_round)
    core = core_on(time, servers="a", policy=RetryPolicy(max_rounds=2, initial_backoff_s=0.9))
    assert len(stream.carry_out(core, timeout_s=1.0)) == 60
    assert time.now > 10.0


def test_without_an_answer_in_time_the_call_ends():
    time = FakeTime()
    stream = FakeStream(time, ids(4), [BROKEN] * 100)
    core = core_on(time, policy=RetryPolicy(max_rounds=1_000))
    with pytest.raises(homeport.Unavailable):
        stream.carry_out(core, timeout_s=20.0)
    assert time.now <= 20.0


def test_an_answer_that_does_not_fit_its_batch_is_the_servers_fault():
    time = FakeTime()
    short = pb.ProvisionManyResponse()
    stream = FakeStream(time, ids(3), [short])
    with pytest.raises(homeport.ServerFault, match="answered 0 of 3 clients"):
        stream.carry_out(core_on(time))


def test_a_stream_ends_in_good_order():
    time = FakeTime()
    stream = FakeStream(time, ids(3))
    stream.carry_out(core_on(time))
    assert [type(step) for step in stream.steps[-3:]] == [Receive, Emit, Receive]
    assert stream.ended
