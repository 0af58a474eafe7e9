"""Where a number stands in what was sent, in whatever form: the judge of what legs may show."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote_to_bytes

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}")
DIGITS = 9  # of its end: with any prefix it is the same number


def forms(number: str) -> list[str]:
    """Ways to write one, E.164: as people, URIs and tokens do."""
    plain = number.removeprefix("+")
    national = f"0{plain[2:]}"
    spaced = f"+{plain[:2]} {plain[2:4]} {plain[4:8]} {plain[8:]}"
    return [
        number, plain, national, f"00{plain}", spaced, spaced.replace(" ", "-"),
        f"({national[:3]}) {national[3:7]}.{national[7:]}", f"tel:{number}", quote(number, safe=""),
        "".join(f"%{ord(one):02x}" for one in plain), ".".join(plain), " ".join(plain),
        base64.b64encode(plain.encode()).decode(), base64.b64encode(f"x{number}".encode()).decode(),
        base64.urlsafe_b64encode(f'{{"orig":{{"tn":"{plain}"}}}}'.encode()).decode().rstrip("="),
        plain.encode().hex(),
    ]  # fmt: skip


def found(data: bytes, number: str) -> str | None:
    """What holds the number, decoded; None: nothing does."""
    wanted = number.removeprefix("+")[-DIGITS:].encode()
    for one in _readings(data):
        for line in one.splitlines():
            if wanted in re.sub(rb"[^0-9]", b"", line):
                return line.decode("latin-1")
    return None


def _readings(data: bytes) -> Iterator[bytes]:
    yield data
    yield unquote_to_bytes(data)
    for piece in _BASE64.findall(data):
        for skipped in range(4):
            text = piece[skipped:].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
            text = text[: len(text) // 4 * 4 + (len(text) % 4 if len(text) % 4 != 1 else 0)]
            try:
                yield base64.b64decode(text + b"=" * (-len(text) % 4))
            except ValueError:
                continue
    for piece in re.findall(rb"(?:[0-9a-fA-F]{2}){8,}", data):
        yield bytes.fromhex(piece.decode())
