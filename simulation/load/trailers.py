"""Trailers: which grpc-status a header block carries.

As much of HPACK (RFC 7541) as that needs, and no more: this works only for a peer that was
told to keep no table (SETTINGS_HEADER_TABLE_SIZE = 0), where every block can be read without
those before it. A block that needs a table says None, as does one without a status.
"""

from __future__ import annotations

NAME = "grpc-status"
STATUSES = range(17)  # OK to UNAUTHENTICATED
_STATIC_NAMES = 61

# RFC 7541, appendix B, for the letters of the name and for digits.
_HUFFMAN = {
    "0": "00000", "1": "00001", "2": "00010", "3": "011001", "4": "011010", "5": "011011",
    "6": "011100", "7": "011101", "8": "011110", "9": "011111", "-": "010110", "a": "00011",
    "c": "00100", "g": "100110", "p": "101011", "r": "101100", "s": "01000", "t": "01001",
    "u": "101101",
}  # fmt: skip


def huffman(text: str) -> bytes:
    """`text` in HPACK's Huffman code, for the letters of grpc-status and digits."""
    bits = "".join(_HUFFMAN[letter] for letter in text)
    bits += "1" * (-len(bits) % 8)  # padded with the start of the end-of-string code
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


_NAMES = {(False, NAME.encode()), (True, huffman(NAME))}
_VALUES = {(False, str(status).encode()): status for status in STATUSES} | {
    (True, huffman(str(status))): status for status in STATUSES
}


def grpc_status(block: bytes) -> int | None:
    """The status in a header block, 0 to 16. None: there is none, it is not one that gRPC
    knows, or the block cannot be read."""
    place, found = 0, None
    try:
        while place < len(block):
            first = block[place]
            if first & 0x80:  # a field of a table
                number, place = _integer(block, place, 7)
                if not 0 < number <= _STATIC_NAMES:
                    return None
            elif first & 0xE0 == 0x20:  # the peer's table has a new size
                size, place = _integer(block, place, 5)
                if size:
                    return None
            else:  # a literal; with indexing, the bits before the name's number are 01
                number, place = _integer(block, place, 6 if first & 0x40 else 4)
                if number > _STATIC_NAMES:
                    return None
                name = None
                if not number:
                    name, place = _text(block, place)
                value, place = _text(block, place)
                if name in _NAMES:
                    found = _VALUES.get(value)
    except IndexError:  # the block ends within a field
        return None
    return found


def _integer(block: bytes, place: int, bits: int) -> tuple[int, int]:
    """A number with a prefix of `bits` bits (RFC 7541, 5.1), and the place after it."""
    limit = (1 << bits) - 1
    value = block[place] & limit
    place += 1
    if value < limit:
        return value, place
    shift = 0
    while True:
        byte = block[place]
        place += 1
        value += (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place


def _text(block: bytes, place: int) -> tuple[tuple[bool, bytes], int]:
    """Whether a text is in Huffman code and its bytes as sent; and the place after it."""
    coded = bool(block[place] & 0x80)
    size, place = _integer(block, place, 7)
    if place + size > len(block):
        raise IndexError
    return (coded, block[place : place + size]), place + size
