"""SipEngine and CallControl: what speaks SIP, and what decides about calls and texts.

An engine keeps dialogues, transactions and timers of both legs of each call; what it is told of a
leg is `LegPlan`, and what it may say there is `allow_list`. A control knows numbers, trunks and
records, and no SIP. Adapters: `sippy_engine` behind the first, `call_server` behind the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from deployment_units.services.telephony.port import EndCause
from deployment_units.services.telephony.sip.messages import Request
from deployment_units.services.telephony.sip.trunks import Trunk


@dataclass(frozen=True, slots=True, kw_only=True)
class LegPlan:
    """The second leg of a call or text. target: E.164, or an emergency number as it was dialled;
    shown: E.164, whom it sees; None: an anonymous caller. trunk: by which it leaves. limit_s: after
    so many seconds the call is ended; 0: not. key: whatever the control knows it by; None where
    nothing is told of it, as of emergency calls."""

    target: str
    shown: str | None
    trunk: Trunk
    limit_s: int = 0
    key: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """calls, texts: at once; emergencies are not held up by them. decide_s: for a decision; ring_s:
    until somebody answers; session_s: between two looks whether the other side of a call is still
    there. linger_s: that a leg is known after its end, for what is sent again."""

    calls: int = 2_000
    texts: int = 500
    decide_s: float = 12.0
    ring_s: float = 180.0
    session_s: float = 900.0
    linger_s: float = 70.0


class CallControl(Protocol):
    """Whom an engine asks. No method raises, but for being cancelled."""

    def emergency(self, request: Request, trunk: Trunk) -> LegPlan | None:
        """Where an emergency call or text goes, at once and of nothing but the request; None: it is
        none. Asked before anything else."""
        ...

    async def invited(self, request: Request, trunk: Trunk) -> LegPlan | int:
        """Where a call goes, or the status that refuses it."""
        ...

    async def texted(self, request: Request, trunk: Trunk) -> int:
        """The status that a text is answered with, once something became of it."""
        ...

    def began(self, plan: LegPlan) -> None:
        """It rings there."""
        ...

    def answered(self, plan: LegPlan) -> None:
        """The call was taken."""
        ...

    def ended(self, plan: LegPlan, cause: EndCause) -> None:
        """Once for each plan that `invited` gave."""
        ...


class SipEngine(Protocol):
    """Listens while `run` does."""

    async def run(self) -> None:
        """Until it is cancelled. Raises OSError where it cannot listen."""
        ...

    async def send_text(self, plan: LegPlan, text: str, *, within_s: float) -> int:
        """The status that the far side answers a text with; 408: it said nothing."""
        ...
