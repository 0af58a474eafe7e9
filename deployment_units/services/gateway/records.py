"""Deliveries as they are kept: what is known of one, as JSON, and back. Pure."""

from __future__ import annotations

import msgspec

from deployment_units.services.gateway.states import DeliveryRecord

NOTHING = DeliveryRecord()
_decoder = msgspec.json.Decoder(DeliveryRecord)


def encoded_record(record: DeliveryRecord) -> str:
    """Empty where nothing is known yet."""
    return "" if record == NOTHING else msgspec.json.encode(record).decode()


def decoded_record(text: str) -> DeliveryRecord:
    """What `encoded_record` made. Raises msgspec.ValidationError, DecodeError."""
    return _decoder.decode(text) if text else NOTHING
