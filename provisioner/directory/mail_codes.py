"""MailCodes: codes by mail, handed to a relay of the operator's.

A code counts as sent once the relay has taken it. The relay is trusted as the network to it is:
where it offers TLS that is used, and who it is is not asked for.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from control_plane.errors import Unavailable
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from provisioner.directory.claim_rules import ClaimNotAllowed

AT_ONCE = 8  # connections to the relay
STEP_S = 5.0  # for each answer of the relay


class MailCodes:
    """relay: host and port. sender: the address that codes come from. wall: Unix seconds."""

    def __init__(self, relay: tuple[str, int], sender: str, *, wall: Callable[[], float]) -> None:
        self._host, self._port = relay
        self._sender = sender
        self._wall = wall
        self._room = asyncio.Semaphore(AT_ONCE)

    def channel(self, identifier: Identifier) -> str:
        """See CodeSender."""
        return "mail" if identifier.kind is IdentifierKind.EMAIL else ""

    async def send(self, identifier: Identifier, code: str, *, lasts_s: float) -> None:
        """See CodeSender. A thread that the relay keeps waiting ends by its own time-outs."""
        local, _, _ = identifier.shown.rpartition("@")
        to = f"{local}@{identifier.normal.rpartition('@')[2]}"
        message = code_message(self._sender, to, code, lasts_s, self._wall())
        async with self._room:
            await asyncio.to_thread(self._hand_over, message, to)

    def _hand_over(self, message: bytes, to: str) -> None:
        try:
            with smtplib.SMTP(self._host, self._port, timeout=STEP_S) as relay:
                relay.ehlo()
                if relay.has_extn("starttls"):
                    relay.starttls(context=_unverified())
                    relay.ehlo()
                options = [] if to.isascii() else ["SMTPUTF8"]
                relay.sendmail(self._sender, [to], message, mail_options=options)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            if _is_final(error):
                raise ClaimNotAllowed("REFUSED", "the mail relay refuses this address") from error
            raise Unavailable("the mail relay does not take the code now; try again") from error
        except smtplib.SMTPNotSupportedError as error:
            raise ClaimNotAllowed(
                "REFUSED", "the mail relay cannot send to addresses outside ASCII"
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable("the mail relay does not answer; try again") from error


def code_message(sender: str, to: str, code: str, lasts_s: float, now_s: float) -> bytes:
    """What somebody gets who proves an address (RFC 5322; RFC 3834 for the header that keeps
    machines from answering)."""
    message = EmailMessage(policy=SMTP.clone(utf8=not to.isascii()))
    message["From"] = sender
    # EmailMessage would decode what looks like an encoded word, which an address has none of (RFC
    # 2047, section 5): the line would name others, or be none. The envelope says who gets it.
    message["To"] = "undisclosed-recipients:;" if "=?" in to else to
    message["Subject"] = f"Your code is {code[:4]} {code[4:]}"
    message["Date"] = format_datetime(datetime.fromtimestamp(now_s, UTC))
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        f"Your code is {code[:4]} {code[4:]}\n\n"
        f"Type it where you were asked for it, within {lasts_s / 60:.0f} minutes. Nobody of ours "
        "will ever ask you for it.\nIf you did not ask for a code, somebody has typed your "
        "address by mistake: you need not do anything.\n"
    )
    return message.as_bytes()


def _is_final(error: smtplib.SMTPException) -> bool:
    """Whether the relay said 5xx (RFC 5321, 4.2.1)."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
