"""The SMTP server over real sockets: what it takes, what it refuses, and its bounds."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import aiosmtplib
import pytest
import uvloop
from aiosmtpd.smtp import SMTP
from hypothesis import example, given
from hypothesis import strategies as st

from control_plane.quotas.token_buckets import Rate
from deployment_units.services.mail_in.incoming import LATER, SmtpReply
from deployment_units.services.mail_in.smtp_limits import SmtpLimits, read_networks
from deployment_units.services.mail_in.smtp_server import SmtpServer
from tests.support.certificates import Authority
from tests.support.fakes.mail_taker import MailboxTaker

MAIL = b"From: carla@mail.example\r\nSubject: Hi\r\n\r\nYes.\r\n..dots\r\n"
ANNA = "anna@talk.example"


class RawClient:
    """A client that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, text: str | bytes) -> str:
        """The answer, all its lines."""
        self.writer.write((text.encode() if isinstance(text, str) else text) + b"\r\n")
        return await self.answer()

    async def answer(self) -> str:
        async with asyncio.timeout(20):
            lines = [await self.reader.readline()]
            while lines[-1][3:4] == b"-":
                lines.append(await self.reader.readline())
        return b"".join(lines).decode()


@asynccontextmanager
async def serving(
    taker: MailboxTaker,
    *,
    limits: SmtpLimits | None = None,
    tls: ssl.SSLContext | None = None,
    trusted: str = "",
    now: list[float] | None = None,
) -> AsyncIterator[tuple[SmtpServer, int]]:
    clock = now if now is not None else [0.0]
    server = SmtpServer(
        taker, host="mx.talk.example", clock=lambda: clock[0], limits=limits, tls=tls,
        trusted=read_networks(trusted, "trusted"),
    )  # fmt: skip
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.close()


@asynccontextmanager
async def line_to(port: int) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()


async def in_mail(line: RawClient, to: Sequence[str] = (ANNA,)) -> list[str]:
    """A line as far as DATA; what was said to the recipients."""
    await line.answer()
    await line.say("EHLO mail.example")
    await line.say("MAIL FROM:<carla@mail.example>")
    return [await line.say(f"RCPT TO:<{one}>") for one in to]


async def test_a_mail_comes_as_it_was_sent_with_who_brought_it() -> None:
    taker = MailboxTaker()
    async with serving(taker) as (server, port):
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, local_hostname="mail.example")
        async with client:
            _, said = await client.sendmail("carla@mail.example", [ANNA], MAIL)
            assert said == "2.0.0 kept"
            assert not client.supports_extension("auth")
            for one in ("size", "8bitmime", "smtputf8"):
                assert client.supports_extension(one)
    ((session, recipient, content),) = taker.mails
    assert (session.peer, session.helo) == ("127.0.0.1", "mail.example")
    assert (session.sender, session.encrypted) == ("carla@mail.example", False)
    assert (recipient, content) == (ANNA, MAIL)
    assert server.replies == {("recipient", 250): 1, ("mail", 250): 1}


async def test_the_null_sender_is_no_address() -> None:
    taker = MailboxTaker()
    async with serving(taker) as (_, port), line_to(port) as line:
        await line.answer()
        await line.say("EHLO mail.example")
        assert (await line.say("MAIL FROM:<>")).startswith("250")
        assert (await line.say(f"RCPT TO:<{ANNA}>")).startswith("250")
        assert (await line.say("DATA")).startswith("354")
        assert (await line.say(MAIL + b".")).startswith("250")
    assert taker.mails[0][0].sender == ""


async def flood(line: RawClient) -> None:
    """10 MB without an end of line."""
    for _ in range(2_000):
        line.writer.write(b"x" * 5_000)
        await line.writer.drain()


async def test_who_is_not_there_is_refused_before_there_is_a_mail() -> None:
    taker = MailboxTaker()
    async with serving(taker) as (_, port), line_to(port) as line:
        assert await in_mail(line, ["eve@talk.example"]) == [
            "550 5.1.1 nobody here has that address\r\n"
        ]
        assert (await line.say("DATA")).startswith("503")
    assert taker.mails == []


async def test_recipients_come_one_at_a_time_and_the_others_again() -> None:
    taker = MailboxTaker(there=(ANNA, "ben@talk.example"))
    async with serving(taker) as (_, port), line_to(port) as line:
        first, second = await in_mail(line, [ANNA, "ben@talk.example"])
    assert first.startswith("250")
    assert second.startswith("452 4.5.3")
    assert taker.asked == [ANNA]


async def test_several_recipients_have_a_mail_each_in_the_end() -> None:
    """By a foreign client that repeats what was told to come again."""
    there = (ANNA, "ben@talk.example")
    taker = MailboxTaker(there=there)
    async with serving(taker) as (_, port):
        left = list(there)
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port) as client:
            while left:
                refused, _ = await client.sendmail("carla@mail.example", left, MAIL)
                left = [one for one in left if one in refused]
    assert [recipient for _, recipient, _ in taker.mails] == list(there)


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (SmtpReply(550, "5.6.0", "no mail"), "550 5.6.0 no mail\r\n"),
        (LATER, "451 4.3.0 it cannot be taken right now; try again later\r\n"),
    ],
)
async def test_what_the_taker_says_is_said(says: SmtpReply, expected: str) -> None:
    async with serving(MailboxTaker(says=says)) as (_, port), line_to(port) as line:
        await in_mail(line)
        await line.say("DATA")
        assert await line.say(MAIL + b".") == expected


async def test_a_defect_is_told_as_later_and_nothing_of_it() -> None:
    taker = MailboxTaker(error=RuntimeError("of carla@mail.example"))
    async with serving(taker) as (_, port), line_to(port) as line:
        await in_mail(line)
        await line.say("DATA")
        assert await line.say(MAIL + b".") == f"{LATER}\r\n"


async def test_a_taker_that_says_nothing_is_not_waited_for() -> None:
    taker = MailboxTaker(holds=asyncio.Event())
    limits = SmtpLimits(take_s=0.05)
    async with serving(taker, limits=limits) as (_, port), line_to(port) as line:
        await in_mail(line)
        await line.say("DATA")
        assert await line.say(MAIL + b".") == f"{LATER}\r\n"


async def test_a_mail_that_is_too_large_is_refused_by_its_size_and_by_its_bytes() -> None:
    taker = MailboxTaker()
    limits = SmtpLimits(max_bytes=5_000)
    async with serving(taker, limits=limits) as (_, port), line_to(port) as line:
        await line.answer()
        assert "250-SIZE 5000\r\n" in await line.say("EHLO mail.example")
        said = await line.say("MAIL FROM:<carla@mail.example> SIZE=5001")
        assert said.startswith("552")
        await line.say("MAIL FROM:<carla@mail.example>")
        await line.say(f"RCPT TO:<{ANNA}>")
        await line.say("DATA")
        assert (await line.say(b"x" * 70 + b"\r\n" + (b"y" * 78 + b"\r\n") * 70 + b".")).startswith(
            "552"
        )
    assert taker.mails == []


async def test_a_line_without_an_end_ends_the_connection() -> None:
    """aiosmtpd alone keeps all of it."""
    limits = SmtpLimits(max_bytes=5_000)
    async with serving(MailboxTaker(), limits=limits) as (server, port), line_to(port) as line:
        await in_mail(line)
        await line.say("DATA")
        with pytest.raises(ConnectionError):
            await flood(line)
        assert server.connections == 0


async def test_a_bare_line_feed_does_not_end_a_mail() -> None:
    """So nobody smuggles a second one behind it."""
    taker = MailboxTaker()
    smuggled = b"\n.\nMAIL FROM:<eve@evil.example>\nRCPT TO:<x@y.example>\nDATA\nx"
    async with serving(taker) as (_, port), line_to(port) as line:
        await in_mail(line)
        await line.say("DATA")
        assert (await line.say(MAIL + smuggled + b"\r\n.")).startswith("250")
    ((session, recipient, content),) = taker.mails
    assert (session.sender, recipient) == ("carla@mail.example", ANNA)
    assert smuggled in content


async def test_one_network_has_so_many_connections_and_others_still_come() -> None:
    limits = SmtpLimits(of_network=2)
    async with serving(MailboxTaker(), limits=limits) as (server, port):
        async with line_to(port) as one, line_to(port) as two:
            assert (await one.answer()).startswith("220")
            assert (await two.answer()).startswith("220")
            async with line_to(port) as three:
                assert (await three.answer()).startswith("421")
                assert await three.reader.read() == b""
            assert server.connections == 2
            assert (await one.say("QUIT")).startswith("221")
            assert await one.reader.read() == b""
        async with line_to(port) as again:
            assert (await again.answer()).startswith("220")


async def test_a_trusted_relay_has_no_limit_of_its_own() -> None:
    limits = SmtpLimits(of_network=1, connections=3, mails=Rate(per_s=0.001, burst=1))
    async with (
        serving(MailboxTaker(), limits=limits, trusted="127.0.0.0/8") as (_, port),
        line_to(port) as one,
        line_to(port) as two,
        line_to(port) as three,
    ):
        for line in (one, two, three):
            assert (await in_mail(line))[0].startswith("250")
        async with line_to(port) as four:
            assert (await four.answer()).startswith("421")


async def test_mails_of_one_network_come_at_a_rate() -> None:
    now = [0.0]
    limits = SmtpLimits(mails=Rate(per_s=1.0, burst=2))
    async with serving(MailboxTaker(), limits=limits, now=now) as (_, port), line_to(port) as line:
        await line.answer()
        await line.say("EHLO mail.example")
        said = []
        for _ in range(3):
            said.append(await line.say("MAIL FROM:<carla@mail.example>"))
            await line.say("RSET")
        assert [one[:3] for one in said] == ["250", "250", "450"]
        now[0] = 1.0
        assert (await line.say("MAIL FROM:<carla@mail.example>")).startswith("250")


async def test_who_asks_for_many_who_are_not_there_is_told_of_nobody() -> None:
    now = [0.0]
    taker = MailboxTaker()
    limits = SmtpLimits(misses=Rate(per_s=0.1, burst=3))
    async with serving(taker, limits=limits, now=now) as (_, port), line_to(port) as line:
        hits = await in_mail(line, [ANNA])
        for _ in range(4):
            await line.say("RSET")
            await line.say("MAIL FROM:<carla@mail.example>")
            hits.append(await line.say(f"RCPT TO:<{ANNA}>"))
        assert [one[:3] for one in hits] == ["250"] * 5  # who is there costs nothing
        await line.say("RSET")
        await line.say("MAIL FROM:<carla@mail.example>")
        said = [await line.say(f"RCPT TO:<x{n}@talk.example>") for n in range(4)]
        said.append(await line.say(f"RCPT TO:<{ANNA}>"))
        assert [one[:3] for one in said] == ["550", "550", "550", "450", "450"]
        now[0] = 10.0
        assert (await line.say(f"RCPT TO:<{ANNA}>")).startswith("250")


@pytest.mark.parametrize(
    "new_loop",
    [
        pytest.param(asyncio.new_event_loop, id="asyncio"),
        pytest.param(uvloop.new_event_loop, id="uvloop-on-which-agents-run"),
    ],
)
def test_starttls_where_there_is_a_certificate(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_brings_a_mail_over_tls(tmp_path))


async def _brings_a_mail_over_tls(tmp_path: Path) -> None:
    authority = Authority.new()
    certificate, key = authority.issue(addresses=["127.0.0.1"])
    (tmp_path / "cert.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    trust = ssl.create_default_context(cadata=authority.certificate.decode())
    taker = MailboxTaker()
    async with serving(taker, tls=tls) as (_, port):
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=True, tls_context=trust)
        async with client:
            await client.sendmail("carla@mail.example", [ANNA], MAIL)
            assert not client.supports_extension("starttls")
            assert not client.supports_extension("auth")
    assert taker.mails[0][0].encrypted


async def test_addresses_outside_ascii_need_smtputf8() -> None:
    anna = "ännä@talk.example"
    taker = MailboxTaker(there=(anna,))
    async with serving(taker) as (_, port), line_to(port) as line:
        await line.answer()
        await line.say("EHLO mail.example")
        await line.say("MAIL FROM:<carla@mail.example>")
        assert (await line.say(f"RCPT TO:<{anna}>")).startswith("553")
        await line.say("RSET")
        await line.say("MAIL FROM:<carla@mail.example> SMTPUTF8")
        assert (await line.say(f"RCPT TO:<{anna}>")).startswith("250")
    assert taker.asked == [anna]


async def test_a_server_that_closes_answers_nobody_any_more() -> None:
    taker = MailboxTaker(holds=asyncio.Event())
    async with serving(taker) as (server, port), line_to(port) as line:
        await in_mail(line)
        await line.say("DATA")
        line.writer.write(MAIL + b".\r\n")
        await line.writer.drain()
        await server.close()
        with suppress(ConnectionError):
            assert await line.reader.read() == b""
        assert server.connections == 0
    assert taker.mails == []


_PIECES = st.sampled_from(
    [*'<>@. a-=+"()[]\\\t', "anna", "talk.example", "<anna@talk.example>", " SIZE=12", "ä"]
)


async def test_addresses_are_read_as_aiosmtpd_reads_them() -> None:
    server = SmtpServer(MailboxTaker(), host="mx.talk.example", clock=lambda: 0.0)
    connection = server._connection()

    def outcome(read: Callable[[str], object], argument: str) -> object:
        try:
            return read(argument)
        except Exception as error:  # noqa: BLE001  # of what is no address, whatever it is
            return type(error)

    @given(st.lists(_PIECES, min_size=1, max_size=6).map("".join))
    @example("<anna+r.1@talk.example>")
    @example("<.an..na.@talk.example>")
    @example("<anna@.talk..example.>")
    @example("<anna@talk.example>  SIZE=12 (said)")
    @example("<anna@talk.example> SIZE=12  BODY=8BITMIME ")
    def the_same(argument: str) -> None:
        theirs = partial(SMTP._getaddr, connection)
        assert outcome(connection._getaddr, argument) == outcome(theirs, argument)

    the_same()
