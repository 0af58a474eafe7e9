"""Telephones that speak SIP: numbers behind one UDP address, as an operator's gateway has them.

Just enough of RFC 3261 and 3428 to call, ring, answer, hang up and text, on a line that loses
nothing. Every datagram is kept as it was, so that a judge can read what each side saw. Used by the
demo, and by tests of the call server.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

Address = tuple[str, int]
WAIT_S = 30.0
SDP = (
    "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0 8\r\na=sendrecv\r\n"
)
_USER = re.compile(r"(?:sip|tel):([^@;>]*)")
_TAG = re.compile(r";tag=([^;>\s]+)")


@dataclass(slots=True)
class SipText:
    """One message. fields: by name in lower case, the first of each."""

    start: str
    fields: dict[str, str]
    vias: list[str]
    body: str
    raw: bytes

    @property
    def status(self) -> int:
        """0: it is a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """Of the request, or of what it answers."""
        return self.fields["cseq"].split()[1]


def read(data: bytes) -> SipText:
    """A message as this side reads it: in plain form."""
    head, _, body = data.decode("latin-1").partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    fields: dict[str, str] = {}
    vias = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() == "via":
            vias.append(value.strip())
        fields.setdefault(name.lower(), value.strip())
    return SipText(start, fields, vias, body, data)


def user_of(address: str) -> str:
    """The number, or whatever stands before the @."""
    found = _USER.search(address)
    return found[1] if found else ""


@dataclass(slots=True)
class SipCall:
    """One side of a call, at one telephone. shown: whom it sees as the other side."""

    call_id: str
    ours: str
    theirs: str
    target: str
    shown: str = ""
    sequence: int = 1
    statuses: list[int] = field(default_factory=list)
    answers: list[SipText] = field(default_factory=list)
    over: bool = False
    invite: SipText | None = None
    branch: str = ""


class SipTelephones(asyncio.DatagramProtocol):
    """server: the call server. answers: by number, the statuses with which a call is answered, in
    order; usually 180 and 200; texts: by number, from whom and what."""

    def __init__(self, server: Address) -> None:
        self.server = server
        self.answers: dict[str, list[int]] = {}
        self.text_status: dict[str, int] = {}
        self.extra: Callable[[str], list[str]] = lambda _: []
        self.asserts = True  # whether the gateway says who calls
        self.sdp = SDP
        self.calls: dict[str, SipCall] = {}
        self.rung: list[SipCall] = []
        self.texts: dict[str, list[tuple[str, str]]] = {}
        self.got: list[bytes] = []
        self.sent: list[bytes] = []
        self.changed = asyncio.Condition()
        self._finals: dict[str, asyncio.Future[int]] = {}
        self._work: set[asyncio.Task[None]] = set()

    async def open(self, listen: Address = ("127.0.0.1", 0)) -> Address:
        """Listens; where."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=listen)
        host, port = self._transport.get_extra_info("sockname")[:2]
        self.address: Address = (host, port)
        return self.address

    def close(self) -> None:
        """Nobody is reached any more."""
        self._transport.close()

    # -- what somebody does with a telephone ---------------------------------------------

    async def call(
        self, sender: str, dialled: str, *, wait: bool = True, body: str = ""
    ) -> SipCall:
        """Dials; once there is a final answer, if that is waited for. The number is asserted by
        the gateway, as it knows it."""
        call = SipCall(
            call_id=secrets.token_hex(8),
            ours=f"<sip:{sender}@{self._here}>;tag={secrets.token_hex(4)}",
            theirs=f"<sip:{dialled}@{self.server[0]}>",
            target=f"sip:{dialled}@{self.server[0]}:{self.server[1]}",
        )
        self.calls[call.call_id] = call
        self._finals[call.call_id] = asyncio.get_running_loop().create_future()
        self._request(call, "INVITE", body or self._sdp(), self._said_of(sender))
        if wait:
            await self.final(call)
        return call

    async def final(self, call: SipCall) -> int:
        """The final status of a call that was begun."""
        async with asyncio.timeout(WAIT_S):
            return await asyncio.shield(self._finals[call.call_id])

    def cancel(self, call: SipCall) -> None:
        """Hangs up before anybody answered."""
        self._request(call, "CANCEL", branch=call.branch)

    async def hang_up(self, call: SipCall) -> int:
        """Ends it; what the other side said."""
        call.sequence += 1
        self._request(call, "BYE")
        return await self.answer(call, "BYE")

    async def change(self, call: SipCall, body: str) -> int:
        """A re-INVITE; what the other side said."""
        call.sequence += 1
        self._request(call, "INVITE", body)
        return await self.answer(call, "INVITE")

    async def answer(self, call: SipCall, method: str) -> int:
        """The final status of its last request of a kind."""
        wanted = f"{call.sequence} {method}"
        async with asyncio.timeout(WAIT_S), self.changed:
            while True:
                for one in call.answers:
                    if one.fields["cseq"] == wanted and one.status >= 200:
                        return one.status
                await self.changed.wait()

    async def text(self, sender: str, to: str, text: str, kind: str = "text/plain") -> int:
        """Texts; the status."""
        call = SipCall(
            call_id=secrets.token_hex(8),
            ours=f"<sip:{sender}@{self._here}>;tag={secrets.token_hex(4)}",
            theirs=f"<sip:{to}@{self.server[0]}>",
            target=f"sip:{to}@{self.server[0]}:{self.server[1]}",
        )
        self.calls[call.call_id] = call
        self._request(call, "MESSAGE", text, self._said_of(sender), kind=kind)
        return await self.answer(call, "MESSAGE")

    async def until(self, ready: Callable[[], bool]) -> None:
        """Until something that a datagram changes."""
        async with asyncio.timeout(WAIT_S), self.changed:
            await self.changed.wait_for(ready)

    # -- on the wire ---------------------------------------------------------------------

    @property
    def _here(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def _said_of(self, sender: str) -> list[str]:
        asserted = f"P-Asserted-Identity: <sip:{sender}@{self._here}>"
        return [*([asserted] if self.asserts else []), *self.extra(sender)]

    def _sdp(self) -> str:
        return self.sdp.replace("{host}", self.address[0]).replace("{port}", "40000")

    def _request(
        self,
        call: SipCall,
        method: str,
        body: str = "",
        more: list[str] | None = None,
        *,
        branch: str = "",
        kind: str = "application/sdp",
    ) -> None:
        branch = branch or f"z9hG4bK{secrets.token_hex(8)}"
        if method == "INVITE":
            call.branch = branch
        data = body.encode()
        lines = [
            f"{method} {call.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._here};branch={branch}",
            "Max-Forwards: 70", f"From: {call.ours}", f"To: {call.theirs}",
            f"Call-ID: {call.call_id}", f"CSeq: {call.sequence} {method}",
            f"Contact: <sip:{user_of(call.ours)}@{self._here}>", *(more or []),
            *([f"Content-Type: {kind}"] if body else []), f"Content-Length: {len(data)}",
        ]  # fmt: skip
        self._put("\r\n".join([*lines, "", ""]).encode() + data, self.server)

    def respond(self, request: SipText, status: int, tag: str, body: str = "") -> None:
        """An answer to a request."""
        to = request.fields["to"]
        number = user_of(request.start)
        lines = [
            f"SIP/2.0 {status} Words of {number}", *(f"Via: {one}" for one in request.vias),
            f"From: {request.fields['from']}",
            f"To: {to}" + ("" if ";tag=" in to else f";tag={tag}"),
            f"Call-ID: {request.fields['call-id']}", f"CSeq: {request.fields['cseq']}",
            f"Contact: <sip:{number}@{self._here}>", *self.extra(number),
            *(["Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body)}",
        ]  # fmt: skip
        self._put("\r\n".join([*lines, "", body]).encode(), self.server)

    def _put(self, data: bytes, address: Address) -> None:
        self.sent.append(data)
        self._transport.sendto(data, address)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One message."""
        self.got.append(data)
        message = read(data)
        if message.status:
            self._answered(message)
        else:
            self._asked(message)
        task = asyncio.get_running_loop().create_task(self._tell())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def _answered(self, message: SipText) -> None:
        call = self.calls.get(message.fields["call-id"])
        if call is None:
            return
        call.answers.append(message)
        if message.method != "INVITE":
            return
        call.statuses.append(message.status)
        if message.status < 200:
            return
        if message.status < 300:
            call.theirs = message.fields["to"]
            call.target = message.fields["contact"].strip("<>").partition(">")[0]
            self._request(call, "ACK")
        else:
            tagged, call.theirs = call.theirs, message.fields["to"]
            self._request(call, "ACK", branch=call.branch)
            call.theirs = call.theirs if ";tag=" in tagged else tagged
        final = self._finals.get(call.call_id)
        if final is not None and not final.done():
            final.set_result(message.status)

    def _asked(self, message: SipText) -> None:
        number = user_of(message.start)
        tag = secrets.token_hex(4)
        call = self.calls.get(message.fields["call-id"])
        if message.method == "INVITE" and call is None:
            call = SipCall(
                call_id=message.fields["call-id"],
                ours=f"{message.fields['to']};tag={tag}", theirs=message.fields["from"],
                target=message.fields["contact"].strip("<>"),
                shown=user_of(message.fields["from"]), invite=message,
            )  # fmt: skip
            self.calls[call.call_id] = call
            self.rung.append(call)
            for status in self.answers.get(number, [180, 200]):
                self.respond(message, status, tag, self._sdp() if status in (183, 200) else "")
        elif message.method == "INVITE":
            self.respond(message, self.answers.get("change", [200])[0], tag, self._sdp())
        elif message.method == "MESSAGE":
            sender = user_of(message.fields["from"])
            status = self.text_status.get(number, 200)
            if status == 200:
                text = message.body.encode("latin-1").decode()
                self.texts.setdefault(number, []).append((sender, text))
            if status:
                self.respond(message, status, tag)
        elif message.method != "ACK":
            self.respond(message, 200 if call is not None else 481, tag)
            if call is not None and message.method == "CANCEL" and call.invite is not None:
                self.respond(call.invite, 487, _TAG.findall(call.ours)[-1])
            if call is not None:
                call.over = True
