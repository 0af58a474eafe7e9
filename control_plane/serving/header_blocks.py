"""HeaderBlocks: one more header in every header block that a client sends over one connection.

Sans-IO: the bytes of an HTTP/2 connection go in as they come, cut anywhere, and come out with a
CONTINUATION frame behind each header block that holds one literal header, never to be indexed.
Such a literal leaves the dynamic tables of both ends as they are (RFC 7541, 6.2.3), so nothing is
decoded, nothing is kept but the place in the current frame, and all other bytes pass as they are,
also those that are no HTTP/2: the server behind sees to them.
"""

from __future__ import annotations

from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER = 9  # bytes: length, 3; type, 1; flags, 1; stream, 4 (RFC 9113, 4.1)
HEADERS, CONTINUATION = 1, 9
END_HEADERS = 4
MOST_NAME = MOST_VALUE = 126  # bytes: lengths then take one byte (RFC 7541, 5.1)


class HeaderBlocks:
    """`add` the bytes of one connection, in order, from its first."""

    __slots__ = ("_after", "_frame", "_head", "_left")

    def __init__(self, name: str, value: str) -> None:
        """name: in lower case, as HTTP/2 has it. Raises ValueError for one that is too long."""
        literal = _literal(name.encode("ascii"), value.encode("ascii"))
        # A CONTINUATION frame but for its stream.
        self._frame = len(literal).to_bytes(3, "big") + bytes((CONTINUATION, END_HEADERS)), literal
        self._left = len(PREFACE)  # bytes that pass before the next frame begins
        self._head = b""  # the beginning of a frame's header
        self._after = b""  # what follows the frame that passes

    def add(self, data: bytes) -> bytes:
        """What the server gets for these bytes."""
        left, after = self._left, self._after
        if len(data) < left:
            self._left = left - len(data)
            return data
        out: list[bytes] = []
        place, kept = left, 0  # data[kept:place] passes as it is
        if self._head:
            data, self._head = self._head + data, b""
        whole = len(data)
        while True:
            if after:
                out += (data[kept:place], after)
                kept, after = place, b""
            if whole - place < FRAME_HEADER:
                break
            flags = data[place + 4]
            if flags & END_HEADERS and data[place + 3] in (HEADERS, CONTINUATION):
                start, literal = self._frame
                after = start + data[place + 5 : place + FRAME_HEADER] + literal
                out += (data[kept : place + 4], bytes((flags ^ END_HEADERS,)))
                kept = place + 5
            length = data[place] << 16 | data[place + 1] << 8 | data[place + 2]
            place += FRAME_HEADER + length
            if place > whole:
                out.append(data[kept:])
                self._left, self._after = place - whole, after
                return b"".join(out)
        self._left, self._after = 0, b""
        self._head = data[place:]
        out.append(data[kept:place])
        return b"".join(out)


def _literal(name: bytes, value: bytes) -> bytes:
    """A literal header that is never indexed, with a new name, not Huffman-coded."""
    if not 0 < len(name) <= MOST_NAME or len(value) > MOST_VALUE:
        raise ValueError(f"a name and a value of at most {MOST_NAME} bytes each")
    return b"\x10" + bytes((len(name),)) + name + bytes((len(value),)) + value
