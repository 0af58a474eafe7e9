"""etcd's protobuf messages, as far as this adapter touches them, and the values made of them.

The one module that reaches into etcd3aio's generated code: the package offers services, and
keeps its messages in `_protobuf`. pyproject.toml pins its version for that reason.
"""

from __future__ import annotations

from typing import Any

from etcd3aio._protobuf import (
    LeaseKeepAliveResponse,
    TxnResponse,
    WatchCreateRequest,
    WatchRequest,
    WatchResponse,
)

from control_plane.store.port import Event, KeyValue

__all__ = [
    "LeaseKeepAliveResponse",
    "TxnResponse",
    "WatchCreateRequest",
    "WatchRequest",
    "WatchResponse",
    "event",
    "first_key",
    "key_value",
]

_new = tuple.__new__
_DELETE = 1  # mvccpb.Event.EventType


def first_key(prefix: bytes) -> bytes:
    """The first key of a range over `prefix`; with the empty prefix, of the whole key space
    (etcd refuses an empty key)."""
    return prefix or b"\x00"


def key_value(kv: Any) -> KeyValue:
    """The KeyValue that an mvccpb.KeyValue stands for."""
    # The class itself takes its fields by way of a function in Python, at twice the time.
    return _new(
        KeyValue,
        (kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease),
    )


def event(message: Any) -> Event:
    """The Event that an mvccpb.Event stands for."""
    return Event(kv=key_value(message.kv), deleted=message.type == _DELETE)
