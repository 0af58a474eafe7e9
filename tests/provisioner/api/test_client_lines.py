"""Lines of a batch are worked on a few at a time, and others go on in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api import client_lines


@given(st.lists(st.integers(1, 5_000), max_size=60))
def test_each_line_once_in_order_and_few_of_them_at_a_time(sizes):
    lines = [b"x" * size for size in sizes]
    few = list(client_lines._few(lines))
    assert [number for some in few for number in some] == list(range(len(lines)))
    for some in few:
        assert 1 <= len(some) <= client_lines.LINES
        assert len(some) == 1 or sum(sizes[number] for number in some) <= client_lines.BYTES


async def test_reading_and_writing_wait_for_a_turn_before_each_few():
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1

    lines = [b'{"clientId": "c-%d"}' % number for number in range(99)] + [b"nope"]
    read = await client_lines._read_lines(lines, turn)
    assert [one.client_id for one in read[:99]] == [f"c-{number}" for number in range(99)]
    assert isinstance(read[99], pb.ProvisionResult)
    assert turns == 13
    failure = pb.ClientError(code="RESOURCE_EXHAUSTED", message="later")
    written = await client_lines._written([None] * 100, lines, failure, turn)
    assert turns == 26
    assert written.count(b"\n") == 100
    assert written.count(b"RESOURCE_EXHAUSTED") == 99


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        pytest.param(b"a\nb", 2, id="no-break-at-the-end"),
        pytest.param(b"a\r\n\r\n b \n\n", 2, id="empty-lines-are-none"),
        pytest.param(b"a\n" * client_lines.MOST_LINES, client_lines.MOST_LINES, id="most"),
        pytest.param(b"a\n\n" * client_lines.MOST_LINES, client_lines.MOST_LINES, id="apart"),
    ],
)
def test_lines_that_are_taken(body, lines):
    assert len(client_lines.split_lines(body)) == lines


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(b"", "0 lines", id="empty"),
        pytest.param(b" \n\t\n", "0 lines", id="blank"),
        pytest.param(b"a\n" * (client_lines.MOST_LINES + 1), "5,001 lines", id="too-many"),
        pytest.param(b"a" + b"\n" * 10_001, "10,001 line breaks", id="breaks-alone"),
    ],
)
def test_lines_that_are_refused(body, told):
    with pytest.raises(InvalidInput, match=f"the body has {told}; send 1 to 5,000 lines"):
        client_lines.split_lines(body)


def test_a_megabyte_of_line_breaks_is_not_split():
    class Unsplit(bytes):
        def split(self, *arguments: object, **more: object) -> list[bytes]:
            raise AssertionError("split")

    with pytest.raises(InvalidInput):
        client_lines.split_lines(Unsplit(b"\n" * client_lines.MOST_BYTES))


def test_a_line_says_what_its_client_is():
    read = client_lines._read_line(b'{"clientId": "c", "attributes": {"kind": "bank"}}')
    assert isinstance(read, pb.ClientOrigin)
    assert dict(read.attributes) == {"kind": "bank"}
    for faulty in (b'["kind"]', b'{"kind": 5}', b'{"kind": null}', b'"kind"'):
        line = b'{"clientId": "c", "attributes": %s}' % faulty
        assert isinstance(client_lines._read_line(line), pb.ProvisionResult), faulty
