"""Mail that an account has passed on comes back, and goes nowhere again: conversations of which
each has an address for answers of the other as a member."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels import mail_kept
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.mail_message import mail_of
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.mail_in.incoming import MailSession, SmtpReply
from deployment_units.services.mail_in.mail_keeper import MailKeeper
from deployment_units.services.mail_in.mail_reader import MailReader
from deployment_units.services.mail_in.mail_reports import MailReports
from deployment_units.services.mail_in.other_units import OtherUnit
from deployment_units.services.mail_in.reading_tasks import TASKS
from deployment_units.services.mail_in.taking import MailIn
from tests.support.account_units import TENANT
from tests.support.fakes.domain_names import NameTable
from tests.support.fakes.mail_peers import MailPeersFake
from tests.support.fakes.offload import FakeOffload
from tests.support.fakes.scripted_channel import TAKEN, ScriptedChannel
from tests.support.linked_units import LinkedUnit, enter, linked_units

HOST = "talk.example"
CARLA, DEV = "mailto:carla@mail.example", "mailto:dev@mail.example"
ANNAS, BENS = bytes(15) + b"\x0a", bytes(15) + b"\x0b"
ROUNDS = 4


class NowhereElse:
    """A MailHomes of accounts that all live here."""

    async def of_handle(
        self, tenant: str, handle: str, peer: str, *, fresh: bool = False
    ) -> Resident | OtherUnit | None:
        return None

    async def of_account(
        self, tenant: str, account: str, peer: str, *, fresh: bool = False
    ) -> Resident | OtherUnit | None:
        return None


@asynccontextmanager
async def mail_for(unit: LinkedUnit) -> AsyncIterator[MailIn]:
    on = unit.unit
    reader = MailReader(
        FakeOffload(tasks=TASKS), NameTable(), authserv_id=HOST, is_trusted=lambda peer: True
    )
    reports = MailReports(host=HOST, due=on.agenda.hint, wall_ms=on.wall_ms)
    keeper = MailKeeper(on.database, on.accounts, on.sender, reports, on.presses_in_words)
    reading = asyncio.create_task(reader.run())
    try:
        yield MailIn(
            {HOST: TENANT}, keeper, reader, NowhereElse(), MailPeersFake(),
            has_left=on.callers.has_left,
        )  # fmt: skip
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        reader.close()


async def answers_at(unit: LinkedUnit, account: str, conversation: bytes, participant: str) -> str:
    """Where answers of a participant come to."""
    whose = ReplyOwner(
        conversation=conversation, participant=participant,
        address=participant.removeprefix("mailto:"),
    )  # fmt: skip
    return await unit.unit.accounts.change(
        Resident(tenant=TENANT, account=account, epoch=1),
        lambda db, owner: mail_kept.address_for_replies(
            db, owner, whose, account=account, host=HOST, new_key=lambda: bytes(32)
        ),
    )


async def test_conversations_that_answer_each_other_end(tmp_path: Path) -> None:
    async with linked_units(tmp_path, "london") as (unit,), mail_for(unit) as taker:
        mail = ScriptedChannel(Channel.MAIL, TAKEN)
        unit.channels[Channel.MAIL] = mail
        await enter(unit, "anna")
        await enter(unit, "ben")
        for account, conversation, beside, other, its_member in (
            ("anna", ANNAS, CARLA, ("ben", BENS), DEV), ("ben", BENS, DEV, ("anna", ANNAS), CARLA),
        ):  # fmt: skip
            circle = "mailto:" + await answers_at(unit, *other, its_member)
            await unit.send(account, conversation[-1], "hi", beside, circle, talk=conversation)
        await unit.settled()
        said: list[SmtpReply] = []
        taken = 0
        first = await answers_at(unit, "anna", ANNAS, CARLA)
        mail.sent.clear()
        session = MailSession(peer="198.51.100.1", helo="x", sender="carla@mail.example")
        content = b"From: carla@mail.example\r\nMessage-ID: <1@mail.example>\r\n\r\nHi\r\n"
        assert (await taker.take(session, first, content)).code == 250
        for _ in range(ROUNDS):
            await unit.settled()
            coming = [one for one in mail.sent if one.address.endswith(HOST)][taken:]
            taken += len(coming)
            for one in coming:
                back = MailSession(peer="198.51.100.1", helo="x", sender=one.reply_address)
                came = mail_of(one, host=HOST, now_ms=unit.unit.wall_ms())
                said.append(await taker.take(back, one.address, came))
        assert [one.code for one in said] == [550]
