"""A mail that one unit brings another, as messages of the contract, and their checks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

from control_plane.errors import DataLoss, InvalidInput
from deployment_units.services.mail_in.authentication_results import MethodResult
from deployment_units.services.mail_in.authenticity import counted
from deployment_units.services.mail_in.other_units import HandedMail
from homeport.api.communication.v1 import mail_pb2 as pb

PIECE_BYTES = 256 << 10
MOST_ADDRESS = 1_000  # characters
MOST_WORD = 100  # of a method, a result, the name of a property
MOST_VALUE = 1_000
MOST_PROPERTIES = 20
MOST_RESULTS = 100


class BroughtEnvelope(NamedTuple):
    """See pb.MailEnvelope."""

    recipient: str
    sender: str
    size_bytes: int
    results: tuple[MethodResult, ...]


def requests_of(mail: HandedMail) -> Iterator[pb.DeliverMailRequest]:
    """The envelope, with what counts of what was found out, and the pieces."""
    yield pb.DeliverMailRequest(
        envelope=pb.MailEnvelope(
            recipient=mail.recipient,
            sender=mail.sender,
            size_bytes=len(mail.content),
            results=[_result_to_proto(one) for one in counted(mail.results)[:MOST_RESULTS]],
        )
    )
    for start in range(0, len(mail.content), PIECE_BYTES):
        yield pb.DeliverMailRequest(content=mail.content[start : start + PIECE_BYTES])


async def envelope_of(
    requests: AsyncIterator[pb.DeliverMailRequest], *, most_bytes: int
) -> BroughtEnvelope:
    """The first message. Raises InvalidInput."""
    first = await anext(requests, None)
    if first is None or first.WhichOneof("part") != "envelope":
        raise InvalidInput("envelope", "the first message has to carry the envelope")
    said = first.envelope
    if said.size_bytes > most_bytes:
        raise InvalidInput(
            "envelope.size_bytes", f"the mail has {said.size_bytes} bytes; at most {most_bytes}"
        )
    if len(said.results) > MOST_RESULTS:
        raise InvalidInput("envelope.results", f"more than {MOST_RESULTS} results")
    return BroughtEnvelope(
        recipient=address_of(said.recipient, "envelope.recipient"),
        sender=address_of(said.sender, "envelope.sender"),
        size_bytes=said.size_bytes,
        results=tuple(_result_of(one, n) for n, one in enumerate(said.results)),
    )


async def content_of(requests: AsyncIterator[pb.DeliverMailRequest], size_bytes: int) -> bytes:
    """All that follows. Raises InvalidInput; DataLoss where it is not as long as was said."""
    content = bytearray()
    async for message in requests:
        if message.WhichOneof("part") != "content":
            raise InvalidInput("content", "after the envelope only pieces may follow")
        if not 0 < len(message.content) <= PIECE_BYTES:
            raise InvalidInput("content", f"a piece has 1 to {PIECE_BYTES} bytes")
        content += message.content
        if len(content) > size_bytes:
            break
    if len(content) != size_bytes:
        raise DataLoss(f"{len(content)} bytes came of {size_bytes}; bring the mail again")
    return bytes(content)


def address_of(text: str, field: str) -> str:
    """An address as SMTP had it. Raises InvalidInput."""
    if len(text) > MOST_ADDRESS:
        raise InvalidInput(field, f"{field} has {len(text)} characters; at most {MOST_ADDRESS}")
    return text


def _result_to_proto(result: MethodResult) -> pb.AuthenticationResult:
    return pb.AuthenticationResult(
        method=result.method, result=result.result[:MOST_WORD], properties=result.properties
    )


def _result_of(said: pb.AuthenticationResult, number: int) -> MethodResult:
    properties = dict(said.properties)
    fits = (
        len(properties) <= MOST_PROPERTIES
        and all(len(one) <= MOST_WORD for one in (said.method, said.result, *properties))
        and all(len(one) <= MOST_VALUE for one in properties.values())
    )
    if not fits:
        field = f"envelope.results[{number}]"
        raise InvalidInput(field, f"{field} has more, or longer, words than a result may have")
    return MethodResult(method=said.method, result=said.result, properties=properties)
