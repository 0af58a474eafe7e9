"""PinRecord: that a client has to live in one unit, as it is stored.

Beside the policy: whoever pins a client changes no document. A record that cannot be read, or that
a later format wrote, is one without a unit: its client gets no new home until somebody has looked.
"""

from __future__ import annotations

import msgspec

from control_plane import keys
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import KeyValue

FORMAT = 1
MOST_REASON = 500  # characters


class PinRecord(msgspec.Struct, frozen=True, kw_only=True):
    """unit: empty: it cannot be read. until_ms: Unix time from which it does not hold any more, 0:
    it has no end."""

    unit: str
    at_ms: int  # Unix time at which it was made, ms
    reason: str = ""
    until_ms: int = 0
    format: int = FORMAT

    def holds(self, now_ms: float) -> bool:
        """Whether its time is not over."""
        return not self.until_ms or now_ms < self.until_ms


_decoder = msgspec.json.Decoder(PinRecord)
encode_pin = msgspec.json.Encoder().encode


def read_pin(pair: KeyValue) -> PinRecord:
    """Never raises."""
    try:
        record = _decoder.decode(pair.value)
    except UNREADABLE:
        return PinRecord(unit="", at_ms=0)
    return record if record.format <= FORMAT else PinRecord(unit="", at_ms=record.at_ms)


def pin_key(tenant: str, client_id: str) -> bytes:
    """Of a client's pin; without a client: the prefix of the tenant's."""
    return keys.POLICY_PINS + f"{tenant}/{client_id}".encode()
