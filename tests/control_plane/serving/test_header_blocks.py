"""One more header in every header block, wherever the bytes are cut and whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.serving.header_blocks import PREFACE, HeaderBlocks

DATA, HEADERS, CONTINUATION = 0, 1, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
NAME, VALUE = "homeport-connection", "a-key"
LITERAL = (
    b"\x10"
    + bytes((len(NAME),))
    + NAME.encode()
    + bytes((len(VALUE),))
    + VALUE.encode()
)  # fmt: skip

Frame = tuple[int, int, int, bytes]  # type, flags, stream, payload
FRAMES = st.lists(
    st.tuples(
        st.sampled_from([DATA, HEADERS, CONTINUATION, 2, 3, 4, 6, 8, 99]),
        st.integers(0, 255),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=300),
    ),
    max_size=12,
)


def written(frames: list[Frame]) -> bytes:
    return b"".join(
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
        for kind, flags, stream, payload in frames
    )


def expected(frames: list[Frame]) -> list[Frame]:
    """What a server should get: each block ends with the literal, in a frame of its own."""
    found = []
    for kind, flags, stream, payload in frames:
        ends = kind in (HEADERS, CONTINUATION) and flags & END_HEADERS
        found.append((kind, flags & ~END_HEADERS if ends else flags, stream, payload))
        if ends:
            found.append((CONTINUATION, END_HEADERS, stream, LITERAL))
    return found


def passed(data: bytes, cuts: list[int]) -> bytes:
    blocks, out, last = HeaderBlocks(NAME, VALUE), [], 0
    for cut in [*sorted(cuts), len(data)]:
        out.append(blocks.add(data[last:cut]))
        last = cut
    return b"".join(out)


@given(FRAMES, st.data())
def test_each_block_gets_the_header_wherever_the_bytes_are_cut(
    frames: list[Frame], data: st.DataObject
) -> None:
    sent = PREFACE + written(frames)
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=20))
    assert passed(sent, cuts) == PREFACE + written(expected(frames))


@given(FRAMES)
def test_byte_by_byte_it_is_the_same(frames: list[Frame]) -> None:
    sent = PREFACE + written(frames)
    assert passed(sent, list(range(len(sent)))) == PREFACE + written(expected(frames))


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_what_is_no_http2_loses_nothing_and_raises_nothing(junk: bytes, cuts: list[int]) -> None:
    """The server behind refuses it; what can be taken for header blocks gets headers."""
    out = passed(junk, [cut for cut in cuts if cut <= len(junk)])
    assert out[: len(PREFACE)] == junk[: len(PREFACE)] or len(junk) < len(PREFACE)


def test_nothing_of_a_large_frame_is_kept() -> None:
    blocks = HeaderBlocks(NAME, VALUE)
    blocks.add(PREFACE)
    head = (0xFFFFFF).to_bytes(3, "big") + bytes((DATA, 0)) + (1).to_bytes(4, "big")
    assert blocks.add(head + b"x" * 10) == head + b"x" * 10
    assert blocks.add(b"y" * 100_000) == b"y" * 100_000


@pytest.mark.parametrize(("name", "value"), [("", "v"), ("n" * 127, "v"), ("n", "v" * 127)])
def test_a_header_that_does_not_fit_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="at most"):
        HeaderBlocks(name, value)
