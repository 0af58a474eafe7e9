"""Texts and ids as long as they may be, and messages filled with them."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from tests.support.filled_messages import filled

CLIENT = "device-" + "c0ffee0123456789" * 3 + "-endofid"  # 64 characters, no place to break
UNIT = "eu-west-" + "rack" * 12 + "-endunit"  # 63
TEXT = "line one says what happened, and why the reader should care about it at some length"


def filled_with_long_texts(message: Message) -> Any:
    """Every field set, texts and ids as long as they may be."""
    return filled(message, text=TEXT, name=CLIENT)
