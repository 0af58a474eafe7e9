"""A client that waits for room brings along since when, from try to try and from call to call."""

from __future__ import annotations

from contextlib import suppress

import pytest
from google.protobuf import any_pb2
from hypothesis import given
from hypothesis import strategies as st

import homeport
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.status.v1 import status_pb2
from homeport.batches import provision_many
from homeport.core import Core
from homeport.failure import Code, Failure, Waiting
from homeport.messages import client_to_proto, explanation_of, result_of
from homeport.retrying import RETRY_JITTER, RetryPolicy, wait_s
from homeport.status_details import failure_of
from homeport.steps import Pull, Receive, Send, Steps, Try, Wait
from homeport.waiting import WaitingClients
from tests.sdk.core_harness import FakeTime, core_on, drive


def waits(token: str, after_s: float = 6.0) -> Failure:
    return Failure(
        Code.RESOURCE_EXHAUSTED, "all full", "WAITING_FOR_ROOM", after_s, from_homeport=True,
        waiting=Waiting(token, 6.0, 50.0, 120.0),
    )  # fmt: skip


def provision(core: Core, timeout_s: float | None = None) -> Steps[homeport.Assignment]:
    return core.provision(
        "phone", address=None, position=None, with_ticket=True, prefer_cache=False,
        timeout_s=timeout_s,
    )  # fmt: skip


def home(client_id: str) -> pb.ProvisionResponse:
    response = pb.ProvisionResponse()
    response.assignment.client_id = client_id
    return response


class Server:
    """Turns clients away so often, with a new token each time."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.tokens: list[str] = []

    def __call__(self, step: Try) -> pb.ProvisionResponse | Failure:
        self.tokens.append(step.request.waiting_token)
        if len(self.tokens) <= self.times:
            return waits(f"token {len(self.tokens)}")
        return home(step.request.client_id)


def test_each_try_brings_what_the_one_before_was_told() -> None:
    time, server = FakeTime(), Server(3)
    core = core_on(time, servers="a")
    _, steps = drive(provision(core, 100.0), time, server)
    assert server.tokens == ["", "token 1", "token 2", "token 3"]
    longest = 6.0 * (1 + RETRY_JITTER)
    assert [step.seconds for step in steps if isinstance(step, Wait)] == pytest.approx(
        [longest] * 3
    )


def test_a_call_that_gave_up_is_gone_on_with_by_the_next() -> None:
    time, server = FakeTime(), Server(1)
    core = core_on(time, servers="a")
    with pytest.raises(homeport.WaitingForRoom) as caught:
        drive(provision(core, 2.0), time, server)
    error = caught.value
    assert isinstance(error, homeport.NoRoom)
    assert (error.waiting_token, error.waited_s, error.within_ms) == ("token 1", 6.0, 50.0)
    assert (error.relaxes_after_s, error.retry_after_s) == (120.0, 6.0)
    drive(provision(core), time, server)
    assert server.tokens == ["", "token 1"]
    drive(provision(core), time, server)
    assert server.tokens[2:] == [""], "who has a home waits no more"


def test_a_wait_is_what_the_server_says_however_often_it_was_asked() -> None:
    """Its times end at the step; a back-off of ours would go past it."""
    policy = RetryPolicy(max_backoff_s=100.0)
    asked = wait_s(waits("t", 0.7), policy, rounds=50, untried=False, jitter=1.0)
    assert asked == pytest.approx(0.7 * (1 + RETRY_JITTER))
    full = Failure(Code.RESOURCE_EXHAUSTED, "full", "EXHAUSTED", 0.7, from_homeport=True)
    backed_off = wait_s(full, policy, rounds=50, untried=False, jitter=1.0)
    assert backed_off is not None
    assert backed_off > 0.7 * (1 + RETRY_JITTER)


class Ended:
    """What gRPC raises, with these details."""

    def __init__(self, **metadata: str) -> None:
        info = status_pb2.ErrorInfo(reason="WAITING_FOR_ROOM", domain="homeport", metadata=metadata)
        packed = any_pb2.Any(
            type_url="type.googleapis.com/google.rpc.ErrorInfo", value=info.SerializeToString()
        )
        self._status = status_pb2.Status(details=[packed]).SerializeToString()

    def code(self) -> Code:
        class Named:
            name = "RESOURCE_EXHAUSTED"

        return Named  # type: ignore[return-value]

    def details(self) -> str:
        return "full"

    def trailing_metadata(self) -> list[tuple[str, bytes]]:
        return [("grpc-status-details-bin", self._status)]


def test_what_the_status_says_is_read() -> None:
    found = failure_of(Ended(waiting_token="t", waited_s="7", within_ms="50"))
    assert found.waiting == Waiting("t", 7.0, 50.0, None)
    assert failure_of(Ended(waited_s="7")).waiting is None
    odd = failure_of(Ended(waiting_token="t", relaxes_after_s="soon")).waiting
    assert odd == Waiting("t")


def test_clients_of_a_batch_bring_theirs() -> None:
    client = homeport.ClientAt(client_id="a", waiting_token="t")
    assert client_to_proto(client).waiting_token == "t"
    result = pb.ProvisionResult(client_id="a")
    result.error.code, result.error.waiting_token = "RESOURCE_EXHAUSTED", "t"
    error = result_of(result, 0.0).error
    assert isinstance(error, homeport.WaitingForRoom)
    assert error.waiting_token == "t"
    assert "t" not in repr(client).replace("ClientAt", "").replace("waiting_token", "").split()


class Turn:
    """A stream that answers each batch of one client with the next of `errors`; "": a home."""

    def __init__(self, *errors: tuple[str, str]) -> None:
        self._errors = iter(errors)
        self.tokens: list[str] = []

    def carry_out(self, core: Core) -> None:
        clients = iter([["phone"], []])
        steps = provision_many(core, with_tickets=True, batch_size=1, window=1, timeout_s=None)
        reply: object = None
        with suppress(StopIteration):
            while True:
                step = steps.send(reply)
                reply = None
                if isinstance(step, Pull):
                    reply = next(clients)
                elif isinstance(step, Send):
                    self.tokens.append(step.request.clients[0].waiting_token)
                elif isinstance(step, Receive):
                    reply = self._answer()

    def _answer(self) -> pb.ProvisionManyResponse | None:
        told = next(self._errors, None)
        if told is None:
            return None
        result = pb.ProvisionResult(client_id="phone")
        code, token = told
        if code:
            result.error.code, result.error.waiting_token = code, token
        else:
            result.provisioned.assignment.epoch = 1
        return pb.ProvisionManyResponse(results=[result])


def test_a_client_of_a_batch_waits_on_whatever_else_fails_until_it_has_a_home() -> None:
    core, tokens = core_on(FakeTime()), []
    for told in (("RESOURCE_EXHAUSTED", "t"), ("UNAVAILABLE", ""), ("", ""), ("", "")):
        turn = Turn(told)
        turn.carry_out(core)
        tokens += turn.tokens
    assert tokens == ["", "t", "t", ""]


def test_an_explanation_tells_the_cap() -> None:
    response = pb.ExplainPlacementResponse()
    response.cap.limit.FromMilliseconds(50)
    response.cap.relaxes_after.FromSeconds(90)
    assert explanation_of(response).cap == homeport.ExplainedCap(
        limit_ms=50.0, relaxes_after_s=90.0
    )
    assert explanation_of(pb.ExplainPlacementResponse()).cap is None


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["", "x", "y"])), max_size=30))
def test_the_tokens_told_last_are_kept_and_no_more_than_so_many(
    told: list[tuple[str, str]],
) -> None:
    kept = WaitingClients(most=2)
    last: dict[str, str] = {}
    for client, token in told:
        last.pop(client, None)
        if token:
            kept.waits(client, token)
            last[client] = token
            last = dict(list(last.items())[-2:])
        else:
            kept.has_home(client)
        assert {one: kept.token(one) for one in "abcd" if kept.token(one)} == last
