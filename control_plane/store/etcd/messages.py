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
    "events_of",
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


def events_of(response: Any, from_revision: int) -> list[Event]:
    """Those of a WatchResponse at this revision and later. Every server hears of each change, so
    they are made without a call for each."""
    found = []
    for one in response.events:
        kv = one.kv
        revision = kv.mod_revision
        if revision >= from_revision:
            pair = _new(
                KeyValue, (kv.key, kv.value, kv.create_revision, revision, kv.version, kv.lease)
            )
            found.append(_new(Event, (pair, one.type == _DELETE)))
    return found
