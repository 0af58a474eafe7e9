"""Handling: how a message wants to be delivered, as its sender said; kept with it. Pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class MessageClass(StrEnum):
    """What a message is for. `code` and `secret` go over the channel that their sender names and
    no other: one that comes where nobody asked for it is an attack's."""

    CODE = "code"
    SECRET = "secret"
    NOTICE = "notice"
    CHAT = "chat"


NEVER_ELSEWHERE = frozenset({MessageClass.CODE, MessageClass.SECRET})


class Urgency(StrEnum):
    NORMAL = "normal"
    URGENT = "urgent"  # not held back by quiet hours


class Handling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """channel: by its name, the only one that may be taken; empty: any. expires_ms: Unix ms, after
    that it is not worth delivering."""

    message_class: MessageClass = MessageClass.CHAT
    urgency: Urgency = Urgency.NORMAL
    channel: str = ""
    expires_ms: int | None = None


USUAL = Handling()
_decoder = msgspec.json.Decoder(Handling)


def encoded(handling: Handling) -> str:
    """As it is kept; empty where nothing is unusual."""
    return "" if handling == USUAL else msgspec.json.encode(handling).decode()


def decoded(text: str) -> Handling:
    """What `encoded` made."""
    return _decoder.decode(text) if text else USUAL
