"""Told: what the unit of a recipient says became of a message, and what a delivery comes to. Pure.

Delivered and seen are told, and that nothing further is tried; what says more stands, in whatever
order it comes: a receipt more than an end.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from deployment_units.services.gateway.records import decoded_record
from deployment_units.services.gateway.states import DeliveryState


class ToldState(NamedTuple):
    """at_ms: Unix ms, by the recipient's unit."""

    state: DeliveryState
    at_ms: int


class MessageTold(NamedTuple):
    """What became of one message, by its id."""

    message: bytes
    told: ToldState


class Known(NamedTuple):
    """What a delivery comes to, and when that was heard; None: nothing was yet."""

    state: DeliveryState
    at_ms: int | None


_ORDER = {
    DeliveryState.EXPIRED: 1,
    DeliveryState.UNDELIVERABLE: 2,
    DeliveryState.WITHHELD: 3,
    DeliveryState.DELIVERED: 4,
    DeliveryState.SEEN: 5,
}
TELLABLE = frozenset(_ORDER)
_decoder = msgspec.json.Decoder(ToldState)


def stronger(before: str, told: ToldState) -> str:
    """What stands of two, as it is kept; before: likewise, or empty."""
    known = _decoder.decode(before) if before else None
    if known is not None and (_ORDER[known.state], -known.at_ms) >= (
        _ORDER[told.state],
        -told.at_ms,
    ):
        return before
    return msgspec.json.encode(told).decode()


def known_of(record: str, told: str) -> Known:
    """Of a delivery, as it is kept."""
    own = decoded_record(record)
    decisive = own.decisive
    known = Known(own.state, None if decisive is None else decisive.at_ms)
    if not told or known.state is DeliveryState.SEEN:
        return known
    heard = _decoder.decode(told)
    if known.state is heard.state:
        return known
    return Known(heard.state, heard.at_ms)
