"""Reads requests: what a caller asked for, checked and normalised.

Decoding goes through the generated classes. A batch with one id that is not UTF-8 would be
refused whole by them, so such a batch is read again with `client_id` and `address` as
bytes, and only the client at fault gets an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from control_plane.errors import HomeportError, InvalidInput
from control_plane.identity.names import check_client_id
from homeport.api.provisioning.v1 import provisioning_pb2 as pb

MAX_BATCH = 1_000
DEFAULT_TENANT = "default"


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
class ClientLine:
    """One client of a batch: either an origin to place, or what is wrong with it."""

    client_id: str
    origin: Origin
    error: HomeportError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One ProvisionManyRequest; the lines are in its order."""

    tenant: str
    with_tickets: bool
    lines: tuple[ClientLine, ...]


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
    seen: set[str] = set()
    lines = tuple(_line(client, position, seen) for position, client in enumerate(clients))
    return Batch(
        tenant=_text(request.tenant) or DEFAULT_TENANT,
        with_tickets=not request.without_tickets,
        lines=lines,
    )


def _line(client: Any, position: int, seen: set[str]) -> ClientLine:
    raw = client.client_id
    try:
        client_id: str = (
            raw if isinstance(raw, str) else _utf8(raw, f"clients[{position}].client_id")
        )
        check_client_id(client_id)
        if client_id in seen:
            raise InvalidInput(
                f"clients[{position}].client_id",
                f"client {client_id!r} is in this batch already; send each client once",
            )
        seen.add(client_id)
        origin = origin_of(client)
        address: Any = origin.address
        if isinstance(address, bytes):
            origin = Origin(address=_utf8(address, f"clients[{position}].address"))
    except InvalidInput as error:
        return ClientLine(client_id=_text(raw), origin=UNSAID, error=error)
    return ClientLine(client_id=client_id, origin=origin)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _utf8(value: bytes, field: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(field, f"{field} is not UTF-8 (byte {error.start} is wrong)") from error


def _lenient(payload: bytes) -> Any:
    try:
        return _LENIENT_BATCH.FromString(payload)
    except DecodeError as error:
        raise InvalidInput("request", "the request is not a ProvisionManyRequest") from error


def _lenient_class() -> Any:
    """ProvisionManyRequest with every text field as bytes: the same wire format (proto3
    strings are length-delimited bytes), without the check."""
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(file)
    for dependency in pb.DESCRIPTOR.dependencies:
        copy = descriptor_pb2.FileDescriptorProto()
        dependency.CopyToProto(copy)
        pool.Add(copy)
    del file.service[:]
    for message in file.message_type:
        for field in message.field:
            if field.type == descriptor_pb2.FieldDescriptorProto.TYPE_STRING:
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    pool.Add(file)
    name = pb.ProvisionManyRequest.DESCRIPTOR.full_name
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


_LENIENT_BATCH = _lenient_class()
