"""sippy's parts with what had to be mended in them, each with a test.

Sent datagrams leave at once and in order: sippy hands them to three threads, so that a 200 may
overtake its 180. `transport=UDP`, in capitals, is UDP. A call whose re-INVITE was refused keeps the
session that it had. REFER and INFO are not obeyed: both would carry one side's words to the other.
A side that does not know the call any more is not asked twice.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any, ClassVar

import sippy.SipConf as sip_conf
import sippy.SipURL as sip_url
import sippy.SipVia as sip_via
import sippy.Time.MonoTime as mono_time
from sippy.Core.EventDispatcher import ED2
from sippy.Core.Exceptions import dump_exception
from sippy.Network_server import Network_server_opts
from sippy.SipConf import MyAddress, MyPort, MyTransport
from sippy.SipTransactionManager import SipTransactionManager
from sippy.Time.MonoTime import MonoTime
from sippy.UA import UA
from sippy.UaStateConnected import UaStateConnected

SendText = Callable[[str, tuple[str, int]], None]


class Unwritten(io.TextIOBase):
    """Where sippy writes messages and what it fails at: nowhere, for numbers stand in them. faults:
    how often it failed."""

    def __init__(self) -> None:
        self.faults = 0

    def write(self, *said: Any, **_: Any) -> int:
        """Nothing."""
        return len(said)

    def flush(self) -> None:
        """Ends what is written of one fault."""
        self.faults += 1


def unwritten() -> Unwritten:
    """From now on sippy writes nowhere else."""
    writer = Unwritten()
    dump_exception.__defaults__ = (writer, None)
    return writer


class Datagrams:
    """What sippy takes for a UDP server. `sender` sends what it is given, before it returns."""

    transport = "udp"

    def __init__(self, config: dict[str, Any], options: Any) -> None:
        self.uopts = options
        self._sender: SendText = config["homeport_sender"]

    def getSIPaddr(self) -> tuple[tuple[str, int], str]:
        """Where we are, as messages say it."""
        return self.uopts.laddress, self.transport

    def addr2str(self, address: tuple[str, int]) -> str:
        """For sippy's log."""
        return f"{address[0]}:{address[1]}"

    def send_to(self, data: str, address: tuple[str, int], delayed: bool = False) -> None:
        """One message."""
        self._sender(data, address)

    def shutdown(self) -> None:
        """The socket is the engine's."""


class Transactions(SipTransactionManager):  # type: ignore[misc]
    """sippy's transactions over `Datagrams`."""

    model_udp_server = (Datagrams, Network_server_opts)

    def newTransaction(self, msg: Any, *arguments: Any, **named: Any) -> Any:
        """Any transport that a Contact names is UDP, in whatever letters: we have no other."""
        address, _ = msg.getTarget()
        msg.setTarget((address, "udp"))
        return super().newTransaction(msg, *arguments, **named)


class Connected(UaStateConnected):  # type: ignore[misc]
    """A call that was answered."""

    recv_request_handlers: ClassVar = {
        name: handler
        for name, handler in UaStateConnected.recv_request_handlers.items()
        if name in ("INVITE", "BYE", "OPTIONS")
    }

    def keepAliveResp(self, resp: Any) -> None:
        """Who does not answer, or knows nothing of the call, is not in it any more."""
        if self.ua.state is self and resp.getSCode()[0] in (408, 481):
            self.ka_tr = None
            self.ua.disconnect()
            return
        super().keepAliveResp(resp)


class LegAgent(UA):  # type: ignore[misc]
    """One side of a call."""

    UaStateConnected = Connected
    useRefer = False

    def recvResponse(self, resp: Any, tr: Any) -> None:
        """A re-INVITE that was refused changes nothing (RFC 3261, 14.1); sippy forgets then what
        was offered last, and fails at the next one."""
        before: Any = getattr(self, "lSDP", None)
        super().recvResponse(resp, tr)
        if getattr(self, "lSDP", None) is None and before is not None:
            self.lSDP = before


def dispatch_timers() -> None:
    """Fires sippy's timers that are due, and drops those that were cancelled; to be called often:
    sippy's own loop does nothing else here."""
    ED2.last_ts = MonoTime()
    ED2.dispatchTimers()
    if ED2.twasted * 2 > len(ED2.tlisteners):
        kept = [one for one in ED2.tlisteners if one.cb_func is not None]
        ED2.tlisteners[:] = sorted(kept)  # a sorted list is a heap
        ED2.twasted = 0


def drop_timers() -> None:
    """Those that are left where an engine ends."""
    ED2.tlisteners.clear()
    ED2.twasted = 0


_OURS = (MyAddress, MyPort, MyTransport)


def _attributes(value: object) -> tuple[str, ...]:
    """All that sippy looks for among them: whether a value stands for where we are."""
    return ("my",) if isinstance(value, _OURS) else ()


# It lists every attribute of a value for that, 60 times a call, and asks for the time by ctypes, 50
# times: together more than a millisecond of each call.
for _module in (sip_conf, sip_url, sip_via):
    _module.dir = _attributes
mono_time.clock_getdtime = time.clock_gettime
