"""Calls through the engine, between two gateways: what each side sees, and what each of
sippy's mended edges does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from console.demo.directory.sip_telephones import SipTelephones, SipText, read
from deployment_units.services.telephony.port import RefusedCause
from deployment_units.services.telephony.sip.call_server import CallServer
from deployment_units.services.telephony.sip.messages import Request
from deployment_units.services.telephony.sip.port import EngineLimits, LegPlan
from deployment_units.services.telephony.sip.trunks import Trunk
from tests.support.number_leaks import forms, found
from tests.support.sip_engines import P1, P2, T, V, line
from tests.support.sip_texts import OFFER, request

HELD = OFFER.replace("sendrecv", "sendonly")


def leaks(telephones: SipTelephones, *numbers: str) -> list[str]:
    return [what for data in telephones.got for number in numbers
            if (what := found(data, number)) is not None]  # fmt: skip


async def test_a_call_goes_through_and_neither_sees_the_other() -> None:
    async with line() as there:
        call = await there.near.call(P1, T)
        assert call.statuses == [100, 180, 200]
        rung = there.far.rung[0]
        assert rung.shown == V
        await there.far.until(lambda: any(one.startswith(b"ACK") for one in there.far.got))
        assert await there.near.hang_up(call) == 200
        await there.far.until(lambda: rung.over)
        assert await there.asks.until_told("completed") == ["began", "answered", "completed"]
        assert leaks(there.far, P1, T) == []
        assert leaks(there.near, P2, V) == []
        assert there.engine.counts["defect"] == 0


class Misplaced(CallServer):
    """Routes to nowhere that the engine could call, which is a defect; and texts likewise."""

    async def invited(self, request: Request, trunk: Trunk) -> LegPlan | int:
        found = await super().invited(request, trunk)
        assert isinstance(found, LegPlan)
        return replace(found, trunk=None)  # type: ignore[arg-type]

    async def texted(self, request: Request, trunk: Trunk) -> int:
        raise ValueError("a defect")


async def test_a_defect_in_one_call_or_text_ends_that_and_nothing_else() -> None:
    async with line(control=Misplaced) as there:
        call = await there.near.call(P1, T)
        assert call.statuses[-1] == 500
        assert await there.asks.until_told("failed") == ["failed"]
        assert await there.near.text(P1, T, "Hello") == 500
        assert there.engine.counts["defect"] == 2
        assert (await there.near.call(P2, V)).statuses[-1] == 500  # it goes on
        await there.near.until(lambda: there.engine.calls == 0)
        assert (await there.near.call(P1, "999")).statuses[-1] == 200


async def test_a_call_back_is_the_same_with_the_sides_changed() -> None:
    async with line() as there:
        call = await there.near.call(P2, V)
        assert there.far.rung[0].shown == T
        assert leaks(there.far, P2, V) == []
        there.far.calls[there.far.rung[0].call_id].sequence = 5
        assert await there.far.hang_up(there.far.rung[0]) == 200
        await there.near.until(lambda: there.near.calls[call.call_id].over)


def planting(of: dict[str, str], other: str) -> Callable[[str], list[str]]:
    """Fields that say a number in some form, in everything that a gateway sends."""
    names = ["Subject", "Reason", "Identity", "Remote-Party-ID", "Diversion", "Retry-After",
             "Server", "User-Agent", "Warning", "X-Me", "Call-Info", "History-Info"]  # fmt: skip
    return lambda who: [f"{name}: {of.get(who, other)}" for name in names]


async def test_planted_numbers_stay_on_their_leg() -> None:
    async with line() as there:
        for form, of_other in zip(forms(P1), forms(P2), strict=True):
            there.near.extra = there.far.extra = planting({P1: form}, of_other)
            there.near.sdp = OFFER.replace("s=call of anna", f"s={form}\r\ni={form}\r\np={form}")
            call = await there.near.call(P1, T)
            assert call.statuses[-1] == 200, form
            await there.near.hang_up(call)
        assert leaks(there.far, P1, T) == []
        assert leaks(there.near, P2, V) == []


@pytest.mark.parametrize(
    ("far", "near", "told"),
    [
        ([486], 486, "busy"),
        ([180, 302], 480, "failed"),
        ([401], 503, "failed"),
        ([407], 503, "failed"),
        ([404], 404, "nobody"),
        ([603], 603, "rejected"),
        ([500], 500, "failed"),
        ([180, 480], 480, "no-answer"),
    ],
)
async def test_a_refusal_is_told_in_our_own_words(far: list[int], near: int, told: str) -> None:
    async with line() as there:
        there.far.answers[P2] = far
        there.far.extra = lambda who: [
            f'WWW-Authenticate: Digest realm="{who}"', f"Reason: SIP;text={who}"
        ]  # fmt: skip
        call = await there.near.call(P1, T)
        assert call.statuses[-1] == near
        assert told in await there.asks.until_told(told)
        assert leaks(there.near, P2, V) == []
        answer = call.answers[-1]
        assert not {"www-authenticate", "contact", "reason"} & set(answer.fields)
        assert len(there.far.rung) == 1  # nobody is called instead


async def test_who_hangs_up_before_an_answer_is_not_called_any_more() -> None:
    async with line() as there:
        there.far.answers[P2] = [180]
        call = await there.near.call(P1, T, wait=False)
        await there.near.until(lambda: 180 in call.statuses)
        there.near.cancel(call)
        assert await there.near.final(call) == 487
        await there.far.until(lambda: there.far.rung[0].over)
        assert await there.asks.until_told("cancelled") == ["began", "cancelled"]


async def test_hanging_up_while_nobody_was_asked_yet() -> None:
    async with line() as there:
        there.asks.hears.clear()
        call = await there.near.call(P1, T, wait=False)
        await there.near.until(lambda: 100 in call.statuses)
        there.near.cancel(call)
        assert await there.near.final(call) == 487
        there.asks.hears.set()
        await there.asks.until_told("cancelled")
        assert there.far.rung == []


async def test_a_cancel_that_crosses_the_answer_ends_the_call_on_both_sides() -> None:
    async with line() as there:
        there.far.answers[P2] = [180]
        call = await there.near.call(P1, T, wait=False)
        await there.near.until(lambda: 180 in call.statuses)
        rung = there.far.rung[0]
        assert rung.invite is not None
        tag = rung.ours.rpartition("tag=")[2]
        there.near.cancel(call)  # on its way, and at the far side somebody answers
        there.far.respond(rung.invite, 200, tag, OFFER)
        final = await there.near.final(call)
        if final == 200:  # the answer was first: the call is up, and is ended as such
            await there.near.hang_up(call)
        await there.far.until(lambda: rung.over)
        assert final in (200, 487)


async def test_ringing_is_never_told_after_the_answer() -> None:
    async with line() as there:
        for _ in range(20):  # 180 and 200 leave the far side at once
            call = await there.near.call(P1, T)
            assert call.statuses == [100, 180, 200]
            await there.near.hang_up(call)


async def test_early_media_is_passed() -> None:
    async with line() as there:
        there.far.answers[P2] = [183, 200]
        call = await there.near.call(P1, T)
        assert call.statuses == [100, 183, 200]
        early = next(one for one in call.answers if one.status == 183)
        assert "m=audio 40000 RTP/AVP 0 8" in early.body
        assert call.answers[-1].body.split("\r\n")[1] == early.body.split("\r\n")[1]


async def test_hold_and_resume_reach_the_other_side() -> None:
    async with line() as there:
        call = await there.near.call(P1, T)
        assert await there.near.change(call, HELD) == 200
        held = [read(one) for one in there.far.got if one.startswith(b"INVITE")][-1]
        assert "a=sendonly" in held.body
        assert held.body.split("\r\n")[1].split()[2] == "2"  # the version of the session grew
        assert await there.near.change(call, OFFER) == 200
        assert await there.near.hang_up(call) == 200


async def test_hold_and_resume_by_who_was_called_reach_the_caller() -> None:
    async with line() as there:
        await there.near.call(P1, T)
        rung = there.far.rung[0]
        rung.sequence = 5
        assert await there.far.change(rung, HELD) == 200
        held = [read(one) for one in there.near.got if one.startswith(b"INVITE")][-1]
        assert "a=sendonly" in held.body
        assert await there.far.change(rung, OFFER) == 200
        assert await there.far.hang_up(rung) == 200
        assert there.engine.counts["unsent"] == 0


async def test_what_the_engine_fails_at_is_logged_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with line() as there:
        failed = asyncio.Event()

        def fails(*_: object) -> None:
            failed.set()
            raise ValueError(P1)

        there.engine._transactions.handleIncoming = fails
        await there.near.call(P1, T, wait=False)
        async with asyncio.timeout(30):
            await failed.wait()
        assert there.engine.counts["defect"] == 1
        assert "ValueError" in caplog.text
        assert found(caplog.text.encode(), P1) is None


async def test_a_change_that_is_refused_leaves_the_call_as_it_was() -> None:
    async with line() as there:
        call = await there.near.call(P1, T)
        there.far.answers["change"] = [488]
        assert await there.near.change(call, HELD) == 488
        there.far.answers["change"] = [200]
        assert await there.near.change(call, HELD) == 200  # sippy forgot the session here
        assert await there.near.change(call, "v=0\r\n") == 488  # no session at all
        assert await there.near.change(call, "") == 488
        assert await there.near.hang_up(call) == 200
        assert there.engine.counts["defect"] == 0


@pytest.mark.parametrize("method", ["REFER", "INFO", "UPDATE", "NOTIFY", "SUBSCRIBE"])
async def test_in_a_call_nothing_else_is_obeyed(method: str) -> None:
    async with line() as there:
        call = await there.near.call(P1, T)
        before = len(there.far.got)
        call.sequence += 1
        there.near._request(call, method, more=[f"Refer-To: <tel:{P1}>"])
        assert await there.near.answer(call, method) == 405
        assert await there.near.hang_up(call) == 200
        assert not any(one.startswith(method.encode()) for one in there.far.got[before:])


async def test_what_is_sent_again_is_answered_again_and_rings_once() -> None:
    async with line() as there:
        there.far.answers[P2] = [180]
        call = await there.near.call(P1, T, wait=False)
        await there.near.until(lambda: 180 in call.statuses)
        there.near._put(there.near.sent[0], there.near.server)
        await there.near.until(lambda: call.statuses.count(180) == 2)
        assert len(there.far.rung) == 1


async def test_a_lost_ack_has_the_answer_sent_again() -> None:
    async with line() as there:
        put = there.near._put
        lost: list[bytes] = []

        def losing(data: bytes, address: tuple[str, int]) -> None:
            if data.startswith(b"ACK") and not lost:
                lost.append(data)
            else:
                put(data, address)

        there.near._put = losing  # type: ignore[method-assign]
        call = await there.near.call(P1, T)
        await there.near.until(lambda: call.statuses.count(200) == 2)
        assert await there.near.hang_up(call) == 200


async def test_a_contact_with_a_transport_in_capitals_is_udp() -> None:
    async with line() as there:
        respond, put = there.far.respond, there.far._put

        def shouting(request: SipText, status: int, tag: str, body: str = "") -> None:
            def in_capitals(data: bytes, address: tuple[str, int]) -> None:
                put(data.replace(b">\r\nContent", b";transport=UDP>\r\nContent"), address)

            there.far._put = in_capitals  # type: ignore[method-assign]
            respond(request, status, tag, body)
            there.far._put = put  # type: ignore[method-assign]

        there.far.respond = shouting  # type: ignore[method-assign]
        call = await there.near.call(P1, T)
        assert await there.near.hang_up(call) == 200
        await there.far.until(lambda: there.far.rung[0].over)
        assert any(b"transport=UDP" in one for one in there.far.sent)


async def test_an_emergency_call_passes_unmasked_while_nobody_answers_for_anything() -> None:
    async with line() as there:
        there.asks.hears.clear()  # neither unit nor store
        call = await there.near.call(P1, "112")
        assert call.statuses == [100, 180, 200]
        invite = there.far.rung[0].invite
        assert invite is not None
        assert invite.start.startswith("INVITE sip:112@")
        assert there.far.rung[0].shown == P1
        assert P1 in invite.fields["p-asserted-identity"]
        assert there.asks.routing.asked == []
        await there.near.hang_up(call)
        assert there.asks.told == []
        there.near.asserts = False
        hidden = await there.near.call("anonymous", "999")  # withheld, and in no table
        assert hidden.statuses[-1] == 200


async def test_emergency_calls_are_not_held_up_by_others() -> None:
    async with line(limits=EngineLimits(calls=1)) as there:
        await there.near.call(P1, T)
        assert (await there.near.call(P2, V)).statuses[-1] == 503
        assert (await there.near.call(P2, "112")).statuses[-1] == 200


@pytest.mark.parametrize(
    ("cause", "status"),
    [(RefusedCause.NOT_FOUND, 404), (RefusedCause.WITHHELD, 433), (RefusedCause.LOOP, 482),
     (RefusedCause.TOO_MANY, 486), (RefusedCause.UNAVAILABLE, 503)],
)  # fmt: skip
async def test_why_a_call_goes_nowhere_is_its_status(cause: RefusedCause, status: int) -> None:
    async with line() as there:
        there.asks.routing.routes[(P1, T)] = cause
        assert (await there.near.call(P1, T)).statuses == [100, status]
        assert there.far.got == []


async def test_who_is_on_no_list_is_not_heard_and_from_counts_for_nothing() -> None:
    async with line() as there:
        stranger = SipTelephones(there.engine.address)
        await stranger.open()
        await stranger.call(P1, T, wait=False)
        there.near.asserts = False
        call = await there.near.call(P1, T)  # From says P1, and nobody asserts it
        assert call.statuses[-1] == 404
        assert there.asks.routing.asked[-1].caller is None
        assert stranger.got == []
        assert there.engine.counts["stranger"] == 1
        stranger.close()


async def test_more_than_a_source_may_send_is_not_read() -> None:
    async with line(per_s=1) as there:
        for _ in range(5):
            there.engine.datagram_received(request("OPTIONS"), there.near.address)
        assert there.engine.counts == {"refused": 2, "too-many": 3}  # OPTIONS is answered at once


async def test_who_does_not_answer_in_time_is_not_rung_any_more() -> None:
    async with line(limits=EngineLimits(ring_s=0.3)) as there:
        there.far.answers[P2] = [180]
        call = await there.near.call(P1, T)
        assert call.statuses[-1] == 480
        await there.far.until(lambda: there.far.rung[0].over)
        assert (await there.asks.until_told("no-answer"))[-1] == "no-answer"


async def test_a_side_that_does_not_know_the_call_any_more_ends_it() -> None:
    async with line(limits=EngineLimits(session_s=0.3)) as there:
        call = await there.near.call(P1, T)
        there.far.answers["change"] = [481]
        await there.near.until(lambda: call.over)
        assert await there.asks.until_told("completed")


async def test_what_belongs_to_no_call_is_told_so() -> None:
    async with line() as there:
        call = await there.near.call(P1, T)
        await there.near.hang_up(call)
        call.call_id, call.sequence = "nobody-knows-it", 9
        there.near.calls[call.call_id] = call
        there.near._request(call, "BYE")
        assert await there.near.answer(call, "BYE") == 481
        there.near._request(call, "OPTIONS")
        call.theirs = f"<sip:{T}@127.0.0.1>"
        call.sequence += 1
        there.near._request(call, "OPTIONS")
        assert await there.near.answer(call, "OPTIONS") == 200
        there.near._request(call, "REGISTER")
        assert await there.near.answer(call, "REGISTER") == 405
