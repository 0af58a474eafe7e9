"""Deadlines, repeats, the next endpoint and the token, against an etcd that says what we want."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest
from etcd3aio import _protobuf as etcd

from console.local.etcd_process import free_ports
from control_plane.backoff import Backoff
from control_plane.store.etcd import EtcdStore, StoreRefused
from control_plane.store.etcd.calls import RepeatPauses
from control_plane.store.port import (
    Get,
    LeaseLost,
    OutcomeUnknown,
    Put,
    StoreUnavailable,
    Txn,
)
from tests.support.fakes.scripted_etcd import SILENCE, Answer, ScriptedEtcd

Code = grpc.StatusCode
BUSY = (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests")
NO_LEADER = (Code.UNAVAILABLE, "etcdserver: no leader")
TIMED_OUT = (Code.UNAVAILABLE, "etcdserver: request timed out")
LEADER_CHANGED = (Code.UNAVAILABLE, "etcdserver: leader changed")
EXPIRED = (Code.UNAUTHENTICATED, "etcdserver: invalid auth token")
NO_SPACE = (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")
WRITE = Txn(then=[Put(b"a", b"1")])
READ = Txn(then=[Get(b"a")])


def written(revision: int = 7) -> etcd.TxnResponse:
    answer = etcd.TxnResponse(succeeded=True, responses=[etcd.ResponseOp()])
    answer.header.revision = revision
    return answer


def found(revision: int = 7) -> etcd.RangeResponse:
    answer = etcd.RangeResponse()
    answer.header.revision = revision
    return answer


class Etcds:
    """Scripted members, and stores over them."""

    def __init__(self, closing: AsyncExitStack) -> None:
        self._closing = closing

    async def member(self, **scripts: Answer | list[Answer]) -> ScriptedEtcd:
        """`txn`, `range`, `log_in`: one answer or a list of them."""
        member = await self._closing.enter_async_context(ScriptedEtcd())
        methods = {"txn": "KV/Txn", "range": "KV/Range", "log_in": "Auth/Authenticate"}
        for name, said in scripts.items():
            member.script(methods[name], *(said if isinstance(said, list) else [said]))
        return member

    async def store(
        self,
        *endpoints: str,
        timeout_s: float = 5.0,
        try_timeout_s: float = 1.0,
        guarded: bool = False,
    ) -> EtcdStore:
        store = await EtcdStore.connect(
            endpoints,
            timeout_s=timeout_s,
            try_timeout_s=try_timeout_s,
            required=False,
            rng=random.Random(1),
            user="u" if guarded else None,
            password="p" if guarded else None,
        )
        self._closing.push_async_callback(store.close)
        return store


@pytest.fixture
async def etcds() -> AsyncIterator[Etcds]:
    async with AsyncExitStack() as closing:
        yield Etcds(closing)


def nobody() -> str:
    """An endpoint where nobody listens."""
    return f"127.0.0.1:{free_ports(1)[0]}"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(NO_LEADER, id="no-leader"),
        pytest.param(TIMED_OUT, id="the-request-timed-out-inside-etcd"),
        pytest.param(LEADER_CHANGED, id="the-leader-changed"),
        pytest.param(NO_SPACE, id="etcd-ran-out-of-space-maybe-with-this-very-write"),
        pytest.param((Code.UNKNOWN, "something new"), id="an-error-nobody-knows"),
    ],
)
async def test_a_write_whose_outcome_is_unknown_is_told_and_sent_once(
    etcds: Etcds, said: Answer
) -> None:
    one, other = await etcds.member(txn=said), await etcds.member(txn=written())
    store = await etcds.store(one.endpoint, other.endpoint)
    with pytest.raises(OutcomeUnknown, match=said[1]):
        await store.commit(WRITE)
    assert (one.count("KV/Txn"), other.count("KV/Txn")) == (1, 0)


async def test_a_write_that_is_not_answered_in_time_is_unknown_and_sent_once(
    etcds: Etcds,
) -> None:
    one, other = await etcds.member(txn=SILENCE), await etcds.member(txn=written())
    store = await etcds.store(one.endpoint, other.endpoint)
    with pytest.raises(OutcomeUnknown):
        await store.commit(WRITE, timeout_s=0.1)
    assert (one.count("KV/Txn"), other.count("KV/Txn")) == (1, 0)


async def test_the_next_write_goes_to_the_endpoint_that_did_not_fail(etcds: Etcds) -> None:
    one, other = await etcds.member(txn=NO_LEADER), await etcds.member(txn=written())
    store = await etcds.store(one.endpoint, other.endpoint)
    with pytest.raises(OutcomeUnknown):
        await store.commit(WRITE)
    assert (await store.commit(WRITE)).revision == 7
    assert (one.count("KV/Txn"), other.count("KV/Txn")) == (1, 1)


async def test_a_write_moves_past_an_endpoint_that_nobody_listens_on(etcds: Etcds) -> None:
    live = await etcds.member(txn=written())
    store = await etcds.store(nobody(), live.endpoint)
    assert (await store.commit(WRITE)).revision == 7
    assert live.count("KV/Txn") == 1


async def test_a_write_is_surely_not_applied_when_no_endpoint_can_be_reached(
    etcds: Etcds,
) -> None:
    store = await etcds.store(nobody(), nobody(), timeout_s=60.0)
    with pytest.raises(StoreUnavailable, match="no connection"):
        await store.commit(WRITE)  # at once, not after the 60 s
    assert not store.health.connected


async def test_a_write_that_etcd_was_too_busy_for_is_sent_again_after_a_pause(
    etcds: Etcds,
) -> None:
    member = await etcds.member(txn=[BUSY, BUSY, written()])
    store = await etcds.store(member.endpoint)
    assert (await store.commit(WRITE)).succeeded
    assert member.count("KV/Txn") == 3
    assert store.health.errors == {"busy": 2}


async def test_an_etcd_that_stays_too_busy_is_told_as_surely_not_applied(etcds: Etcds) -> None:
    member = await etcds.member(txn=BUSY)
    store = await etcds.store(member.endpoint)
    with pytest.raises(StoreUnavailable, match="too many requests"):
        await store.commit(WRITE, timeout_s=0.1)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(NO_LEADER, id="no-leader"),
        pytest.param(TIMED_OUT, id="the-request-timed-out"),
        pytest.param(SILENCE, id="no-answer"),
    ],
)
async def test_a_read_is_tried_again_elsewhere(etcds: Etcds, said: Answer) -> None:
    one, other = await etcds.member(range=said), await etcds.member(range=found())
    store = await etcds.store(one.endpoint, other.endpoint, try_timeout_s=0.1)
    assert await store.get(b"a") is None
    assert (one.count("KV/Range"), other.count("KV/Range")) == (1, 1)


async def test_a_transaction_of_gets_is_tried_again_like_any_read(etcds: Etcds) -> None:
    member = await etcds.member(txn=[LEADER_CHANGED, written()])
    store = await etcds.store(member.endpoint)
    assert (await store.commit(READ)).revision == 7
    assert member.count("KV/Txn") == 2


async def test_each_try_of_a_read_may_take_longer_than_the_one_before(etcds: Etcds) -> None:
    """A range that takes longer than the first deadline is not asked for in vain forever."""
    member = await etcds.member(range=[SILENCE, SILENCE, found()])
    store = await etcds.store(member.endpoint, try_timeout_s=0.05)
    assert await store.get(b"a") is None
    assert member.count("KV/Range") == 3


async def test_a_member_with_a_new_leader_is_asked_again_itself(etcds: Etcds) -> None:
    """The others may be the one that was deposed, cut off and silent."""
    one, other = await etcds.member(range=[LEADER_CHANGED, found()]), await etcds.member()
    store = await etcds.store(one.endpoint, other.endpoint)
    assert await store.get(b"a") is None
    assert (one.count("KV/Range"), other.count("KV/Range")) == (2, 0)


async def test_a_write_that_hears_of_a_new_leader_is_unknown_and_sent_once(etcds: Etcds) -> None:
    member = await etcds.member(txn=LEADER_CHANGED)
    store = await etcds.store(member.endpoint)
    with pytest.raises(OutcomeUnknown):
        await store.commit(WRITE)
    assert member.count("KV/Txn") == 1


async def test_every_member_gets_a_short_try_before_any_gets_a_longer_one(etcds: Etcds) -> None:
    silent = [await etcds.member(range=SILENCE) for _ in range(3)]
    store = await etcds.store(*(m.endpoint for m in silent), try_timeout_s=0.05)
    with pytest.raises(StoreUnavailable):
        await store.get(b"a", timeout_s=0.6)
    counts = [member.count("KV/Range") for member in silent]
    assert min(counts) >= 2, "one silent member must not use up the time of the others"


async def test_a_read_gives_up_at_its_deadline(etcds: Etcds) -> None:
    member = await etcds.member(range=NO_LEADER)
    store = await etcds.store(member.endpoint)
    with pytest.raises(StoreUnavailable, match="no leader"):
        await store.get(b"a", timeout_s=0.2)
    assert member.count("KV/Range") > 1
    assert not store.health.connected


@pytest.mark.parametrize("transaction", [WRITE, READ], ids=["write", "read"])
async def test_an_expired_token_is_replaced_and_the_call_sent_again(
    etcds: Etcds, transaction: Txn
) -> None:
    member = await etcds.member(
        txn=[EXPIRED, written(), EXPIRED, written()],
        log_in=[etcd.AuthenticateResponse(token="t1"), etcd.AuthenticateResponse(token="t2")],
    )
    store = await etcds.store(member.endpoint, guarded=True)
    await store.commit(transaction)
    await store.commit(transaction)
    sent = [t for t, (name, _) in zip(member.tokens, member.asked, strict=True) if "Txn" in name]
    assert sent == [None, "t1", "t1", "t2"]


async def test_many_calls_with_one_expired_token_log_in_once(etcds: Etcds) -> None:
    member = await etcds.member(
        txn=[EXPIRED] * 8 + [written()], log_in=etcd.AuthenticateResponse(token="t")
    )
    store = await etcds.store(member.endpoint, guarded=True)
    await asyncio.gather(*(store.commit(WRITE) for _ in range(8)))
    assert member.count("Auth/Authenticate") == 1


async def test_a_token_that_is_refused_however_fresh_is_told(etcds: Etcds) -> None:
    member = await etcds.member(txn=EXPIRED, log_in=etcd.AuthenticateResponse(token="t"))
    store = await etcds.store(member.endpoint, guarded=True)
    with pytest.raises(StoreRefused, match="invalid auth token"):
        await store.commit(WRITE)
    assert member.count("KV/Txn") == 3


async def test_credentials_for_an_etcd_without_authentication_do_no_harm(etcds: Etcds) -> None:
    off = (Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
    member = await etcds.member(range=found(), log_in=off)
    store = await EtcdStore.connect([member.endpoint], user="u", password="p")
    assert await store.get(b"a") is None
    await store.close()


async def test_connecting_to_nobody_fails_within_its_deadline() -> None:
    with pytest.raises(StoreUnavailable, match="no connection"):
        await EtcdStore.connect([nobody()], timeout_s=0.2)


async def test_calls_of_a_closed_store_say_so(etcds: Etcds) -> None:
    member = await etcds.member(range=found(), txn=written())
    store = await etcds.store(member.endpoint)
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get(b"a")
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.commit(WRITE)


async def test_closing_ends_calls_in_flight_as_what_they_are(etcds: Etcds) -> None:
    """Not as cancellations, which would end tasks that nobody cancelled."""
    member = await etcds.member(range=SILENCE, txn=SILENCE)
    store = await etcds.store(member.endpoint)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(outcome(store.get(b"a")))
        writing = group.create_task(outcome(store.commit(WRITE)))
        await member.arrived(2)
        await store.close()
    assert isinstance(reading.result(), StoreUnavailable)
    assert isinstance(writing.result(), OutcomeUnknown)


async def test_cancelling_a_call_cancels_it(etcds: Etcds) -> None:
    member = await etcds.member(txn=SILENCE)
    store = await etcds.store(member.endpoint)
    task = asyncio.ensure_future(store.commit(WRITE))
    await member.arrived(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_keep_alive_without_an_answer_is_not_a_lost_lease(etcds: Etcds) -> None:
    store = await etcds.store(nobody())
    with pytest.raises(StoreUnavailable):
        await store.lease_keep_alive(7, timeout_s=0.1)


async def test_a_revoked_lease_in_a_put_is_told(etcds: Etcds) -> None:
    gone = (Code.NOT_FOUND, "etcdserver: requested lease not found")
    store = await etcds.store((await etcds.member(txn=gone)).endpoint)
    with pytest.raises(LeaseLost):
        await store.commit(Txn(then=[Put(b"a", b"1", lease=7)]))


def test_pauses_grow_to_their_limit_and_are_drawn_from_the_upper_half() -> None:
    pause = RepeatPauses(random.Random(3), Backoff(first_s=0.1, most_s=0.8, jittered=0.5))
    drawn = [pause.next_s() for _ in range(6)]
    for seconds, length in zip(drawn, [0.1, 0.2, 0.4, 0.8, 0.8, 0.8], strict=True):
        assert length / 2 <= seconds <= length
    pause.reset()
    assert pause.next_s() <= 0.1


async def outcome(call: object) -> object:
    """What awaiting it raised, or None."""
    try:
        await call  # type: ignore[misc]
    except Exception as error:  # noqa: BLE001 - the test looks at whatever it was
        return error
    return None
