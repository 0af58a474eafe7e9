"""One call over sippy: two dialogues, and what of one becomes something in the other.

Events of sippy say what happened on a leg; each is made anew for the other leg, with a status of
ours and a session description that `sdp` wrote. Nothing of an event is handed on as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from sippy.CCEvents import (
    CCEventConnect,
    CCEventDisconnect,
    CCEventFail,
    CCEventPreConnect,
    CCEventRedirect,
    CCEventRing,
    CCEventTry,
    CCEventUpdate,
)
from sippy.MsgBody import MsgBody
from sippy.SipCallId import SipCallId

from deployment_units.services.telephony.port import EndCause
from deployment_units.services.telephony.sip.allow_list import REASONS, LegNames, told
from deployment_units.services.telephony.sip.call_causes import cause_of
from deployment_units.services.telephony.sip.port import EngineLimits, LegPlan
from deployment_units.services.telephony.sip.sdp import SdpRefused, rewritten
from deployment_units.services.telephony.sip.sippy_parts import LegAgent


class CallHost(Protocol):
    """What a call needs of its engine."""

    def decide(self, call: SippyCall) -> None:
        """Asks where a call goes, and tells it by `placed` or `refused`."""
        ...

    def named(self, call_id: str, plan: LegPlan) -> LegNames:
        """Who is who on the second leg; from now on it may be sent on."""
        ...

    def began(self, plan: LegPlan) -> None: ...
    def answered(self, plan: LegPlan) -> None: ...
    def over(self, call: SippyCall, plan: LegPlan | None, cause: EndCause) -> None: ...


class _Session:
    """What was last said of a session on one leg, and how often it changed."""

    def __init__(self, session_id: int) -> None:
        self._id = session_id
        self._version = 1
        self._last = ""

    def made(self, body: Any) -> MsgBody | SdpRefused | None:
        """A description for this leg of one of the other leg; None where there is none."""
        if body is None:
            return None
        text = rewritten(str(body), session_id=self._id, version=self._version)
        if isinstance(text, SdpRefused):
            return text
        if self._last and text != self._last:
            self._version += 1
            text = rewritten(str(body), session_id=self._id, version=self._version)
            assert isinstance(text, str), "it was one a line before"
        self._last = text
        return MsgBody(text)


class SippyCall:
    """config: sippy's; first_id, second_id: of the ids of both legs in this call; session_id: new
    at each call, below 10^6."""

    def __init__(
        self,
        config: dict[str, Any],
        host: CallHost,
        call_id: str,
        *,
        limits: EngineLimits,
        session_id: Callable[[], int],
    ) -> None:
        self._config = config
        self._host = host
        self._limits = limits
        self._plan: LegPlan | None = None
        self._first_try: Any = None
        self._ended = False
        self._ringing = False
        self.call_ids = [call_id]
        self._sessions = {True: _Session(session_id()), False: _Session(session_id())}
        self.first = LegAgent(config, event_cb=self._happened)
        self.first.kaInterval = limits.session_s
        self.second: LegAgent | None = None

    def placed(self, plan: LegPlan) -> None:
        """Where it goes. Whoever hung up meanwhile is not called for."""
        self._plan = plan
        if self._ended:
            self._host.over(self, plan, EndCause.CANCELLED)
            return
        offer = self._sessions[False].made(self._first_try.getData()[3])
        if isinstance(offer, SdpRefused):
            self.refused(488)
            return
        second = LegAgent(
            self._config,
            event_cb=self._happened,
            nh_address=plan.trunk.address,
            credit_time=plan.limit_s or None,
            expire_time=self._limits.ring_s,
        )
        second.kaInterval = self._limits.session_s
        call_id = SipCallId()
        self.call_ids.append(str(call_id))
        self._host.named(str(call_id), plan)
        self.second = second
        event = CCEventTry((call_id, "leg", plan.target, offer, None, None))
        event.max_forwards = max((self._first_try.max_forwards or 70) - 1, 0)
        second.recvEvent(event)

    def refused(self, status: int) -> None:
        """It goes nowhere."""
        if not self._ended:
            self.first.recvEvent(CCEventFail(told(status)))
            self._end(cause_of(status))

    def failed(self) -> None:
        """Something of it went wrong here: both legs are ended, as far as that can be done."""
        for leg in (self.second, self.first):
            if leg is not None:
                with contextlib.suppress(Exception):
                    leg.recvEvent(CCEventFail((500, REASONS[500])))
        self._end(EndCause.FAILED)

    def _happened(self, event: Any, agent: Any) -> None:
        if isinstance(event, CCEventTry):
            self._first_try = event
            self._host.decide(self)
            return
        of_first = agent is self.first
        other = self.second if of_first else self.first
        if isinstance(event, CCEventDisconnect):
            self._hung_up(other, of_first)
        elif other is not None:
            self._passed(event, agent, other, of_first)

    def _hung_up(self, other: Any, of_first: bool) -> None:
        if of_first or other.isConnected():
            if other is not None:
                other.recvEvent(CCEventDisconnect())
            answered = self.first.connect_ts is not None
            self._end(EndCause.COMPLETED if answered else EndCause.CANCELLED)
        else:  # nobody answered in time
            other.recvEvent(CCEventFail((480, REASONS[480])))
            self._end(EndCause.NO_ANSWER)

    def _passed(self, event: Any, agent: Any, other: Any, of_first: bool) -> None:
        if isinstance(event, CCEventFail | CCEventRedirect):
            status = event.getData()[0]
            begun = other.isConnected()  # then a change of the session was refused, and no more
            other.recvEvent(CCEventFail(told(status)))
            if not begun:
                self._end(cause_of(status))
            return
        data = event.getData()
        body = self._sessions[not of_first].made(
            data if isinstance(event, CCEventUpdate) else data[2]
        )
        if isinstance(event, CCEventRing):
            self._rings(data[0], None if isinstance(body, SdpRefused) else body, other)
        elif isinstance(body, SdpRefused):
            self._misfit(event, agent, other)
        elif isinstance(event, CCEventUpdate):
            update = CCEventUpdate(body)
            update.max_forwards = max((event.max_forwards or 70) - 1, 0)
            other.recvEvent(update)
        elif isinstance(event, CCEventPreConnect):
            self._answered(of_first)
            other.recvEvent(CCEventPreConnect((200, REASONS[200], body)))
        elif isinstance(event, CCEventConnect):
            self._answered(of_first)
            code, words = ("ACK", "ACK") if data[0] == "ACK" else (200, REASONS[200])
            other.recvEvent(CCEventConnect((code, words, body)))

    def _rings(self, status: int, body: Any, other: Any) -> None:
        if status == 100 or other.isConnected():
            return
        if not self._ringing and self._plan is not None:
            self._ringing = True
            self._host.began(self._plan)
        code, words = told(status)
        other.recvEvent(CCEventRing((code, words, body)))

    def _misfit(self, event: Any, agent: Any, other: Any) -> None:
        """A description that is not passed on: a change is refused, an answer ends the call."""
        if isinstance(event, CCEventUpdate):
            agent.recvEvent(CCEventFail((488, REASONS[488])))
            return
        agent.recvEvent(CCEventDisconnect())
        if other.isConnected():
            other.recvEvent(CCEventDisconnect())
        else:
            other.recvEvent(CCEventFail((488, REASONS[488])))
        self._end(EndCause.FAILED)

    def _answered(self, of_first: bool) -> None:
        if not of_first and self._plan is not None and not self.first.isConnected():
            self._host.answered(self._plan)

    def _end(self, cause: EndCause) -> None:
        if not self._ended:
            self._ended = True
            self._host.over(self, self._plan, cause)
