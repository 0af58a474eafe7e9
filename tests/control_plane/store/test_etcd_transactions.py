"""The hand-written TxnRequest against etcd's protobuf classes."""

from __future__ import annotations

import pytest
from etcd3aio import _protobuf as etcd
from hypothesis import given
from hypothesis import strategies as st

from control_plane.keys import prefix_end
from control_plane.store.etcd.messages import TxnResponse
from control_plane.store.etcd.transactions import decode_txn, encode_txn
from control_plane.store.port import (
    MAX_OPERATIONS,
    Compare,
    Delete,
    Get,
    KeyValue,
    Operation,
    Put,
    Target,
    Txn,
    absent,
    unchanged,
)

# Sizes around the places where a length needs one more byte.
sizes = st.sampled_from([1, 2, 60, 126, 127, 128, 129, 250, 16_383, 16_384])
small = st.binary(min_size=1, max_size=40)
keys = small | sizes.map(lambda size: b"k" * size)
values = st.binary(max_size=40) | sizes.map(lambda size: b"v" * size)
revisions = st.integers(min_value=0, max_value=2**63 - 1)
leases = st.integers(min_value=1, max_value=2**63 - 1)
compares = st.builds(
    Compare,
    keys,
    st.sampled_from([Target.CREATE_REVISION, Target.MOD_REVISION, Target.VERSION]),
    revisions,
) | st.builds(Compare, keys, st.just(Target.VALUE), values)
operations = (
    st.builds(Put, keys, values, st.just(0) | leases)
    | st.builds(Get, keys, st.booleans())
    | st.builds(Delete, keys, st.booleans())
    | st.sampled_from([Get(b"", prefix=True), Delete(b"", prefix=True)])
)
txns = st.builds(
    lambda compares, then, otherwise, creates: Txn(
        compares=compares, then=then, otherwise=otherwise, creates=creates
    ),
    st.lists(compares, max_size=6),
    st.lists(operations, max_size=6),
    st.lists(operations, max_size=6),
    st.lists(st.tuples(keys, values), max_size=6),
)


def reference_operation(operation: Operation) -> etcd.RequestOp:
    match operation:
        case Put(key, value, lease):
            return etcd.RequestOp(request_put=etcd.PutRequest(key=key, value=value, lease=lease))
        case Get(key, prefix):
            return etcd.RequestOp(request_range=etcd.RangeRequest(**span(key, prefix)))
        case Delete(key, prefix):
            return etcd.RequestOp(request_delete_range=etcd.DeleteRangeRequest(**span(key, prefix)))


def span(key: bytes, prefix: bool) -> dict[str, bytes]:
    return {"key": key or b"\x00", "range_end": prefix_end(key)} if prefix else {"key": key}


def reference_compare(compare: Compare) -> etcd.Compare:
    name = {Target.CREATE_REVISION: "CREATE", Target.MOD_REVISION: "MOD"}.get(
        compare.target, compare.target.name
    )
    return etcd.Compare(
        result=etcd.Compare.EQUAL,
        target=getattr(etcd.Compare, name),
        key=compare.key,
        **{compare.target.value: compare.operand},
    )


def reference(txn: Txn) -> etcd.TxnRequest:
    txn = txn.expanded()
    return etcd.TxnRequest(
        compare=[reference_compare(c) for c in txn.compares],
        success=[reference_operation(o) for o in txn.then],
        failure=[reference_operation(o) for o in txn.otherwise],
    )


@given(txns)
def test_a_written_request_parses_as_the_message_that_protobuf_would_build(txn: Txn) -> None:
    assert etcd.TxnRequest.FromString(encode_txn(txn).request) == reference(txn)


@given(txns)
def test_a_request_says_whether_it_writes_and_which_branch_reads(txn: Txn) -> None:
    encoded = encode_txn(txn)
    whole = txn.expanded()
    every = (*whole.then, *whole.otherwise)
    assert encoded.writes == any(not isinstance(o, Get) for o in every)
    assert encoded.then_reads == any(isinstance(o, Get) for o in txn.then)
    assert encoded.otherwise_reads == any(isinstance(o, Get) for o in whole.otherwise)


key_values = st.builds(
    lambda key, value, create, mod, version, lease: KeyValue(
        key=key,
        value=value,
        create_revision=create,
        mod_revision=mod,
        version=version,
        lease=lease,
    ),
    small,
    st.binary(max_size=200),
    revisions,
    revisions,
    revisions,
    revisions,
)


def header(revision: int) -> etcd.RangeResponse:
    """As etcd fills it: the ids are 64 bits, the highest one often set."""
    return etcd.TxnResponse().header.__class__(
        cluster_id=2**64 - 1, member_id=2**63, revision=revision, raft_term=7
    )


def response_operation(operation: Operation, found: list[KeyValue]) -> etcd.ResponseOp:
    match operation:
        case Put():
            return etcd.ResponseOp(response_put=etcd.PutResponse(header=header(9)))
        case Delete():
            return etcd.ResponseOp(
                response_delete_range=etcd.DeleteRangeResponse(header=header(9), deleted=3)
            )
        case Get():
            answer = etcd.ResponseOp(response_range=etcd.RangeResponse(header=header(9)))
            for kv in found:
                answer.response_range.kvs.add(
                    **{name: getattr(kv, name) for name in KeyValue._fields}
                )
            return answer


@given(
    st.lists(st.tuples(operations, st.lists(key_values, max_size=3)), max_size=6),
    st.booleans(),
    st.integers(min_value=1, max_value=2**63 - 1),
)
def test_a_response_is_read_as_protobuf_reads_it(
    branch: list[tuple[Operation, list[KeyValue]]], succeeded: bool, revision: int
) -> None:
    ran = [operation for operation, _ in branch]
    other = [Get(b"never-read")]
    txn = Txn(then=ran, otherwise=other) if succeeded else Txn(then=other, otherwise=ran)
    response = TxnResponse(
        header=header(revision),
        succeeded=succeeded,
        responses=[response_operation(operation, found) for operation, found in branch],
    )
    result = decode_txn(response.SerializeToString(), txn, encode_txn(txn))
    assert (result.succeeded, result.revision) == (succeeded, revision)
    assert [list(found) for found in result.results] == [
        found if isinstance(operation, Get) else [] for operation, found in branch
    ]


@given(
    st.lists(
        st.tuples(small, st.lists(key_values, max_size=1)), max_size=5, unique_by=lambda t: t[0]
    ),
    st.booleans(),
)
def test_what_a_refused_create_found_comes_before_what_else_was_read(
    created: list[tuple[bytes, list[KeyValue]]], succeeded: bool
) -> None:
    txn = Txn(creates=[(key, b"v") for key, _ in created], then=[Put(b"t", b"")])
    ran = txn.expanded().then if succeeded else txn.expanded().otherwise
    response = TxnResponse(
        header=header(3),
        succeeded=succeeded,
        responses=[
            response_operation(operation, found)
            for operation, found in zip(ran, [found for _, found in created] + [[]], strict=False)
        ],
    )
    result = decode_txn(response.SerializeToString(), txn, encode_txn(txn))
    expected = [[]] if succeeded else [found for _, found in created]
    assert [list(found) for found in result.results] == expected


def test_an_answer_that_is_no_transaction_is_refused() -> None:
    txn = Txn(then=[Put(b"a", b"1")])
    with pytest.raises(ValueError, match="without a header"):
        decode_txn(b"", txn, encode_txn(txn))


@pytest.mark.parametrize(
    "txn",
    [
        pytest.param(
            Txn(compares=[absent(b"%d" % i) for i in range(MAX_OPERATIONS + 1)]),
            id="one-compare-too-many",
        ),
        pytest.param(
            Txn(then=[Get(b"%d" % i) for i in range(MAX_OPERATIONS + 1)]),
            id="one-operation-too-many",
        ),
        pytest.param(
            Txn(otherwise=[Get(b"%d" % i) for i in range(MAX_OPERATIONS + 1)]),
            id="one-else-operation-too-many",
        ),
        pytest.param(
            Txn(
                compares=[unchanged(b"c", 1)],
                creates=[(b"%d" % i, b"") for i in range(MAX_OPERATIONS)],
            ),
            id="one-compare-too-many-beside-creates",
        ),
        pytest.param(Txn(then=[Put(b"a", b"v" * 1_500_000)]), id="more-bytes-than-etcd-takes"),
    ],
)
def test_a_transaction_that_etcd_would_refuse_for_its_size_is_not_sent(txn: Txn) -> None:
    with pytest.raises(ValueError, match="a transaction of"):
        encode_txn(txn)


def test_the_longest_lists_are_allowed() -> None:
    keys = [b"%d" % i for i in range(MAX_OPERATIONS)]
    txn = Txn(
        compares=[unchanged(key, 7) for key in keys],
        then=[Put(key, b"") for key in keys],
        otherwise=[Get(key) for key in keys],
    )
    assert etcd.TxnRequest.FromString(encode_txn(txn).request) == reference(txn)
