"""Mail servers of others in both directions: they bring us mail, we send mail by them, and what
they report of it is read as evidence: delivered, failed, delayed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiosmtplib
import msgspec
import pytest

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels import mail_kept
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.mail_out import MailOut, MailRelay
from deployment_units.services.channels.port import OutgoingMessage, SendOutcome
from deployment_units.services.gateway import kept as gateway
from deployment_units.services.gateway.mail_headers import message_id_of
from deployment_units.services.gateway.records import decoded_record, encoded_record
from deployment_units.services.gateway.states import (
    AttemptEvidence,
    AttemptRecord,
    AttemptState,
    advance,
)
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.mail_servers import MailServer, OpenSmtpd, Postfix
from tests.support.mail_units import ANNA, HOST, MailUnit, mail_unit

pytestmark = pytest.mark.slow
WAIT_S = 60.0
NOW_MS = 1_800_000_000_000
SERVERS = [Postfix, OpenSmtpd]
BEN = Resident(tenant=TENANT, account="ben", epoch=1)


@asynccontextmanager
async def between(
    folder: Path, kind: type[MailServer]
) -> AsyncIterator[tuple[MailUnit, MailServer]]:
    """A unit, and a server that takes its mail and brings it some."""
    (folder / "server").mkdir()
    async with (
        mail_unit(folder / "unit") as unit,
        kind(folder / "server", unit.port) as server,
    ):
        yield unit, server


async def came(wanted: Callable[[], bool], server: MailServer) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not wanted():  # noqa: ASYNC110 - the other side is a process
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(server.log.read_text()[-5_000:])


@pytest.mark.parametrize("kind", SERVERS)
async def test_mail_comes_in_by_them_once_for_each_recipient(
    tmp_path: Path, kind: type[MailServer]
) -> None:
    async with between(tmp_path, kind) as (unit, server):
        await unit.has_handle()
        await unit.has_handle(account="ben")
        both = ["anna@talk.example", "ben@talk.example"]
        # Who is told 452 for the second one brings it again: OpenSMTPD in some minutes.
        for recipients in [both] if kind is Postfix else [[one] for one in both]:
            await aiosmtplib.send(
                "From: carla@mail.example\r\nSubject: Beans\r\nMessage-ID: <m@mail.example>\r\n"
                "\r\nYes.\r\n.\r\n..two\r\n",
                sender="carla@mail.example", hostname="127.0.0.1", port=server.port,
                recipients=recipients,
            )  # fmt: skip
        await came(lambda: bool(unit.messages() and unit.messages(BEN)), server)
        (annas,), (bens,) = unit.messages(), unit.messages(BEN)
        whole = unit.unit.accounts.read(
            ANNA, lambda db, owner: mail_kept.received(db, owner, annas.id)
        )
    found = [pb.Content.FromString(one.content) for one in (annas, bens)]
    assert [one.text for one in found] == ["Yes.\n.\n..two"] * 2
    assert [one.by_mail.verified for one in found] == [True] * 2
    assert whole is not None
    assert whole.startswith(b"Received: ")


def attempt(unit: MailUnit, participant: str) -> AttemptRecord:
    row = unit.unit.accounts.read(ANNA, lambda db, owner: gateway.find(db, owner, 1, participant))
    assert row is not None
    (found,) = decoded_record(row.record).attempts
    return found


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    ("address", "state", "words"),
    [
        ("carla@mail.example", AttemptState.DELIVERED, "delivered 2."),
        ("carla@bounce.example", AttemptState.FAILED, "failed 5."),
        ("carla@slow.example", AttemptState.DELAYED, "delayed 4."),
    ],
    ids=["delivered", "failed", "delayed"],
)
async def test_what_they_report_of_mail_that_we_send_by_them_is_evidence(
    tmp_path: Path, kind: type[MailServer], address: str, state: AttemptState, words: str
) -> None:
    participant = f"mailto:{address}"
    async with between(tmp_path, kind) as (unit, server):
        reply_address = await unit.begin(address=address)
        one = message_id_of(b"1" * 16, "anna", participant)

        def note(state: AttemptState, said: str = "") -> Callable[..., None]:
            def work(db, owner):  # type: ignore[no-untyped-def]
                row = gateway.find(db, owner, 1, participant)
                evidence = AttemptEvidence(
                    number=1, channel=Channel.MAIL, state=state, at_ms=1, words=said
                )
                record = encoded_record(advance(decoded_record(row.record), evidence))
                gateway.put(db, owner, msgspec.structs.replace(row, record=record))

            return work

        await unit.unit.accounts.change(ANNA, note(AttemptState.BEGUN))
        channel = MailOut(
            MailRelay(host="127.0.0.1", port=server.port), host=HOST, wall_ms=lambda: NOW_MS
        )
        message = OutgoingMessage(
            message_id=one, attempt_id=f"{one}-1", address=address, text="Coming?",
            subject="Beans", reply_address=reply_address,
        )  # fmt: skip
        sent = await channel.send(message, within_s=30)
        assert sent.outcome is SendOutcome.HANDED_OVER, sent
        await unit.unit.accounts.change(ANNA, note(AttemptState.HANDED_OVER, sent.words))
        await came(lambda: unit.server.replies["mail", 250] == 1, server)
        found = attempt(unit, participant)
        assert unit.messages() == []  # a report is no message
    assert (found.state, found.words[: len(words)]) == (state, words), server.log.read_text()
