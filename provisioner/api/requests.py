"""Reads requests: what a caller asked for, checked and normalised.

Decoding goes through the generated classes. A batch with one id that is not UTF-8 would be
refused whole by them, so such a batch is read again with `client_id` and `address` as
bytes, and attributes as a list of pairs, and only the client at fault gets an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from control_plane.errors import InvalidInput
from control_plane.serving.lenient_batch import lenient_class
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.placement.attributes import NO_ATTRIBUTES, Attributes

MAX_BATCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request says its client is; both None: it does not say."""

    address: str | None = None
    position: tuple[float, float] | None = None  # latitude, longitude in degrees


UNSAID = Origin()


def origin_of(message: Any) -> Origin:
    """The origin of a ProvisionRequest, ClientOrigin or ExplainPlacementRequest."""
    which = message.WhichOneof("origin")
    if which is None:
        return UNSAID
    if which == "address":
        return Origin(address=message.address)
    position = message.position
    return Origin(position=(position.latitude, position.longitude))


def unsaid(client: Any) -> tuple[str | None, tuple[float, float] | None]:
    """(address, position) of a ClientOrigin whose address is empty or not there."""
    origin = origin_of(client)
    address = origin.address
    return (text(address) if address is not None else None), origin.position


def told_attributes(message: Any) -> Attributes:
    """What a ProvisionRequest, ClientOrigin or ExplainPlacementRequest says of its client,
    unchecked. Raises InvalidInput for what is not UTF-8."""
    said = message.attributes
    if not said:
        return NO_ATTRIBUTES
    if isinstance(said, Mapping):
        return dict(said)
    return {utf8(one.key, "attributes"): utf8(one.value, "attributes") for one in said}


def read_provision(payload: bytes) -> pb.ProvisionRequest:
    """Raises InvalidInput for bytes that are not the message."""
    try:
        return pb.ProvisionRequest.FromString(payload)
    except DecodeError as error:
        raise InvalidInput(
            "request",
            "the request is not a ProvisionRequest, or a text in it is not UTF-8; "
            "client_id must be 1 to 128 bytes of UTF-8",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One ProvisionManyRequest that is sound as a whole; `clients` are its messages. tenant: empty
    where it does not say: that of its caller."""

    tenant: str
    with_tickets: bool
    clients: Any


def read_batch(payload: bytes) -> Batch:
    """Raises InvalidInput for a batch that is wrong as a whole."""
    try:
        request: Any = pb.ProvisionManyRequest.FromString(payload)
    except DecodeError:
        request = _lenient(payload)
    clients = request.clients
    if not 0 < len(clients) <= MAX_BATCH:
        raise InvalidInput(
            "clients",
            f"clients holds {len(clients):,} entries; a batch takes 1 to {MAX_BATCH:,}, "
            "split it or leave it out",
        )
    return Batch(
        tenant=text(request.tenant),
        with_tickets=not request.without_tickets,
        clients=clients,
    )


def text(value: str | bytes) -> str:
    """A text field of either class, as well as it can be read."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def utf8(value: str | bytes, field: str) -> str:
    """The same, strictly. Raises InvalidInput."""
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(field, f"{field} is not UTF-8 (byte {error.start} is wrong)") from error


def _lenient(payload: bytes) -> Any:
    try:
        return _LENIENT_BATCH.FromString(payload)
    except DecodeError as error:
        raise InvalidInput("request", "the request is not a ProvisionManyRequest") from error


_LENIENT_BATCH = lenient_class(pb.ProvisionManyRequest, entries=["ClientOrigin"])
