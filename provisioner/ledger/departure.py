"""DepartureRecord: a client left a unit, as stored under moves/<unit>/<tenant>/<client>.

Written in the transaction of the move itself. A departure says less than the assignment,
which is the truth; it exists so that watchers, and the unit that was left, hear of moves
without reading every new assignment.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from control_plane import keys


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartureRecord:
    """Where a client went."""

    epoch: int  # of the assignment it has now; of the one it had, when it has none
    unit: str  # its new unit; empty: it has no home any more
    cause: str  # drained, failed-over, returned-home, reprovisioned, rebalanced, hold-expired
    at_ms: int  # Unix time, ms


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(DepartureRecord)
encode_departure = _encoder.encode
decode_departure = _decoder.decode
"""bytes -> DepartureRecord; raises msgspec.DecodeError on a damaged record."""


def split_departure_key(key: bytes) -> tuple[str, str, str]:
    """(unit, tenant, client_id) of a departure's key."""
    unit, tenant, client_id = key[len(keys.MOVES) :].decode().split("/", 2)
    return unit, tenant, client_id
