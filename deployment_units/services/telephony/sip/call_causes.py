"""What refusals and ends of calls are in SIP, and the other way round. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deployment_units.services.telephony.port import EndCause, RefusedCause

STATUS_OF: Final[Mapping[RefusedCause, int]] = {
    RefusedCause.NOT_A_NUMBER: 484,
    RefusedCause.NOT_FOUND: 404,
    RefusedCause.WITHHELD: 433,
    RefusedCause.NOT_ORDINARY: 403,
    RefusedCause.COUNTRY: 403,
    RefusedCause.LOOP: 482,
    RefusedCause.NO_NUMBER: 480,
    RefusedCause.TOO_MANY: 486,
    RefusedCause.MINUTES: 403,
    RefusedCause.NOT_OPEN: 404,  # as a number that is nobody's
    RefusedCause.UNAVAILABLE: 503,
}
"""As `RefusedCause` says of each."""

_BY_STATUS: Final[Mapping[int, EndCause]] = {
    486: EndCause.BUSY, 600: EndCause.BUSY,
    408: EndCause.NO_ANSWER, 480: EndCause.NO_ANSWER,
    487: EndCause.CANCELLED,
    404: EndCause.NOBODY, 410: EndCause.NOBODY, 604: EndCause.NOBODY,
}  # fmt: skip


def cause_of(status: int) -> EndCause:
    """How a call or text ended that the far side answered with a final status."""
    if 200 <= status < 300:
        return EndCause.COMPLETED
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    # Challenges and redirections are not acted on: such a trunk is set up wrongly.
    if (status >= 500 and status not in (603, 606)) or status in (401, 407) or status < 400:
        return EndCause.FAILED
    return EndCause.REJECTED
