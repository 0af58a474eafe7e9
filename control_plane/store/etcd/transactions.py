"""Txn to etcd's TxnRequest bytes, and its response bytes to TxnResult.

The hot path of the whole product: a batch of 100 creates is 300 small messages, which cost
3.8 us a key to build and serialise as protobuf objects and 0.6 us to write down directly. So
requests are written by hand, around the keys and values, and of a response only what somebody
asked for is read. Pure; property tests hold it to the protobuf classes.

Wire format: https://protobuf.dev/programming-guides/encoding/ and etcd's rpc.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

from control_plane.keys import prefix_end
from control_plane.store.etcd.messages import TxnResponse, first_key, key_value
from control_plane.store.port import (
    MAX_OPERATIONS,
    MAX_REQUEST_BYTES,
    Compare,
    Create,
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    Target,
    Txn,
    TxnResult,
)

_THEN, _OTHERWISE = b"\x12", b"\x1a"  # TxnRequest.success = 2, failure = 3
_CREATE_REVISION = Target.CREATE_REVISION  # a global is looked up faster than a member
_NO_KEYS: tuple[KeyValue, ...] = ()


class EncodedTxn(NamedTuple):
    """A TxnRequest, and what must be known of it to send it and to read its answer."""

    request: bytes
    writes: bool  # some operation, in either list, can change something
    then_reads: bool  # `then` has a Get
    otherwise_reads: bool  # `otherwise` has one


def encode_txn(txn: Txn) -> EncodedTxn:
    """The TxnRequest. Raises ValueError where etcd would refuse its size."""
    compares, then, otherwise, creates = txn.compares, txn.then, txn.otherwise, txn.creates
    if max(len(compares), len(then), len(otherwise)) + len(creates) > MAX_OPERATIONS:
        raise ValueError(
            f"a transaction of {len(compares)} compares, {len(then)} operations, "
            f"{len(otherwise)} else-operations and {len(creates)} creates; each list with the "
            f"creates may have {MAX_OPERATIONS}"
        )
    parts: list[bytes] = []
    _write_creates(parts, creates)
    _write_compares(parts, compares)
    then_writes, then_reads = _write_operations(parts, then, _THEN)
    otherwise_writes, otherwise_reads = _write_operations(parts, otherwise, _OTHERWISE)
    request = b"".join(parts)
    if len(request) > MAX_REQUEST_BYTES:
        raise ValueError(
            f"a transaction of {len(request)} bytes; at most {MAX_REQUEST_BYTES} are allowed"
        )
    return EncodedTxn(
        request,
        then_writes or otherwise_writes or bool(creates),
        then_reads,
        otherwise_reads or bool(creates),
    )


def decode_txn(response: bytes, txn: Txn, encoded: EncodedTxn) -> TxnResult:
    """The result that a TxnResponse stands for."""
    revision, succeeded = _head(response)
    branch = txn.then if succeeded else txn.otherwise
    created = len(txn.creates)
    results: Sequence[Sequence[KeyValue]]
    if encoded.then_reads if succeeded else encoded.otherwise_reads:
        answers = TxnResponse.FromString(response).responses
        if len(answers) != created + len(branch):
            raise ValueError(f"etcd answered {len(answers)} of {created + len(branch)} operations")
        # Operations that do not read answer without keys.
        found = [[key_value(kv) for kv in answer.response_range.kvs] for answer in answers]
        results = found[created:] if succeeded else found
    else:
        results = (_NO_KEYS,) * len(branch)
    return TxnResult(succeeded=succeeded, revision=revision, results=results)


def _varint(value: int) -> bytes:
    """`value` as a base-128 varint; a negative one as its 64-bit two's complement."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


# Field tags of Compare: result=EQUAL is the default and left out, then target, key and the
# member of target_union that belongs to the target.
_COMPARE_TARGET = {
    Target.VERSION: (b"", b"\x20"),  # target 0 is the default; version = 4
    Target.CREATE_REVISION: (b"\x10\x01", b"\x28"),  # create_revision = 5
    Target.MOD_REVISION: (b"\x10\x02", b"\x30"),  # mod_revision = 6
    Target.VALUE: (b"\x10\x03", b"\x3a"),  # value = 7
}


@lru_cache(maxsize=1024)
def _compare_frame(target: Target, key_size: int, operand: int) -> tuple[bytes, bytes]:
    """What stands before and after the key of a compare with a number."""
    target_field, operand_tag = _COMPARE_TARGET[target]
    after = operand_tag + _varint(operand)
    before = target_field + b"\x1a" + _varint(key_size)
    return b"\x0a" + _varint(len(before) + key_size + len(after)) + before, after


class _FramesBySize(dict[int, bytes]):
    """What stands before a key, by the key's size; made when first needed. A subscript
    costs a third of a call of an lru_cache, and this is looked up 200 times a batch."""

    def __init__(self, make: Callable[[int], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key_size: int) -> bytes:
        frame = self[key_size] = self._make(key_size)
        return frame


_ABSENT = b"\x28\x00"  # create_revision = 0
_ABSENT_FRAMES = _FramesBySize(lambda size: _compare_frame(Target.CREATE_REVISION, size, 0)[0])


@lru_cache(maxsize=4096)
def _create_frames(key_size: int, value_size: int) -> tuple[bytes, bytes, bytes, bytes]:
    """What stands before each of key, key, value, key of a create: its compare, its put and
    its get. The three lists may be written interleaved: only the order within each counts."""
    before, between = _put_frame(_THEN, key_size, value_size)
    return (
        _ABSENT_FRAMES[key_size],
        _ABSENT + before,
        between,
        _GET_FRAMES[_OTHERWISE][key_size],
    )


def _write_creates(parts: list[bytes], creates: Sequence[Create]) -> None:
    for key, value in creates:
        compare, put, between, get = _create_frames(len(key), len(value))
        parts += (compare, key, put, key, between, value, get, key)


def _write_compares(parts: list[bytes], compares: Sequence[Compare]) -> None:
    for key, target, operand in compares:
        if operand == 0 and target is _CREATE_REVISION:  # absent(): most of them
            parts += (_ABSENT_FRAMES[len(key)], key, _ABSENT)
        elif type(operand) is int:
            before, after = _compare_frame(target, len(key), operand)
            parts += (before, key, after)
        else:
            target_field, operand_tag = _COMPARE_TARGET[target]
            body = target_field + _field(b"\x1a", key) + _field(operand_tag, bytes(operand))
            parts.append(_field(b"\x0a", body))


@lru_cache(maxsize=4096)
def _put_frame(list_tag: bytes, key_size: int, value_size: int) -> tuple[bytes, bytes]:
    """What stands before the key, and between key and value, of a put without a lease."""
    between = b"\x12" + _varint(value_size) if value_size else b""
    before = b"\x0a" + _varint(key_size)
    put_size = len(before) + key_size + len(between) + value_size
    put = b"\x12" + _varint(put_size)
    return list_tag + _varint(len(put) + put_size) + put + before, between


def _get_frame(list_tag: bytes, key_size: int) -> bytes:
    """What stands before the key of a get of one key."""
    before = b"\x0a" + _varint(key_size)
    size = len(before) + key_size
    get = b"\x0a" + _varint(size)
    return list_tag + _varint(len(get) + size) + get + before


_GET_FRAMES = {tag: _FramesBySize(partial(_get_frame, tag)) for tag in (_THEN, _OTHERWISE)}


def _write_operations(
    parts: list[bytes], operations: Sequence[Operation], list_tag: bytes
) -> tuple[bool, bool]:
    """Writes one list of RequestOp; says whether it writes, and whether it reads."""
    writes = reads = False
    get_frames = _GET_FRAMES[list_tag]
    for operation in operations:
        if isinstance(operation, Put):
            writes = True
            key, value, lease = operation
            if lease:
                put = _field(b"\x0a", key) + (_field(b"\x12", value) if value else b"")
                put += b"\x18" + _varint(lease)
                parts.append(_field(list_tag, _field(b"\x12", put)))
            else:
                before, between = _put_frame(list_tag, len(key), len(value))
                parts += (before, key, between, value)
        elif not operation.prefix and isinstance(operation, Get):
            reads = True
            key = operation.key
            parts += (get_frames[len(key)], key)
        else:
            key, prefix = operation  # Get or Delete: the same fields 1 and 2 in both
            span = _field(b"\x0a", first_key(key) if prefix else key)
            if prefix:
                span += _field(b"\x12", prefix_end(key))
            deletes = isinstance(operation, Delete)
            writes, reads = writes or deletes, reads or not deletes
            parts.append(_field(list_tag, _field(b"\x1a" if deletes else b"\x0a", span)))
    return writes, reads


def _head(response: bytes) -> tuple[int, bool]:
    """header.revision and succeeded of a TxnResponse, without looking at the responses.

    Fields come in order of their numbers, as etcd (and every protobuf library) writes them:
    header = 1 {cluster_id = 1, member_id = 2, revision = 3, raft_term = 4}, succeeded = 2.
    """
    if response[:1] != b"\x0a":
        raise ValueError("a TxnResponse without a header")
    size, at = _read_varint(response, 1)
    end = at + size
    revision = 0
    while at < end:
        tag = response[at]
        value, at = _read_varint(response, at + 1)
        if tag == 0x18:
            revision = value
    return revision, response[end : end + 2] == b"\x10\x01"


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The varint at `at`, and where the next field starts."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
