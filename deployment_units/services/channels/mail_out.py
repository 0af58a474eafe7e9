"""MailOut: messages handed to a mail relay over SMTP (PyPI `aiosmtplib`).

It asks for reports (RFC 3461) where the relay can: of success, failure and delay, under the
attempt's id, and to have the header back alone. What the relay says is the evidence. Where the
connection ends once the message may have left, the outcome is unknown; before, it was surely not
taken. A mail that is sent again has its Message-ID, by which mailboxes know it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib

from control_plane.errors import InvalidInput
from control_plane.printable import printable
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.mail_message import mail_address, mail_of
from deployment_units.services.channels.port import OutgoingMessage, SendOutcome, SendResult
from deployment_units.services.channels.relay_files import RelayAccess, RelayFiles

MOST_WORDS = 500  # characters of what a relay says
_CLOSING_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRelay:
    """verified_tls: the connection has to be TLS, with a certificate of the relay's name; else
    TLS is used where it is offered, and whose certificate it is not asked for. ca: PEM, in place of
    the machine's. user: empty: no credentials are asked for; with them verified_tls is needed.
    password: a file, closed to others. Files may be replaced."""

    host: str
    port: int
    verified_tls: bool = False
    ca: Path | None = None
    user: str = ""
    password: Path | None = None

    def __post_init__(self) -> None:
        if self.user and not self.verified_tls:
            raise InvalidInput(
                "mail_relay_user", "mail_relay_user: credentials go over verified TLS alone"
            )


class MailOut:
    """host: the domain that our mail is sent from. wall_ms: Unix ms; clock: monotonic seconds. One
    connection a message. Raises InvalidInput for files that cannot be used."""

    channel = Channel.MAIL
    knows_duplicates = True

    def __init__(
        self,
        relay: MailRelay,
        *,
        host: str,
        wall_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay = relay
        self._files = RelayFiles(
            verified=relay.verified_tls, ca=relay.ca, password=relay.password, clock=clock
        )
        self._host = host
        self._wall_ms = wall_ms

    async def send(self, message: OutgoingMessage, *, within_s: float) -> SendResult:
        """See OutgoingChannel."""
        end = asyncio.get_running_loop().time() + within_s
        try:  # tens of milliseconds where it is long
            async with asyncio.timeout_at(end):
                mail = await asyncio.to_thread(
                    mail_of, message, host=self._host, now_ms=self._wall_ms()
                )
        except TimeoutError:
            return SendResult(SendOutcome.NOT_NOW, "the mail was not written in time", None)
        sender = mail_address(message.reply_address, "reply_address")
        to = mail_address(message.address, "address")
        attempt = _Attempt(mail, sender, to, message, self._relay)
        client: aiosmtplib.SMTP | None = None
        try:
            async with asyncio.timeout_at(end):
                access = await self._files.latest()
                client = self._client(within_s, access)
                return await attempt.hand_over(client, access.password)
        except aiosmtplib.SMTPResponseException as error:
            return _answered(error.code, error.message, attempt.may_have_left)
        except aiosmtplib.SMTPNotSupported as error:
            return SendResult(SendOutcome.REFUSED, _words(error.message))
        except (aiosmtplib.SMTPException, OSError) as error:
            outcome = SendOutcome.UNKNOWN if attempt.may_have_left else SendOutcome.NOT_NOW
            return SendResult(outcome, _words(_said(error)), channel_up=False)
        finally:
            if client is not None:
                client.close()

    def _client(self, within_s: float, access: RelayAccess) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._relay.host,
            port=self._relay.port,
            local_hostname=self._host,
            timeout=within_s,
            start_tls=True if self._relay.verified_tls else None,
            tls_context=access.tls,
        )


class _NotLetIn(aiosmtplib.SMTPException):
    """Before there was a mail."""


class _Attempt:
    def __init__(
        self, mail: bytes, sender: str, to: str, message: OutgoingMessage, relay: MailRelay
    ) -> None:
        self._relay = relay
        self._mail = mail
        self._sender = sender
        self._to = to
        self._message = message
        self.may_have_left = False

    async def hand_over(self, client: aiosmtplib.SMTP, password: str) -> SendResult:
        """Raises what aiosmtplib does."""
        await self._let_in(client, password)
        from_options, to_options = self._options(client)
        encoding = "utf-8" if "SMTPUTF8" in from_options else "ascii"
        await client.mail(self._sender, options=from_options, encoding=encoding)
        await client.rcpt(self._to, options=to_options, encoding=encoding)
        self.may_have_left = True
        code, words = await client.data(self._mail)
        with suppress(aiosmtplib.SMTPException, OSError):  # it has the message all the same
            await client.quit(timeout=_CLOSING_S)
        return SendResult(SendOutcome.HANDED_OVER, _words(f"{code} {words}"))

    async def _let_in(self, client: aiosmtplib.SMTP, password: str) -> None:
        """What a relay says before there is a mail is about no mail: it waits."""
        try:
            await client.connect()
            # Whoever looks for STARTTLS has said it, and OpenSMTPD refuses a second one.
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except aiosmtplib.SMTPResponseException as error:
            raise _NotLetIn(_words(f"{error.code} {error.message}")) from error
        if self._relay.user:
            await self._log_in(client, password)

    async def _log_in(self, client: aiosmtplib.SMTP, password: str) -> None:
        """A relay that does not know us is a setting that somebody has to mend: the mail waits."""
        try:
            await client.login(self._relay.user, password)
        except aiosmtplib.SMTPAuthenticationError as error:
            raise _NotLetIn(f"the relay refuses our credentials: {error.code}") from error
        except aiosmtplib.SMTPNotSupported as error:
            raise _NotLetIn("the relay takes no credentials") from error

    def _options(self, client: aiosmtplib.SMTP) -> tuple[list[str], list[str]]:
        """Of MAIL and RCPT. Raises SMTPNotSupported where the relay lacks what is needed."""
        from_options, to_options = [], []
        if client.supports_extension("size"):
            from_options.append(f"SIZE={len(self._mail)}")
        if not (self._sender + self._to).isascii():
            if not client.supports_extension("smtputf8"):
                raise aiosmtplib.SMTPNotSupported(
                    "the relay cannot send to addresses outside ASCII (RFC 6531)"
                )
            from_options.append("SMTPUTF8")
        if client.supports_extension("dsn"):
            from_options += ["RET=HDRS", f"ENVID={self._message.attempt_id}"]
            to_options.append("NOTIFY=SUCCESS,FAILURE,DELAY")
        return from_options, to_options


def _answered(code: int, words: str, may_have_left: bool) -> SendResult:
    """RFC 5321, 4.2.1: 4yz may be tried again, 5yz not; anything else is no answer to it."""
    said = _words(f"{code} {words}")
    if 500 <= code < 600:
        return SendResult(SendOutcome.REFUSED, said)
    unclear = may_have_left and not 400 <= code < 500
    outcome = SendOutcome.UNKNOWN if unclear else SendOutcome.NOT_NOW
    # 421: it closes; 4.3.z: it takes no mail (RFC 3463, 3.4). Else it is about this one.
    return SendResult(outcome, said, channel_up=not (code == 421 or words.startswith("4.3.")))


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the relay did not answer in time"
    return str(error) or type(error).__name__


def _words(text: str) -> str:
    return printable(" ".join(text[: 2 * MOST_WORDS].split()))[:MOST_WORDS]
