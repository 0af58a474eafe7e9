"""What requests to ConversationService say, checked. Raises InvalidInput."""

from __future__ import annotations

import re
from collections.abc import Sequence

from control_plane.errors import InvalidInput
from control_plane.identity.names import check_client_id, check_slug
from deployment_units.services.cards.card import MAX_ID
from deployment_units.services.conversations.members import read_member
from deployment_units.services.conversations.message import (
    ID_BYTES,
    MAX_HTML_BYTES,
    MAX_MEMBERS,
    MAX_TEXT_BYTES,
    UNADDRESSED,
    Addressing,
)
from deployment_units.services.conversations.press import MAX_INPUTS, NewPress
from homeport.api.communication.v1 import conversation_pb2 as pb

MAX_MESSAGES = 100
DEFAULT_MESSAGES = 50
MAX_CONVERSATIONS = 1_000
DEFAULT_CONVERSATIONS = 100
MAX_BY_MAIL_BYTES = 32 << 10
_INSTRUCTION = re.compile(r"i-[0-9a-f]{1,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # but line breaks and tabs


def id_of(value: bytes, field: str) -> bytes:
    if len(value) != ID_BYTES:
        raise InvalidInput(field, f"{field} has {len(value)} bytes; an id has {ID_BYTES}")
    return value


def members_of(ids: Sequence[str], account: str, field: str = "members") -> tuple[str, ...]:
    """The members of a conversation but `account`, in normal form and order, each once."""
    if len(ids) > MAX_MEMBERS:
        raise InvalidInput(
            field, f"{field} names {len(ids)} members; a conversation has at most {MAX_MEMBERS}"
        )
    found = {read_member(one, f"{field}[{n}]") for n, one in enumerate(ids)}
    if account in found:
        raise InvalidInput(field, f"{field} names the sender; name the others alone")
    return tuple(sorted(found))


def content_of(
    content: pb.Content,
    field: str = "content",
    *,
    card: str = "",
    by_mail: pb.ByMail | None = None,
    refused: bool = False,
    caused_by: str = "",
    addressing: Addressing = UNADDRESSED,
) -> bytes:
    """What a message says, encoded so that the same is the same. card, by_mail, addressing: as
    their checks left them; refused, caused_by: where who writes may say so; those of `content` are
    not looked at."""
    if not (content.text.strip() or content.html.strip()):
        raise InvalidInput(f"{field}.text", "a message without a text says nothing")
    for name, text, most in (
        ("text", content.text, MAX_TEXT_BYTES),
        ("html", content.html, MAX_HTML_BYTES),
    ):
        size = len(text.encode())
        if size > most:
            raise InvalidInput(
                f"{field}.{name}", f"the {name} has {size} bytes; at most {most} are allowed"
            )
        if control := _CONTROL.search(text):
            raise InvalidInput(
                f"{field}.{name}",
                f"the {name} has the control character U+{ord(control[0]):04X} at position "
                f"{control.start()}",
            )
    checked = pb.Content(
        text=content.text,
        html=content.html,
        card=card,
        in_reply_to=optional_id(content.in_reply_to, f"{field}.in_reply_to"),
        answers=optional_id(content.answers, f"{field}.answers"),
        by_mail=by_mail,
        refused=refused,
        caused_by=caused_by,
        from_identifier=addressing.contactor,
        to_identifiers=dict(addressing.contactees),
    )
    encoded: bytes = checked.SerializeToString(deterministic=True)
    return encoded


def optional_id(value: bytes, field: str) -> bytes:
    """An id, or nothing."""
    return id_of(value, field) if value else b""


def by_mail_of(content: pb.Content, field: str = "content") -> pb.ByMail | None:
    """The mail that a message was, which another unit brings."""
    if not content.HasField("by_mail"):
        return None
    size = content.by_mail.ByteSize()
    if size > MAX_BY_MAIL_BYTES:
        raise InvalidInput(
            f"{field}.by_mail", f"by_mail has {size} bytes; at most {MAX_BY_MAIL_BYTES} are allowed"
        )
    made = pb.ByMail()
    made.CopyFrom(content.by_mail)
    made.DiscardUnknownFields()
    return made


def caused_by_of(content: pb.Content) -> str:
    """The instruction because of which an application sent a message that another unit brings; what
    is no id of one says nothing."""
    return content.caused_by if _INSTRUCTION.fullmatch(content.caused_by) else ""


def refuse_card(content: pb.Content, field: str = "content") -> None:
    """For what people write."""
    if content.card:
        raise InvalidInput(
            f"{field}.card", "cards are sent by applications, in their replies; send a text"
        )


def press_of(request: pb.ClickRequest | pb.DeliverPressRequest) -> NewPress:
    if not 0 < len(request.action) <= MAX_ID:
        raise InvalidInput("action", f"action has {len(request.action)} characters; 1 to {MAX_ID}")
    if len(request.inputs) > MAX_INPUTS:
        raise InvalidInput("inputs", f"{len(request.inputs)} inputs; at most {MAX_INPUTS}")
    return NewPress(
        id=id_of(request.press, "press"),
        message=id_of(request.message, "message"),
        action=request.action,
        revision=request.revision,
        author=_sender_of(request),
        inputs=dict(request.inputs),
    )


def _sender_of(request: pb.ClickRequest | pb.DeliverPressRequest) -> str:
    """Of the card; empty: it is not said, or is whom the press is brought to."""
    if isinstance(request, pb.DeliverPressRequest) or not request.sender:
        return ""
    return check_client_id(request.sender, "sender")


def page_size_of(size: int, *, usual: int, most: int) -> int:
    if size > most:
        raise InvalidInput("page_size", f"page_size is {size}; at most {most} are listed")
    return size or usual


def device_of(device: str) -> str:
    return check_slug(device, "device")
