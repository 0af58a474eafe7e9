"""Mail that comes in: authenticated, put into its conversation and kept, beside a bare server.

A unit's SMTP server, in this process and with its own child processes that read mail, takes answers
of somebody without an account: each 2 KB with a quotation, from one address to the reply address of
one conversation. Nine in ten have a DKIM signature that holds; the others are vouched for by SPF.
DNS is a table in this process. The ceiling: aiosmtpd, which the unit's server stands on, with a
handler that keeps nothing. Both are on the event loop and with the collector of an agent. The same
sender, a process of its own, brings both the same mails over as many connections.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dkim
import msgspec
from aiosmtpd.smtp import SMTP
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bench.load.smtp_sender import SENDER
from bench.suite.accounts import TENANT, Unit
from bench.suite.measurement import WARM_UP, Failed, Measurement, Ratio, Samples, divisor
from bench.suite.processes import scratch
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.offloading.pool import ProcessPool
from control_plane.process import run_on_uvloop
from control_plane.quotas.token_buckets import Rate
from control_plane.serving.gc_freeze import freeze_gc
from deployment_units.agent.keeping import wall_ms
from deployment_units.agent.mail import READERS
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels import mail_kept
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations.answering import AnswerPresses
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.mail_in.mail_keeper import MailKeeper
from deployment_units.services.mail_in.mail_reader import LIMITS, TASKS, MailReader
from deployment_units.services.mail_in.mail_reports import MailReports
from deployment_units.services.mail_in.other_units import HandedMail, OtherUnit
from deployment_units.services.mail_in.reading_tasks import READ
from deployment_units.services.mail_in.smtp_limits import SmtpLimits
from deployment_units.services.mail_in.smtp_server import SmtpServer
from deployment_units.services.mail_in.taking import MailIn
from homeport.api.communication.v1 import conversation_pb2 as pb

MAILS = 1_200
CONNECTIONS = 32
HOST, DOMAIN, SELECTOR = "talk.example", "mail.example", "s1"
ANNA = Resident(tenant=TENANT, account="anna", epoch=1)
CARLA = f"mailto:{SENDER}"
_TALK, _FIRST = bytes(16), b"1" * 16
_UNSIGNED_EVERY = 10
_NO_LIMITS = SmtpLimits(
    of_network=CONNECTIONS, mails=Rate(per_s=1e6, burst=1e6), misses=Rate(per_s=1e6, burst=1e6),
    commands=100 * MAILS,
)  # fmt: skip
_KEY = rsa.generate_private_key(65537, 1_024)
_PUBLIC = _KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_RECORDS: Mapping[tuple[str, str], tuple[bytes, ...]] = {
    (DOMAIN, "TXT"): (b"v=spf1 ip4:127.0.0.1 -all",),
    (f"{SELECTOR}._domainkey.{DOMAIN}", "TXT"): (b"v=DKIM1; k=rsa; p=" + b64encode(_PUBLIC),),
}


class _Names:
    """DomainNames: a table."""

    async def ask(self, name: str, kind: str) -> tuple[bytes, ...]:
        return _RECORDS.get((name, kind), ())


class _NowhereElse:
    """MailHomes and MailPeers of a unit that is alone."""

    async def of_handle(self, tenant: str, handle: str, peer: str, *, fresh: bool = False) -> None:
        return None

    async def of_account(
        self, tenant: str, account: str, peer: str, *, fresh: bool = False
    ) -> None:
        return None

    async def check(self, home: OtherUnit, recipient: str) -> None:
        raise Failed("a mail is for another unit")

    async def deliver(self, home: OtherUnit, mail: HandedMail) -> None:
        raise Failed("a mail is for another unit")


class _KeepsNothing:
    """A handler of aiosmtpd."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return "250 2.0.0 gone"


def mails(count: int) -> list[bytes]:
    """Each with an id of its own, which is not signed, as with the one that it answers."""
    body = "".join(f"What I want to say of beans, in line {n}.\r\n" for n in range(20))
    body += "\r\nOn Monday, Anna wrote:\r\n" + "> Coming? There is coffee.\r\n" * 30
    head = (
        f"From: Carla <{SENDER}>\r\nSubject: Re: Beans\r\nDate: Mon, 12 Oct 2026 08:00:00 +0000\r\n"
    )
    mail = f"{head}Content-Type: text/plain; charset=utf-8\r\n\r\n{body}".encode()
    private = _KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    signature: bytes = dkim.sign(
        mail, SELECTOR.encode(), DOMAIN.encode(), private,
        include_headers=[b"from", b"subject", b"date"], canonicalize=(b"relaxed", b"relaxed"),
    )  # fmt: skip
    made = []
    for number in range(count):
        before = b"" if number % _UNSIGNED_EVERY == 0 else signature
        ids = (
            f"Message-ID: <{secrets.token_hex(8)}.{number}@{DOMAIN}>\r\n"
            f"In-Reply-To: <{_FIRST.hex()}-0123456789abcdef@{HOST}>\r\n"
        )
        made.append(before + ids.encode() + mail)
    return made


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    freeze_gc()
    for number in range(WARM_UP, rounds):
        kept = Samples() if number == WARM_UP else samples
        count = MAILS // divisor(number, quick=quick)
        with scratch() as folder:
            kept.add("mails_per_s", run_on_uvloop(_ours(folder, count)))
            tick()
            kept.add("aiosmtpd_mails_per_s", run_on_uvloop(_bare(folder, count)))
            tick()


async def _ours(folder: Path, count: int) -> float:
    """Mails a second. Raises Failed unless all are kept, as vouched for."""
    epoch = new_epoch(1, now=time.time(), random=secrets.token_bytes)
    unit = Unit(folder / "unit", TicketIssuer(KeyRing(epochs=(epoch,))))
    try:
        address = await unit.accounts.change(ANNA, lambda db, owner: _begin(unit, db, owner))
        async with _serving(unit) as port:
            rate = await _brought_per_s(folder, port, address, mails(count))
        _check_kept(unit, count)
        return rate
    finally:
        await unit.database.close()


def _begin(unit: Unit, db: Any, owner: int) -> str:
    """Anna writes to Carla; where her answers come to."""
    content = pb.Content(text="Coming?").SerializeToString()
    message = NewMessage(id=_FIRST, conversation=_TALK, sender="anna", content=content)
    unit.sender.send(db, owner, ANNA, message, [CARLA])
    whose = ReplyOwner(conversation=_TALK, participant=CARLA, address=SENDER)
    return mail_kept.address_for_replies(
        db, owner, whose, account="anna", host=HOST, new_key=lambda: secrets.token_bytes(32)
    )


@asynccontextmanager
async def _serving(unit: Unit) -> AsyncIterator[int]:
    """The unit's SMTP server; its port."""
    pool = ProcessPool(TASKS, workers=READERS, limits=LIMITS)
    reader = MailReader(
        pool, _Names(), authserv_id=HOST, is_trusted=lambda peer: False, readers=READERS
    )
    reports = MailReports(host=HOST, due=lambda owner, at_ms: None, wall_ms=wall_ms)
    presses = AnswerPresses(unit.accounts, unit.service.clicking, unit.checks)
    keeper = MailKeeper(unit.database, unit.accounts, unit.sender, reports, presses)
    alone = _NowhereElse()
    taker = MailIn({HOST: TENANT}, keeper, reader, alone, alone, has_left=lambda resident: False)
    server = SmtpServer(taker, host=HOST, clock=time.monotonic, limits=_NO_LIMITS)
    port = await server.start("127.0.0.1", 0)
    tasks = [asyncio.create_task(pool.run()), asyncio.create_task(reader.run())]
    try:
        warm = [pool.offload(READ, [], tenant=str(n), subject="mail") for n in range(READERS)]
        await asyncio.gather(*warm)
        yield port
    finally:
        await server.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        reader.close()


async def _bare(folder: Path, count: int) -> float:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(
            _KeepsNothing(), hostname=HOST, enable_SMTPUTF8=True, loop=loop,
            command_call_limit=_NO_LIMITS.commands,
        ),
        "127.0.0.1", 0,
    )  # fmt: skip
    try:
        port = server.sockets[0].getsockname()[1]
        return await _brought_per_s(folder, port, f"anna@{HOST}", mails(count))
    finally:
        server.close()


async def _brought_per_s(folder: Path, port: int, address: str, brought: list[bytes]) -> float:
    """Raises Failed unless all are taken."""
    file = folder / f"mails-{port}.msgpack"
    file.write_bytes(msgspec.msgpack.encode([(address, one) for one in brought]))
    sender = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load.smtp_sender", f"--port={port}", f"--mails={file}",
        f"--connections={CONNECTIONS}", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, _ = await sender.communicate()
    told = json.loads(printed or b"{}")
    if told.get("replies") != {"250": len(brought)}:
        raise Failed(f"mails were not taken: {told}")
    return len(brought) / float(told["seconds"])


def _check_kept(unit: Unit, count: int) -> None:
    """Each mail is a message of Carla's in the conversation, and vouched for."""
    read = partial(conversations.messages, most=500, conversation=_TALK)
    found, after, more = 0, 0, True
    while more:
        some = partial(read, after=after)
        page, more = unit.accounts.read(ANNA, lambda db, owner: some(db, owner))  # noqa: B023
        after = page[-1].position
        said = [pb.Content.FromString(one.content) for one in page if one.sender == CARLA]
        found += sum(one.by_mail.verified and one.in_reply_to == _FIRST for one in said)
    if found != count:
        raise Failed(f"{found} of {count} mails are kept as answers that are vouched for")


MAIL = Measurement(
    name="mail in",
    ratios=(
        Ratio(key="mail_in_vs_aiosmtpd", ours="mails_per_s", ceiling="aiosmtpd_mails_per_s",
              target=0.6),
    ),
    units={
        "mails_per_s": "mails/s, authenticated and kept", "aiosmtpd_mails_per_s": "mails/s, taken",
    },
    run=measure,
    steps=lambda rounds: 2 * (rounds + 1),
)  # fmt: skip
