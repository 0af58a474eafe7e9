"""A session description written anew for the other leg: who made it is not in it. Pure.

Of what one side says of its media the other one needs addresses, ports, codecs and directions, and
gets these alone: user and name of the session are neutral, its ids are the leg's own, information,
URIs, mail addresses and telephone numbers (`i= u= e= p=`) are left out, attributes and their values
come from lists. So is what could hold a number in a value that is nobody's: sizes are rounded,
payload types are those that have a meaning. Addresses of media stay: it goes between the gateways.

The grammar is RFC 8866's, offers and answers are RFC 3264's. SRTP is refused: its keys would have
to be copied as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

MOST_BYTES = 16 << 10
MOST_LINES = 512
MOST_MEDIA = 8
MOST_FORMATS = 32

DIRECTIONS: Final = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})
PASSED: Final = frozenset({"audio", "video"})  # the rest is offered as refused, in its place
KINDS: Final = PASSED | {"text", "image", "application", "message"}
PLAIN: Final = frozenset({"RTP/AVP", "RTP/AVPF"})
PROTOCOLS: Final = PLAIN | {
    "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF", "udptl", "UDPTL", "TCP/MSRP",
    "TCP/TLS/MSRP", "TCP/BFCP", "UDP/BFCP", "UDP/DTLS/SCTP", "DTLS/SCTP", "TCP",
}  # fmt: skip
# RFC 3551, 6: payload types that mean something by themselves, and those that `rtpmap` explains.
STATIC: Final = frozenset({0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 25, 26, 28,
                           31, 32, 33, 34})  # fmt: skip
DYNAMIC: Final = range(96, 128)
CODECS: Final = {
    name.lower(): name
    for name in (
        "PCMU", "PCMA", "G722", "G723", "G726-16", "G726-24", "G726-32", "G726-40", "G728", "G729",
        "GSM", "iLBC", "speex", "opus", "AMR", "AMR-WB", "EVS", "CN", "telephone-event", "L16",
        "H261", "H263", "H263-1998", "H264", "H265", "VP8", "VP9", "AV1",
    )
}  # fmt: skip
RATES: Final = frozenset({8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
                          90_000})  # fmt: skip


@dataclass(frozen=True, slots=True)
class SdpRefused:
    """why: what is wrong with the description, for people; nothing of it is quoted."""

    why: str


@dataclass(slots=True)
class _Media:
    kind: str
    port: int
    protocol: str
    formats: list[int]
    address: str = ""
    lines: list[str] = field(default_factory=list)
    direction: str = ""
    mapped: set[int] = field(default_factory=set)


class _WrongSdpError(Exception):
    """Of which SdpRefused is made."""


def rewritten(text: str, *, session_id: int, version: int) -> str | SdpRefused:
    """The description for the other side, lines ended by CRLF. session_id: of the leg that gets it,
    the same all along; version: grows with each description of that leg."""
    try:
        return _rewritten(text, session_id, version)
    except _WrongSdpError as wrong:
        return SdpRefused(str(wrong))


def _rewritten(text: str, session_id: int, version: int) -> str:
    address, direction, media = _read(text)
    if not any(one.port for one in media if one.kind in PASSED):
        if any("SAVP" in one.protocol for one in media):
            raise _WrongSdpError("it offers SRTP; media is passed as RTP/AVP")
        if not any(one.kind in PASSED and one.protocol in PLAIN for one in media):
            raise _WrongSdpError("it has no audio over RTP/AVP")
    first = address or next((one.address for one in media if one.address), "")
    if not first or any(not (one.address or address) for one in media if one.port):
        raise _WrongSdpError("it does not say where media goes: c= is missing")
    lines = ["v=0", f"o=- {session_id} {version} IN {_typed(first)}", "s=-"]
    if address:
        lines.append(f"c=IN {_typed(address)}")
    lines.append("t=0 0")
    if direction:
        lines.append(f"a={direction}")
    for one in media:
        lines += _media_lines(one)
    return "\r\n".join(lines) + "\r\n"


def _read(text: str) -> tuple[str, str, list[_Media]]:
    """Connection and direction of the session, and its media."""
    if len(text) > MOST_BYTES:
        raise _WrongSdpError(f"it has more than {MOST_BYTES:,} bytes")
    lines = [one for one in text.replace("\r\n", "\n").split("\n") if one]
    if len(lines) > MOST_LINES:
        raise _WrongSdpError(f"it has more than {MOST_LINES} lines")
    if not lines or lines[0].strip() != "v=0":
        raise _WrongSdpError("it does not begin with v=0")
    address = direction = ""
    media: list[_Media] = []
    for line in lines[1:]:
        if len(line) < 2 or line[1] != "=":
            raise _WrongSdpError("a line of it is not TYPE=VALUE")
        kind, value = line[0], line[2:].strip()
        if kind == "m":
            if len(media) == MOST_MEDIA:
                raise _WrongSdpError(f"it has more than {MOST_MEDIA} media")
            media.append(_media(value))
        elif kind == "c":
            if media:
                media[-1].address = _address(value)
            else:
                address = _address(value)
        elif kind == "a":
            if media:
                _attribute(media[-1], value)
            elif value in DIRECTIONS:
                direction = value
        elif kind == "b" and media and value.startswith("AS:"):
            kbits = _number(value[3:], most=99_999)
            if kbits is not None and kbits >= 8:
                media[-1].lines.insert(0, f"b=AS:{kbits if kbits < 100 else kbits // 10 * 10}")
    if not media:
        raise _WrongSdpError("it has no media")
    return address, direction, media


def _media(value: str) -> _Media:
    words = value.split()
    if len(words) < 4 or words[0] not in KINDS or words[2] not in PROTOCOLS:
        raise _WrongSdpError("it has media of a kind that is not known")
    port = _number(words[1].partition("/")[0], most=65_535)
    if port is None:
        raise _WrongSdpError("a port of it is none")
    if words[0] not in PASSED or words[2] not in PLAIN:
        return _Media(words[0], 0, words[2], [])
    read = [_number(word, most=127) for word in words[3 : 3 + MOST_FORMATS]]
    formats = [one for one in read if one is not None and (one in STATIC or one in DYNAMIC)]
    return _Media(words[0], port, words[2], list(dict.fromkeys(formats)))


def _media_lines(media: _Media) -> Sequence[str]:
    formats = [one for one in media.formats if one in STATIC or one in media.mapped]
    port = media.port if formats else 0
    shown = " ".join(str(one) for one in formats) or "0"
    lines = [f"m={media.kind} {port} {media.protocol} {shown}"]
    if media.address:
        lines.append(f"c=IN {_typed(media.address)}")
    if not port:
        return lines
    kept = {str(one) for one in formats}
    for line in media.lines:
        name, _, rest = line.partition(":")
        if name not in ("a=rtpmap", "a=fmtp") or rest.split(" ", 1)[0] in kept:
            lines.append(line)
    if media.direction:
        lines.append(f"a={media.direction}")
    return lines


def _attribute(media: _Media, value: str) -> None:
    """One `a=` of a medium, where it is on the list."""
    name, _, rest = value.partition(":")
    if value in DIRECTIONS:
        media.direction = value
    elif value == "rtcp-mux":
        media.lines.append("a=rtcp-mux")
    elif name in ("ptime", "maxptime"):
        ms = _number(rest, most=200)
        if ms is not None and ms >= 5 and ms % 5 == 0:
            media.lines.append(f"a={name}:{ms}")
    elif name == "rtcp":
        port = _number(rest.split(" ", 1)[0], most=65_535)
        if port:
            media.lines.append(f"a=rtcp:{port}")
    elif name == "rtpmap":
        _rtpmap(media, rest)
    elif name == "fmtp":
        _fmtp(media, rest)


_RTPMAP = re.compile(r"(\d{1,3}) ([A-Za-z0-9-]{2,20})/(\d{4,5})(?:/([12]))?\Z")


def _rtpmap(media: _Media, rest: str) -> None:
    read = _RTPMAP.match(rest)
    if read is None:
        return
    payload, codec, rate = int(read[1]), CODECS.get(read[2].lower()), int(read[3])
    if payload not in media.formats or codec is None or rate not in RATES:
        return
    media.mapped.add(payload)
    media.lines.append(f"a=rtpmap:{payload} {codec}/{rate}" + (f"/{read[4]}" if read[4] else ""))


def _flag(value: str) -> str | None:
    return value if value in ("0", "1") else None


def _yes(value: str) -> str | None:
    return value if value in ("yes", "no") else None


def _of(*known: str) -> Callable[[str], str | None]:
    return lambda value: value if value in known else None


def _rounded(value: str) -> str | None:
    bits = _number(value, most=510_000)
    return None if bits is None or bits < 4_000 else str(bits // 1_000 * 1_000)


def _modes(value: str) -> str | None:
    read = [_number(one, most=8) for one in value.split(",")[:9]]
    modes = sorted({one for one in read if one is not None})
    return ",".join(str(one) for one in modes) or None


_LEVELS = _of(  # RFC 6184, 8.1: baseline, main and high, at the levels that telephones have
    *(f"{profile}{level}" for profile in ("42e0", "4200", "4d00", "4d40", "6400", "640c")
      for level in ("0a", "0b", "0c", "0d", "14", "15", "16", "1e", "1f", "20", "28", "29", "2a"))
)  # fmt: skip
_PARAMETERS: Final[dict[str, Callable[[str], str | None]]] = {
    "annexb": _yes, "octet-align": _flag, "useinbandfec": _flag, "usedtx": _flag, "cbr": _flag,
    "stereo": _flag, "sprop-stereo": _flag, "level-asymmetry-allowed": _flag, "crc": _flag,
    "packetization-mode": _of("0", "1", "2"), "mode": _of("20", "30"), "mode-set": _modes,
    "mode-change-period": _of("1", "2"), "mode-change-capability": _of("1", "2"),
    "mode-change-neighbor": _flag, "max-red": _of("0", "20", "40", "60", "80", "100"),
    "minptime": _of("3", "5", "10", "20", "40", "60"), "bitrate": _rounded,
    "maxplaybackrate": _of("8000", "12000", "16000", "24000", "48000"),
    "sprop-maxcapturerate": _of("8000", "12000", "16000", "24000", "48000"),
    "maxaveragebitrate": _rounded, "profile-level-id": lambda value: _LEVELS(value.lower()),
}  # fmt: skip


def _fmtp(media: _Media, rest: str) -> None:
    word, _, said = rest.partition(" ")
    payload = _number(word, most=127)
    if payload is None or payload not in media.formats:
        return
    if re.match(r"0-1[156]\b", said.strip()):  # the keys of a telephone, RFC 4733
        media.lines.append(f"a=fmtp:{payload} {said.strip()[:4]}")
        return
    kept: dict[str, str] = {}
    for one in said.split(";")[:16]:
        name, _, value = one.strip().partition("=")
        check = _PARAMETERS.get(name)
        checked = check(value) if check is not None else None
        if checked is not None:
            kept.setdefault(name, checked)
    if kept:
        shown = ";".join(f"{name}={value}" for name, value in kept.items())
        media.lines.append(f"a=fmtp:{payload} {shown}")


def _number(text: str, *, most: int) -> int | None:
    if not (0 < len(text) <= 6 and text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if number <= most else None


def _address(value: str) -> str:
    """Of `IN IP4 …`. Names are no addresses: they could say whose they are."""
    words = value.split()
    if len(words) != 3 or words[0] != "IN" or words[1] not in ("IP4", "IP6"):
        raise _WrongSdpError("an address of it is not IN IP4 or IN IP6")
    try:
        read = ip_address(words[2])
    except ValueError:
        raise _WrongSdpError("an address of it is none; names are not passed on") from None
    if read.version != int(words[1][2]) or read.is_multicast:
        raise _WrongSdpError("an address of it is not of one host")
    if isinstance(read, IPv6Address) and read.scope_id:
        raise _WrongSdpError("an address of it has a scope")
    return str(read)


def _typed(address: str) -> str:
    return f"{'IP4' if isinstance(ip_address(address), IPv4Address) else 'IP6'} {address}"
