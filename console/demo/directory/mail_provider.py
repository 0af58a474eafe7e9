"""The mail provider of the demo: takes mail for a few domains and keeps it in mailboxes.

A process of its own on PyPI `aiosmtpd`, which can be killed as any server can be. A mailbox is a
folder; each mail that was taken is a file in it, and only then it says 250 with a name for it. It
forwards nothing and sends no reports.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default as default_policy
from itertools import count
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from control_plane.files import replace_file
from control_plane.process import stop_on_signals
from control_plane.ready_file import write_ready_file

HOST = "mx.mail.example"
MODULE = __name__ if __name__ != "__main__" else "console.demo.directory.mail_provider"
MOST_BYTES = 1 << 20


class MailboxHandler:
    """aiosmtpd's port. domains: whose mail is taken."""

    def __init__(self, mailboxes: Path, domains: Sequence[str]) -> None:
        self._mailboxes = mailboxes
        self._domains = frozenset(domains)
        self._numbers = count(1 + sum(1 for _ in mailboxes.rglob("*.eml")))

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.rpartition("@")[2].lower() not in self._domains:
            return "550 5.1.2 no such domain here"
        envelope.rcpt_tos.append(address.lower())
        return "250 2.1.5 good"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        number = next(self._numbers)
        for address in envelope.rcpt_tos:
            folder = self._mailboxes / address
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(folder / f"{number:06}.eml", envelope.content)
        return f"250 2.0.0 queued as M{number:06}"


class Mailboxes:
    """What the provider has kept; read while it runs, and while it does not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mails(self, address: str) -> list[EmailMessage]:
        """To one address, in the order in which they came."""
        files = sorted((self.folder / address.lower()).glob("[0-9]*.eml"))
        return [_read(file) for file in files]


def _read(file: Path) -> EmailMessage:
    mail = BytesParser(policy=default_policy).parsebytes(file.read_bytes())
    assert isinstance(mail, EmailMessage)
    return mail


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """Its text of this kind, `plain` or `html`; empty: it has none."""
    part = mail.get_body((kind,))
    return "" if part is None else str(part.get_content())


async def _serve(listen: str, mailboxes: Path, domains: Sequence[str], ready: Path) -> None:
    loop = asyncio.get_running_loop()
    handler = MailboxHandler(mailboxes, domains)

    def connection() -> SMTP:
        return SMTP(handler, hostname=HOST, ident="mail provider", enable_SMTPUTF8=True,
                    data_size_limit=MOST_BYTES, loop=loop)  # fmt: skip

    host, _, port = listen.rpartition(":")
    server = await loop.create_server(connection, host, int(port))
    found = server.sockets[0].getsockname()[1]
    write_ready_file(ready, {"smtp": f"{host}:{found}"})
    async with server:
        await stop_on_signals().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--mailboxes", type=Path, required=True)
    parser.add_argument("--domain", action="append", required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(_serve(given.listen, given.mailboxes, given.domain, given.ready_file))


if __name__ == "__main__":
    main()
