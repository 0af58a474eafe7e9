"""Messages with every field set, for whatever shows them."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def filled(message: Message, *, text: str, name: str, depth: int = 0) -> Any:
    """The message with every field set: `text` in those for people, `name` in ids and names, two
    of whatever is repeated."""
    for field in message.DESCRIPTOR.fields:
        many = field.is_repeated
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth > 3 or (many and field.message_type.GetOptions().map_entry):
                continue
            if field.message_type.full_name.startswith("google.protobuf."):
                if field.message_type.name in ("Timestamp", "Duration"):
                    getattr(message, field.name).seconds = 1_795_000_000
                continue
            target = getattr(message, field.name)
            for one in (target.add(), target.add()) if many else (target,):
                filled(one, text=text, name=name, depth=depth + 1)
            continue
        if field.type == FieldDescriptor.TYPE_STRING:
            value: Any = name if field.name.endswith(("id", "name")) else text
            if field.name.endswith("_json") or field.name in ("spec", "before", "after"):
                value = json.dumps({"minutes": name})
        elif field.type == FieldDescriptor.TYPE_BOOL:
            value = True
        elif field.type == FieldDescriptor.TYPE_ENUM:
            value = field.enum_type.values[-1].number
        elif field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
            value = 0.875
        elif field.type == FieldDescriptor.TYPE_BYTES:
            value = b"x"
        else:
            value = 1_234_567
        if field.containing_oneof is not None and message.WhichOneof(field.containing_oneof.name):
            continue
        if many:
            getattr(message, field.name).extend([value, value])
        else:
            setattr(message, field.name, value)
    return message
