"""Texts through the engine, between two gateways: what each side sees."""

from __future__ import annotations

from tests.support.number_leaks import found
from tests.support.sip_engines import P1, P2, T, V, line


async def test_texts_go_both_ways_and_neither_sees_the_other() -> None:
    async with line() as there:
        assert await there.near.text(P1, T, "Grüße – 你好") == 200
        assert await there.near.text(P2, V, "Ja") == 200
        assert there.far.texts == {P2: [(V, "Grüße – 你好")], P1: [(T, "Ja")]}
        assert not any(found(data, P1) for data in there.far.got if P2.encode() in data)
        there.far.text_status[P2] = 486
        assert await there.near.text(P1, T, "x") == 486
        assert await there.near.text(P1, "+442079460999", "x") == 404


async def test_texts_are_plain_and_emergencies_pass_unmasked() -> None:
    async with line() as there:
        cpim = f"From: <im:{P1}>\r\nTo: <im:{P2}>\r\n\r\nContent-Type: text/plain\r\n\r\nHello"
        assert await there.near.text(P1, T, cpim, kind="message/cpim") == 415
        assert await there.near.text(P1, "112", "Fire") == 200
        assert there.far.texts == {"112": [(P1, "Fire")]}
