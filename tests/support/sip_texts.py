"""SIP messages for tests, written by field."""

from __future__ import annotations

from collections.abc import Mapping

OFFER = (
    "v=0\r\no=anna 7 7 IN IP4 192.0.2.1\r\ns=call of anna\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
)


def request(
    method: str = "INVITE",
    target: str = "sip:+442079460201@127.0.0.1",
    *,
    body: str = "",
    kind: str = "application/sdp",
    without: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
    **fields: str,
) -> bytes:
    """A request. fields: by name, `_` for `-`, in place of the usual ones; more: whole lines."""
    usual: Mapping[str, str] = {
        "Via": "SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bK776asdhds",
        "Max-Forwards": "70",
        "From": "<sip:+442079460301@127.0.0.1>;tag=1928301774",
        "To": f"<{target}>",
        "Call-ID": "a84b4c76e66710",
        "CSeq": f"314159 {method}",
        "Contact": "<sip:+442079460301@127.0.0.1:5061>",
        **({"Content-Type": kind} if body else {}),
        "Content-Length": str(len(body.encode())),
    }
    given = {name.replace("_", "-").title().replace("Id", "ID"): one for name, one in
             fields.items()}  # fmt: skip
    given = {("CSeq" if name == "Cseq" else name): one for name, one in given.items()}
    kept = {name: one for name, one in (usual | given).items() if name not in without}
    lines = [f"{method} {target} SIP/2.0", *(f"{name}: {one}" for name, one in kept.items()), *more]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()
