"""SmtpServer: takes mail over SMTP (RFC 5321), on PyPI `aiosmtpd`, for whoever says who is there.

It keeps the bounds: connections and mails of one network, sizes, times, commands. Recipients are
asked for before any mail is read, and one at a time: for a mail to several, the other side repeats
it for each, as RFC 5321 (4.5.3.1.10) lets it, so that each gets an answer of its own. Nothing is
ever sent back: what is not taken is refused while the other side still has it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from deployment_units.services.mail_in.incoming import LATER, MailSession, MailTaker, SmtpReply
from deployment_units.services.mail_in.smtp_limits import Network, NetworkCounts, SmtpLimits

log = logging.getLogger(__name__)
# It names addresses and what they say, as they are.
logging.getLogger("mail.log").disabled = True

_EXTENSIONS = ("SIZE", "8BITMIME", "SMTPUTF8", "STARTTLS", "HELP")
_BUSY = SmtpReply(421, "4.7.0", "too many connections from there; try again later")
_TOO_MANY_MAILS = SmtpReply(450, "4.7.1", "too many mails from there; try again later")
_TOO_MANY_MISSES = SmtpReply(450, "4.7.1", "too many recipients who are not here; try again later")
_ONE_AT_A_TIME = SmtpReply(452, "4.5.3", "one recipient at a time; repeat the mail for the others")
_NOT_ASCII = SmtpReply(553, "5.6.7", "an address outside ASCII needs SMTPUTF8 (RFC 6531)")
_BEYOND = 64 << 10  # bytes that may come besides a mail, in commands
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_ADDRESS = re.compile(
    rf"<({_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)>(?: +([A-Za-z0-9= -]*))?",
    re.ASCII,
)


class SmtpServer:
    """host: what it calls itself. tls: shows a certificate, for STARTTLS; None: there is none.
    trusted: networks of relays that are believed. clock: monotonic seconds."""

    def __init__(
        self,
        taker: MailTaker,
        *,
        host: str,
        clock: Callable[[], float],
        tls: ssl.SSLContext | None = None,
        limits: SmtpLimits | None = None,
        trusted: Sequence[Network] = (),
    ) -> None:
        self._taker = taker
        self._host = host
        self._clock = clock
        self._tls = tls
        self._limits = limits or SmtpLimits()
        self._counts = NetworkCounts(self._limits, trusted)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.replies: Counter[tuple[str, int]] = Counter()
        """For metrics: ("mail", 250) and the like, of a sender, a recipient or a mail."""

    @property
    def connections(self) -> int:
        """Those that are open."""
        return self._counts.connections

    async def start(self, host: str, port: int) -> int:
        """Listens, and says at which port. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host, port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def close(self) -> None:
        """Listens no more, and ends the connections that are left; what they were bringing comes
        again."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = [task for one in self._connections if (task := one.end()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._limits.idle_s)

    def _connection(self) -> _Connection:
        handler = _Handler(self._taker, self._limits, self._counts, self._clock, self.replies)
        return _Connection(
            handler, self._counts, self._connections,
            hostname=self._host, limits=self._limits, tls=self._tls,
        )  # fmt: skip


class _Connection(SMTP):
    """One connection: aiosmtpd's, with what bounds it as a whole."""

    def __init__(
        self,
        handler: _Handler,
        counts: NetworkCounts,
        connections: set[_Connection],
        *,
        hostname: str,
        limits: SmtpLimits,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(
            handler,
            hostname=hostname,
            ident="Homeport",
            data_size_limit=limits.max_bytes,
            enable_SMTPUTF8=True,
            tls_context=tls,
            timeout=limits.idle_s,
            command_call_limit=limits.commands,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            loop=asyncio.get_running_loop(),
        )
        self._counts = counts
        self._connections = connections
        self._most_bytes = limits.max_bytes + _BEYOND
        self._bytes = 0  # since the last mail or command that was answered
        self._entered = ""  # by whose network it is counted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.transport is None:  # and not the one within it, of STARTTLS
            peer = _host_of(transport)
            if not self._counts.enter(peer):
                assert isinstance(transport, asyncio.Transport)
                transport.write(f"{_BUSY}\r\n".encode())
                transport.close()
                return
            self._entered = peer
            self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._entered:
            return
        self._counts.leave(self._entered)
        self._entered = ""
        self._connections.discard(self)
        super().connection_lost(error)

    def eof_received(self) -> bool | None:
        return super().eof_received() if self._entered else None

    def data_received(self, data: bytes) -> None:
        """aiosmtpd keeps a line that does not end, whatever the size of a mail."""
        if not self._entered:
            return
        self._bytes += len(data)
        if self._bytes > self._most_bytes:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.abort()
            return
        super().data_received(data)

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """aiosmtpd's, which reads addresses by the grammar of header fields, in a tenth of a
        millisecond: those of dots and atoms, as nearly all are, have no need of it."""
        plain = None if self.local_part_limit else _PLAIN_ADDRESS.fullmatch(arg)
        return (plain[1], plain[2] or "") if plain else super()._getaddr(arg)

    async def push(self, status: Any) -> None:
        self._bytes = 0
        await super().push(status)

    def end(self) -> asyncio.Task[None] | None:
        """Closes it; what is still at work for it."""
        if self.transport is not None:
            self.transport.close()
        return self._handler_coroutine


class _Handler:
    """The hooks of aiosmtpd for one connection."""

    def __init__(
        self,
        taker: MailTaker,
        limits: SmtpLimits,
        counts: NetworkCounts,
        clock: Callable[[], float],
        replies: Counter[tuple[str, int]],
    ) -> None:
        self._taker = taker
        self._limits = limits
        self._counts = counts
        self._clock = clock
        self._replies = replies

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, name: str, lines: list[str]
    ) -> list[str]:
        session.host_name = name
        said = [one for one in lines[1:] if one[4:].startswith(_EXTENSIONS)]
        return [lines[0], *said]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if not envelope.smtp_utf8 and not address.isascii():
            return str(_NOT_ASCII)
        if self._counts.mail_waits_s(_peer(session), self._clock()) > 0:
            return self._counted("sender", _TOO_MANY_MAILS)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 go on"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if envelope.rcpt_tos:
            return self._counted("recipient", _ONE_AT_A_TIME)
        peer = _peer(session)
        if not envelope.smtp_utf8 and not address.isascii():
            return self._counted("recipient", _NOT_ASCII)
        if self._counts.miss_waits_s(peer, self._clock()) > 0:
            return self._counted("recipient", _TOO_MANY_MISSES)
        reply = await self._within(self._taker.recipient(_described(session, envelope), address))
        if reply.taken:
            envelope.rcpt_tos.append(address)
        if reply.code < 500:
            self._counts.found(peer, self._clock())
        return self._counted("recipient", reply)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        taken = self._taker.take(_described(session, envelope), envelope.rcpt_tos[0], content)
        return self._counted("mail", await self._within(taken))

    async def handle_exception(self, error: Exception) -> str:
        log.error("mail was not taken: %s", type(error).__name__, exc_info=error)
        return str(LATER)

    async def _within(self, work: Any) -> SmtpReply:
        try:
            async with asyncio.timeout(self._limits.take_s):
                reply: SmtpReply = await work
        except TimeoutError:
            return LATER
        return reply

    def _counted(self, what: str, reply: SmtpReply) -> str:
        self._replies[what, reply.code] += 1
        return str(reply)


def _described(session: Session, envelope: Envelope) -> MailSession:
    sender = envelope.mail_from or ""
    return MailSession(
        peer=_peer(session),
        helo=str(session.host_name or ""),
        sender="" if sender == "<>" else sender,
        encrypted=session.ssl is not None,
    )


def _peer(session: Session) -> str:
    return str(session.peer[0]) if session.peer else ""


def _host_of(transport: asyncio.BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""
