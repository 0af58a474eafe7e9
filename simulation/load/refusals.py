"""Refusals: what the trailers of a call that failed say, and whether they tell when to come back.

Whether there are details at all is seen in the bytes, for every call. Reading them takes a third of
a millisecond, so that is done for so many in a second; the others count with these.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from hpack import Decoder, HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from homeport.api.status.v1 import status_pb2
from homeport.status_details import TRAILER, TYPES, seconds_of

NAME = TRAILER.encode()
NAMES = (NAME, HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(NAME))
READ_EACH_S = 200


@dataclass(frozen=True, slots=True)
class Refusal:
    """reason: as the service names it, such as OVERLOADED; empty: it gave none. retry_after_s:
    when to come back; None: it did not say."""

    reason: str = ""
    retry_after_s: float | None = None


def has_details(trailers: bytes) -> bool:
    """Whether a header block has a field of status details. One is as long as it is."""
    return any(name in trailers for name in NAMES)


def refusal_in(trailers: bytes) -> Refusal:
    """What a header block says that needs no table."""
    reason, retry_after_s = "", None
    try:
        decoder = Decoder()
        for name, value in decoder.decode(trailers, raw=True):
            if name != NAME:
                continue
            for detail in status_pb2.Status.FromString(_from_base64(value)).details:
                kind = detail.type_url.removeprefix(TYPES)
                if kind == "RetryInfo":
                    info = status_pb2.RetryInfo.FromString(detail.value)
                    retry_after_s = seconds_of(info.retry_delay)
                elif kind == "ErrorInfo":
                    reason = status_pb2.ErrorInfo.FromString(detail.value).reason
    except (HPACKError, DecodeError, ValueError):
        return Refusal()
    return Refusal(reason, retry_after_s)


def _from_base64(value: bytes) -> bytes:
    """As headers ending in -bin have it, padded or not."""
    return b64decode(value + b"=" * (-len(value) % 4))
