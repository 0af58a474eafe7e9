"""What of one unit passes calls and texts on, built: its call server, and texts over it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from control_plane.errors import Refused
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.sip_settings import sip_address
from deployment_units.services.channels.text_link import TextOnLine
from deployment_units.services.telephony.dialling import Ordinary, classify
from deployment_units.services.telephony.port import CallRouting, IncomingCall
from deployment_units.services.telephony.sip.call_server_process import CallServerProcess
from deployment_units.services.telephony.sip.link import Configured


def call_server_of(
    settings: AgentSettings,
    routing: CallRouting,
    *,
    take: Callable[[TextOnLine], Awaitable[int]],
    wall_ms: Callable[[], int],
) -> CallServerProcess:
    """routing: of this unit; take: texts to its own number. Raises Refused where the extra is not
    installed."""
    try:
        import sippy  # noqa: F401
    except ImportError:
        raise Refused("--sip-listen needs the extra sip: install homeport-server[sip]") from None

    async def taken(call: IncomingCall, text: str) -> int | None:
        """None: it is not to the unit itself."""
        dialled = classify(call.dialled, call.region)
        if not isinstance(dialled, Ordinary) or dialled.e164 != settings.text_number:
            return None
        if call.caller is None:
            return 433
        said = TextOnLine(id=f"sip {call.id}", sender=call.caller, to=dialled.e164, texts=[text])
        return await take(said)

    configured = Configured(
        listen=sip_address(settings.sip_listen),
        shown=sip_address(settings.sip_address) if settings.sip_address else None,
        trunks=settings.sip_trunks,
        out=settings.sip_out,
        emergency=settings.sip_emergency,
        region=settings.sip_region,
        rate_per_s=float(settings.sip_rate),
    )
    return CallServerProcess(configured, routing, take=taken, wall_ms=wall_ms)
