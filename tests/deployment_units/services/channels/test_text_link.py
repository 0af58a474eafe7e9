"""Texts over a line: what is said of them, those that come in, and a line that is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal, cast

import pytest

from control_plane.errors import InvalidInput, Unavailable
from deployment_units.services.channels.port import SendOutcome, SendResult
from deployment_units.services.channels.text_link import TakeText, TextLink, TextOnLine
from tests.support.contracts.outgoing_channel_contract import outgoing
from tests.support.fakes.telephones import Telephones

OURS = "+442079460100"
DEV = "+442079460302"


@asynccontextmanager
async def linked(port: int, take: TakeText | None = None) -> AsyncIterator[TextLink]:
    link = TextLink("127.0.0.1", port, number=OURS, take=take, jitter=lambda: 0.0)
    running = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def connected(link: TextLink) -> None:
    async with asyncio.timeout(30):
        await link.connected.wait()


async def test_a_text_arrives_from_our_number_and_says_so() -> None:
    async with Telephones() as telephones, linked(telephones.port) as link:
        await connected(link)
        message = outgoing(f"tel:{DEV}", texts=("Coming", "?"))
        assert await link.send(message, within_s=20) == SendResult(SendOutcome.DELIVERED, "200 OK")
        assert telephones.texts == {DEV: [(OURS, "Coming?")]}


async def test_a_number_is_read_in_its_normal_form() -> None:
    async with Telephones() as telephones, linked(telephones.port) as link:
        await connected(link)
        await link.send(outgoing("tel:+44-20-7946-0302"), within_s=20)
        assert list(telephones.texts) == [DEV]


async def test_what_left_on_a_line_that_ended_may_have_arrived() -> None:
    telephones = Telephones(answers={DEV: None}, hangs_up=True)
    async with telephones, linked(telephones.port) as link:
        await connected(link)
        result = await link.send(outgoing(f"tel:{DEV}"), within_s=20)
        assert result.outcome is SendOutcome.UNKNOWN
        await connected(link)  # and it is there again
        telephones.answers.clear()
        result = await link.send(outgoing(f"tel:{DEV}", attempt_id="2"), within_s=20)
        assert result.outcome is SendOutcome.DELIVERED


async def test_without_a_line_nothing_leaves() -> None:
    async with Telephones() as telephones:
        port = telephones.port
    async with linked(port) as link:
        result = await link.send(outgoing(f"tel:{DEV}"), within_s=5)
        assert (result.outcome, result.channel_up) == (SendOutcome.NOT_NOW, False)


async def test_texts_come_in_and_are_answered() -> None:
    took: list[TextOnLine] = []

    async def take(text: TextOnLine) -> Literal[200, 404, 480]:
        took.append(text)
        if text.texts == ["later"]:
            raise Unavailable("the database is away")
        return 200 if text.to == OURS else 404

    async with Telephones() as telephones, linked(telephones.port, take):
        codes = [await telephones.write(DEV, to, text) for to, text in
                 ((OURS, "Yes"), ("+442079460999", "x"), (OURS, "later"))]  # fmt: skip
    assert codes == [200, 404, 480]
    assert [(one.sender, one.to, one.texts) for one in took[:1]] == [(DEV, OURS, ["Yes"])]


async def test_without_anybody_who_takes_them_nobody_is_there() -> None:
    async with Telephones() as telephones, linked(telephones.port):
        assert await telephones.write(DEV, OURS, "x") == 404


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "what"},
        {"kind": "text", "id": "1", "from": "12", "to": OURS, "texts": ["x"]},
        {"kind": "text", "id": "1", "from": DEV, "to": OURS, "texts": []},
        {"kind": "text", "id": "1", "from": DEV, "to": OURS, "texts": ["x" * 20_000]},
        {"kind": "answer", "id": "1", "code": 1},
        [],
    ],
)
async def test_what_is_no_text_ends_the_line_which_begins_anew(said: object) -> None:
    async with Telephones() as telephones, linked(telephones.port) as link:
        await connected(link)
        await telephones.begun(1)
        telephones.say(said)
        await telephones.begun(2)
        await connected(link)


async def test_texts_that_are_too_long_for_the_line_are_refused() -> None:
    async with Telephones() as telephones, linked(telephones.port) as link:
        await connected(link)
        with pytest.raises(InvalidInput, match="text"):
            await link.send(outgoing(f"tel:{DEV}", text="x" * 20_000), within_s=5)


class _UnreadWriter:
    """A StreamWriter to somebody who reads nothing: what is written stays."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()
        self.transport = self

    def write(self, line: bytes) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None:
        self.given_up.set()

    async def drain(self) -> None:
        await self.given_up.wait()

    async def wait_closed(self) -> None:
        await self.given_up.wait()


@pytest.mark.parametrize("ends", [False, True], ids=["answering", "ending"])
async def test_a_line_on_which_nobody_reads_is_given_up(ends: bool) -> None:
    writer, reader = _UnreadWriter(), asyncio.StreamReader()
    if ends:
        reader.feed_eof()
    else:
        reader.feed_data(
            b'{"kind":"text","id":"1","from":"+442079460302","to":"+442079460100","texts":["Hi"]}\n'
        )
    link = TextLink("127.0.0.1", 1, number=OURS, jitter=lambda: 0.0, write_s=0.01)
    async with asyncio.timeout(30):
        await link._serve(reader, cast("asyncio.StreamWriter", writer))
    assert writer.given_up.is_set()


async def test_more_than_is_read_is_not_written() -> None:
    async with Telephones() as telephones:
        link = TextLink(
            "127.0.0.1", telephones.port, number=OURS, jitter=lambda: 0.0, most_unread=-1
        )
        running = asyncio.create_task(link.run())
        await connected(link)
        result = await link.send(outgoing(f"tel:{DEV}"), within_s=20)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert result.outcome is SendOutcome.NOT_NOW
    assert telephones.texts == {}
