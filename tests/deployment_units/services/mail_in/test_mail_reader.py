"""Mail read in child processes, with who vouches for it: signatures, hosts, trusted relays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from control_plane.errors import InvalidInput, Unavailable
from control_plane.offloading.pool import ProcessPool
from control_plane.offloading.port import Offload, TooCostly
from deployment_units.services.mail_in.authenticity import is_aligned
from deployment_units.services.mail_in.incoming import MailSession
from deployment_units.services.mail_in.loops import MailOrigin
from deployment_units.services.mail_in.mail_reader import LIMITS, TASKS, MailReader
from deployment_units.services.mail_in.reading import MailReading
from deployment_units.services.mail_in.reading_tasks import TASKS as READING
from deployment_units.services.mail_in.signatures import key_names
from tests.support.fakes.domain_names import NameTable
from tests.support.fakes.offload import FakeOffload
from tests.support.signed_mails import key_record, signed

TO = "reply+1-x@talk.example"
KEY = ("s1._domainkey.mail.example", "TXT")
PLAIN = (
    b"From: Carla <carla@mail.example>\r\nSubject: Re: Beans\r\nMessage-ID: <a1@mail.example>\r\n"
    b"In-Reply-To: <01J8@talk.example>\r\n\r\nYes.\r\n\r\nOn Mon, Anna wrote:\r\n> Coming?\r\n"
)


def session(sender: str = "carla@mail.example", peer: str = "192.0.2.7") -> MailSession:
    return MailSession(peer=peer, helo="out.mail.example", sender=sender)


@asynccontextmanager
async def reader(
    names: NameTable | None = None, pool: Offload | None = None
) -> AsyncIterator[MailReader]:
    made = MailReader(
        pool or FakeOffload(tasks=READING), names or NameTable(),
        authserv_id="mx.talk.example", is_trusted=lambda peer: peer == "198.51.100.1",
    )  # fmt: skip
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        made.close()


async def read(
    content: bytes, names: NameTable | None = None, who: MailSession | None = None
) -> MailReading:
    async with reader(names) as made:
        return await made.read(who or session(), TO, content)


def found(reading: MailReading) -> list[tuple[str, str]]:
    return [(one.method, one.result) for one in reading.results]


async def test_a_mail_says_whose_it_is_what_anew_and_what_it_answers() -> None:
    reading = await read(PLAIN)
    assert (reading.sender, reading.subject) == ("carla@mail.example", "Re: Beans")
    assert (reading.text, reading.answers_to) == ("Yes.", ("01J8@talk.example",))
    assert (reading.origin, reading.attachments, reading.outcomes) == (MailOrigin.PERSON, (), ())


async def test_a_signature_that_holds_vouches_and_no_host_is_asked_for() -> None:
    names = NameTable({KEY: (key_record(),)})
    reading = await read(signed(PLAIN, "mail.example"), names)
    assert found(reading) == [("dkim", "pass")]
    assert is_aligned(reading.sender, reading.results)
    assert names.asked == [KEY]


@pytest.mark.parametrize(
    ("content", "records", "result"),
    [
        pytest.param(
            signed(PLAIN, "mail.example").replace(b"Yes.", b"No.."), (key_record(),), "fail",
            id="the text is another",
        ),
        pytest.param(signed(PLAIN, "mail.example"), (), "permerror", id="there is no key"),
        pytest.param(signed(PLAIN, "mail.example"), (b"p=",), "fail", id="it was revoked"),
        pytest.param(
            signed(PLAIN, "mail.example"), (key_record() + b" " * 1_000,), "permerror",
            id="the key is too long",
        ),
        pytest.param(
            signed(PLAIN, "mail.example", bits=1024).replace(b"d=mail", b"d=mai1"), (), None,
            id="a key of another domain",
        ),
        pytest.param(
            signed(PLAIN, "mail.example", length=True) + b"Send money.\r\n", (key_record(),),
            "policy", id="over a part of the text",
        ),
    ],
)  # fmt: skip
async def test_other_signatures_do_not(
    content: bytes, records: tuple[bytes, ...], result: str | None
) -> None:
    reading = await read(content, NameTable({KEY: records}))
    assert not is_aligned(reading.sender, reading.results)
    if result is not None:
        assert ("dkim", result) in found(reading)


async def test_where_dns_says_nothing_nothing_is_known() -> None:
    names = NameTable(silent={KEY[0], "mail.example"})
    reading = await read(signed(PLAIN, "mail.example"), names)
    assert ("dkim", "pass") not in found(reading)
    assert ("spf", "temperror") in found(reading)


SPF = ("mail.example", "TXT")


@pytest.mark.parametrize(
    ("records", "result"),
    [
        ({SPF: (b"v=spf1 ip4:192.0.2.0/24 -all",)}, "pass"),
        ({SPF: (b"v=spf1 ip4:203.0.113.0/24 -all",)}, "fail"),
        ({SPF: (b"v=spf1 mx ~all",), ("mail.example", "MX"): ((10, "mx.mail.example"),),
          ("mx.mail.example", "A"): ("192.0.2.7",)}, "pass"),
        ({SPF: (b"v=spf1 include:_spf.mail.example -all",),
          ("_spf.mail.example", "TXT"): (b"v=spf1 a:out.mail.example ?all",),
          ("out.mail.example", "A"): ("192.0.2.7",)}, "pass"),
        ({}, "none"),
        ({SPF: (b"v=spf1 include:mail.example -all",)}, "permerror"),
        ({SPF: (b"v=spf1 " + b" ".join(b"a:x%d.mail.example" % n for n in range(9)),)},
         "permerror"),
    ],
)  # fmt: skip
async def test_hosts_of_a_domain(
    records: dict[tuple[str, str], tuple[bytes, ...]], result: str
) -> None:
    reading = await read(PLAIN, NameTable(dict(records)))
    assert found(reading) == [("spf", result)]
    assert is_aligned(reading.sender, reading.results) is (result == "pass")


async def test_hosts_of_another_domain_vouch_for_that_alone() -> None:
    names = NameTable({("evil.example", "TXT"): (b"v=spf1 +all",)})
    reading = await read(PLAIN, names, session(sender="x@evil.example"))
    assert found(reading) == [("spf", "pass")]
    assert not is_aligned(reading.sender, reading.results)


SAYS = b"Authentication-Results: mx.talk.example; dkim=pass header.d=mail.example\r\n"


async def test_a_trusted_relay_is_believed_and_nothing_is_asked() -> None:
    names = NameTable()
    reading = await read(SAYS + PLAIN, names, session(peer="198.51.100.1"))
    assert is_aligned(reading.sender, reading.results)
    assert names.asked == []


async def test_others_are_not_whatever_they_say() -> None:
    reading = await read(SAYS + PLAIN)
    assert not is_aligned(reading.sender, reading.results)


async def test_a_header_with_a_carriage_return_within_a_line_is_refused() -> None:
    with pytest.raises(InvalidInput, match="carriage return"):
        await read(b"X-Note: one\rtwo\r\n" + PLAIN)


async def test_the_same_mail_is_the_same_whatever_relays_add() -> None:
    one = await read(PLAIN)
    again = await read(b"Received: by x.example\r\nX-Spam: no\r\n" + PLAIN)
    other = await read(PLAIN.replace(b"Yes.", b"No."))
    assert one.identity == again.identity != other.identity


async def test_what_is_no_mail_is_refused_and_its_neighbours_are_read() -> None:
    bomb = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n\r\n" * 200
    async with reader() as made:
        answers = await asyncio.gather(
            *(made.read(session(), TO, one) for one in (PLAIN, bomb, b"\r\nnothing", PLAIN)),
            return_exceptions=True,
        )
    assert [type(one) for one in answers] == [MailReading, InvalidInput, InvalidInput, MailReading]
    assert "100 parts" in str(answers[1])


async def test_one_that_costs_too_much_is_told_so_alone() -> None:
    class Costly(FakeOffload):
        async def offload(self, task, arguments, **given):  # type: ignore[no-untyped-def]
            if any(b"costly" in one.content for one in arguments):
                raise TooCostly("mail", "mail: takes longer than 4 s to check")
            return await super().offload(task, arguments, **given)

    pool = Costly(tasks=READING)
    async with reader(pool=pool) as made:
        answers = await asyncio.gather(
            *(made.read(session(), TO, one) for one in (PLAIN, PLAIN + b"costly", PLAIN)),
            return_exceptions=True,
        )
    assert [type(one) for one in answers] == [MailReading, TooCostly, MailReading]


async def test_a_process_that_cannot_now_is_told_as_that() -> None:
    pool = FakeOffload(tasks=READING, failure=Unavailable("busy"))
    async with reader(pool=pool) as made:
        with pytest.raises(Unavailable):
            await made.read(session(), TO, PLAIN)


def test_names_of_keys_are_those_of_domains_and_no_more_than_a_few() -> None:
    field = "DKIM-Signature: v=1; d={}; s={}; b=x\r\n"
    many = "".join(field.format("mail.example", f"s{n}") for n in range(9)).encode()
    assert key_names(many + b"\r\n") == tuple(f"s{n}._domainkey.mail.example" for n in range(3))
    odd = "".join(field.format(*one) for one in (("a b", "s"), ("mail.example", "../x"))).encode()
    assert key_names(odd + b"\r\n") == ()
    assert key_names(b"Subject: x\r\n\r\n" + many) == ()


async def test_in_a_process_of_its_own() -> None:
    pool = ProcessPool(TASKS, workers=1, limits=LIMITS)
    running = asyncio.create_task(pool.run())
    try:
        names = NameTable({KEY: (key_record(),)})
        async with reader(names, pool) as made:
            reading = await made.read(session(), TO, signed(PLAIN, "mail.example"))
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert (reading.text, found(reading)) == ("Yes.", [("dkim", "pass")])
