"""SippyEngine: SipEngine over sippy, on asyncio's loop: no threads, one socket, SIP over UDP.

What comes in is counted by its source, then read by `messages`, and only what that takes reaches
sippy, in the plain form of `engine_text`. What sippy wants to send is written anew by `allow_list`
and goes to listed trunks alone: to the trunk of the leg where a Contact names somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import traceback
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from sippy.MsgBody import MsgBody
from sippy.Network_server import Remote_address
from sippy.SipAddress import SipAddress
from sippy.SipContentType import SipContentType
from sippy.SipCSeq import SipCSeq
from sippy.SipFrom import SipFrom
from sippy.SipRequest import SipRequest
from sippy.SipTo import SipTo
from sippy.SipURL import SipURL
from sippy.Time.MonoTime import MonoTime

from deployment_units.services.telephony.port import EndCause
from deployment_units.services.telephony.sip.allow_list import (
    LegNames,
    leg_b,
    refusal,
    told,
    written,
)
from deployment_units.services.telephony.sip.engine_text import of_request, of_response
from deployment_units.services.telephony.sip.messages import (
    Fault,
    Request,
    Response,
    read_message,
)
from deployment_units.services.telephony.sip.port import CallControl, EngineLimits, LegPlan
from deployment_units.services.telephony.sip.sippy_call import SippyCall
from deployment_units.services.telephony.sip.sippy_parts import (
    Transactions,
    dispatch_timers,
    drop_timers,
    unwritten,
)
from deployment_units.services.telephony.sip.source_rates import SourceRates
from deployment_units.services.telephony.sip.trunks import Trunk, Trunks

log = logging.getLogger(__name__)

TICK_S = 0.02
_ANSWERED_AS = ("via", "from", "to", "call-id", "cseq")


@dataclass(slots=True, kw_only=True)
class _Leg:
    """names: of it; trunk: where its messages go; tag: the far side's; request: that began it, of
    a first leg; taken: the engine acts on that."""

    names: LegNames
    trunk: Trunk
    tag: str = ""
    request: Request | None = None
    taken: bool = False


class SippyEngine(asyncio.DatagramProtocol):
    """listen: host and port; shown: the same as trunks reach it, for messages; None: as it listens.
    counts: of messages by what became of them, for metrics."""

    def __init__(
        self,
        listen: tuple[str, int],
        trunks: Trunks,
        control: CallControl,
        *,
        rates: SourceRates,
        limits: EngineLimits | None = None,
        shown: tuple[str, int] | None = None,
    ) -> None:
        self._listen = listen
        self._shown = shown
        self._trunks = trunks
        self._control = control
        self._rates = rates
        self._limits = limits or EngineLimits()
        self._legs: dict[str, _Leg] = {}
        self._calls: set[SippyCall] = set()
        self._group: asyncio.TaskGroup | None = None
        self._texts = 0
        self._writer = unwritten()
        self._random = random.Random(secrets.randbits(64))
        self.counts: Counter[str] = Counter()
        self.address = listen
        self.listens = asyncio.Event()

    @property
    def calls(self) -> int:
        """Under way."""
        return len(self._calls)

    async def run(self) -> None:
        """See SipEngine."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self._listen)
        self._transport = transport
        self.address = transport.get_extra_info("sockname")[:2]
        shown = self._shown or self.address
        self._here = f"{shown[0]}:{shown[1]}"
        self._config: dict[str, Any] = {
            "_sip_address": shown[0], "_sip_port": shown[1],
            "_sip_logger": self._writer, "homeport_sender": self._send,
        }  # fmt: skip
        self._transactions = Transactions(self._config, self._asked)
        self._config["_sip_tm"] = self._transactions
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self.listens.set()
                while True:
                    await asyncio.sleep(TICK_S)
                    with contextlib.redirect_stdout(self._writer):
                        dispatch_timers()
        finally:
            self._group = None
            transport.close()
            self._transactions.shutdown()
            drop_timers()

    async def send_text(self, plan: LegPlan, text: str, *, within_s: float) -> int:
        """See SipEngine."""
        host, port = plan.trunk.address
        target = SipURL(username=plan.target, host=host, port=port)
        nobody = SipURL(username="leg", host="leg.invalid", port=None)
        sender = SipFrom(address=SipAddress(url=nobody, hadbrace=True))
        sender.setTag(secrets.token_hex(8))
        request = SipRequest(
            method="MESSAGE", ruri=target, fr0m=sender,
            to=SipTo(address=SipAddress(url=nobody.getCopy(), hadbrace=True)),
            cseq=SipCSeq.genRandCSeq(), target=((host, port), "udp"),
            body=MsgBody(text.encode().decode("latin-1"), SipContentType("text/plain")),
        )  # fmt: skip
        call_id = str(request.getHFBody("call-id"))
        self.named(call_id, plan)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def answered(response: Any) -> None:
            code = response.getSCode()[0]
            if code >= 200 and not answer.done():
                answer.set_result(code)

        try:
            self._transactions.newTransaction(request, resp_cb=answered)
            async with asyncio.timeout(within_s):
                return await answer
        except TimeoutError:
            return 408
        finally:
            self._forget([call_id])

    # -- what comes in -----------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """One datagram, whole."""
        source = (addr[0], addr[1])
        trunk = self._trunks.of(source)
        if trunk is None:
            self.counts["stranger"] += 1
        elif not self._rates.takes(source[0]):
            self.counts["too-many"] += 1
        else:
            self._read(data, source, trunk)

    def _read(self, data: bytes, source: tuple[str, int], trunk: Trunk) -> None:
        message = read_message(data)
        if isinstance(message, Request):
            refused = self._status_of(message, trunk)
            if refused is None:
                self.counts["request"] += 1
                self._hand_in(of_request(message, source=source), source)
                if not self._legs[message.call_id].taken:  # the engine made nothing of it
                    self._legs.pop(message.call_id)
                return
            fields = {one: message.fields[one] for one in _ANSWERED_AS}
            message = Fault(
                code=refused, words="", fields={} if message.method == "ACK" else fields
            )
        if isinstance(message, Fault):
            self.counts["refused"] += 1
            answer = refusal(message, tag=secrets.token_hex(8), source=source)
            if answer is not None:
                self._transport.sendto(*answer)
        elif isinstance(message, Response) and message.call_id in self._legs:
            self.counts["response"] += 1
            self._hand_in(of_response(message), source)
        else:
            self.counts["dropped"] += 1

    def _status_of(self, request: Request, trunk: Trunk) -> int | None:
        """With what a request is answered at once; None: it goes on, and its leg is known."""
        leg = self._legs.get(request.call_id)
        if request.in_dialog or request.method in ("ACK", "CANCEL"):
            if leg is None or leg.trunk.name != trunk.name:
                return 481
            if request.method not in ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"):
                return 405
            return 488 if request.method == "INVITE" and not request.body else None
        if request.method == "OPTIONS":
            return 200
        if request.method not in ("INVITE", "MESSAGE"):
            return 405
        if leg is not None:  # sent again; or it came around
            return None if leg.tag == request.sender.tag and leg.trunk.name == trunk.name else 482
        full = len(self._calls) >= self._limits.calls or self._texts >= self._limits.texts
        if full and self._control.emergency(request, trunk) is None:
            return 503
        names = LegNames(
            ours=request.to.text, theirs=request.sender.text, contact=f"<sip:{self._here}>"
        )
        self._legs[request.call_id] = _Leg(
            names=names, trunk=trunk, tag=request.sender.tag, request=request
        )
        return None

    def _hand_in(self, text: str, source: tuple[str, int]) -> None:
        server = self._transactions.l4r.getServer(source)
        with contextlib.redirect_stdout(
            self._writer
        ):  # where sippy writes what it does not understand
            try:
                self._transactions.handleIncoming(
                    text, Remote_address(source, "udp"), server, MonoTime()
                )
            except Exception as error:  # noqa: BLE001  # a defect of one call, not everybody's
                self._failed("message", error)

    def _failed(self, at: str, error: Exception) -> None:
        self.counts["defect"] += 1
        where = traceback.extract_tb(error.__traceback__)[-1]  # its words may have numbers
        log.error("the SIP engine failed at a %s: %s at %s, line %s",
                  at, type(error).__name__, where.name, where.lineno)  # fmt: skip

    def _asked(self, request: Any, transaction: Any) -> Any:
        """sippy's: a request that begins something."""
        call_id = str(request.getHFBody("call-id"))
        leg = self._legs[call_id]
        leg.taken = True
        if request.getMethod() == "INVITE" and leg.request is not None:
            call = SippyCall(
                self._config, self, call_id,
                limits=self._limits, session_id=lambda: self._random.randrange(1, 10**6),
            )  # fmt: skip
            self._calls.add(call)
            return call.first.recvRequest(request, transaction)
        if request.getMethod() == "MESSAGE" and leg.request is not None:
            self._spawn(self._texted(leg.request, leg.trunk, request, transaction))
            return None, None, None
        return request.genResponse(481, "-"), None, None

    async def _texted(self, text: Request, trunk: Trunk, request: Any, transaction: Any) -> None:
        self._texts += 1
        try:
            async with asyncio.timeout(3 * self._limits.decide_s):
                plan = self._control.emergency(text, trunk)
                if plan is not None:
                    body = text.body.encode("latin-1").decode(errors="replace")
                    status = await self.send_text(plan, body, within_s=self._limits.decide_s)
                else:
                    status = await self._control.texted(text, trunk)
        except TimeoutError:
            status = 408
        except Exception as error:  # noqa: BLE001  # likewise
            self._failed("text", error)
            status = 500
        finally:
            self._texts -= 1
        if transaction.tid is not None:
            code, words = told(status)
            self._transactions.sendResponse(request.genResponse(code, words), transaction)
        self._forget([text.call_id])

    # -- of calls ----------------------------------------------------------------------

    def decide(self, call: SippyCall) -> None:
        """See CallHost."""
        leg = self._legs[call.call_ids[0]]
        assert leg.request is not None, "it begins a call"
        plan = self._control.emergency(leg.request, leg.trunk)
        if plan is not None:
            call.placed(plan)
        else:
            self._spawn(self._decided(call, leg.request, leg.trunk))

    async def _decided(self, call: SippyCall, request: Request, trunk: Trunk) -> None:
        try:
            async with asyncio.timeout(self._limits.decide_s):
                decision = await self._control.invited(request, trunk)
        except TimeoutError:
            decision = 503
        with contextlib.redirect_stdout(self._writer):
            try:
                if isinstance(decision, LegPlan):
                    call.placed(decision)
                else:
                    call.refused(decision)
            except Exception as error:  # noqa: BLE001  # likewise
                self._failed("call", error)
                call.failed()

    def named(self, call_id: str, plan: LegPlan) -> LegNames:
        """See CallHost."""
        host, port = plan.trunk.address
        names = leg_b(plan.target, plan.shown, here=self._here, there=f"{host}:{port}")
        self._legs[call_id] = _Leg(names=names, trunk=plan.trunk, taken=True)
        return names

    def began(self, plan: LegPlan) -> None:
        """See CallHost."""
        if plan.key is not None:
            self._control.began(plan)

    def answered(self, plan: LegPlan) -> None:
        """See CallHost."""
        if plan.key is not None:
            self._control.answered(plan)

    def over(self, call: SippyCall, plan: LegPlan | None, cause: EndCause) -> None:
        """See CallHost."""
        self._calls.discard(call)
        self.counts[f"call-{cause}"] += 1
        if plan is not None and plan.key is not None:
            self._control.ended(plan, cause)
        self._forget(call.call_ids)

    def _forget(self, call_ids: list[str]) -> None:
        """Once nothing of them is sent again."""

        def now() -> None:
            for one in call_ids:
                self._legs.pop(one, None)

        asyncio.get_running_loop().call_later(self._limits.linger_s, now)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
        else:
            self._group.create_task(work)

    # -- what goes out -----------------------------------------------------------------

    def _send(self, text: str, address: tuple[str, int]) -> None:
        """sippy's: one message, to an address that may be anybody's."""
        leg = self._legs.get(_call_id(text))
        data = written(text, leg.names) if leg is not None else None
        if leg is None or data is None:
            self.counts["unsent"] += 1
            return
        if not self._trunks.is_listed(address[0]):
            address = leg.trunk.address
        self._transport.sendto(data, address)


def _call_id(text: str) -> str:
    _, _, rest = text.partition("\r\nCall-ID: ")
    return rest.partition("\r\n")[0]
