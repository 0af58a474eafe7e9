"""What a leg may contain: planted numbers do not reach the other one, even of an engine that copies
everything."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from deployment_units.services.telephony.sip.allow_list import leg_b, refusal, told, written
from deployment_units.services.telephony.sip.messages import Fault, Request, read_message
from deployment_units.services.telephony.sip.sdp import rewritten
from tests.support.number_leaks import forms, found
from tests.support.sip_texts import OFFER, request

P1, P2 = "+442079460301", "+442079460302"
V, T = "+442079460101", "+442079460201"
NAMES = leg_b(P2, V, here="127.0.0.1:5060", there="127.0.0.1:5062")

FIELDS = (
    "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion", "History-Info",
    "Identity", "Identity-Info", "Subject", "User-Agent", "Server", "Organization", "Call-Info",
    "Alert-Info", "Reply-To", "In-Reply-To", "Reason", "Warning", "Referred-By", "Refer-To",
    "Geolocation", "Route", "Authorization", "Proxy-Authorization", "X-Caller", "P-Charging-Vector",
    "Session-ID", "User-to-User", "Error-Info", "Also", "Replaces", "Join", "Timestamp", "Date",
)  # fmt: skip
LINES = (
    "i=", "u=https://", "e=", "p=", "s=", "o=", "k=clear:", "a=", "a=tool:", "a=fmtp:101 ",
    "a=fmtp:101 x=", "a=rtpmap:101 ", "b=AS:", "b=X-", "z=", "r=", "t=", "a=crypto:1 x inline:",
    "a=rtcp:", "a=ptime:", "a=fingerprint:sha-1 ", "a=msid:", "m=audio 0 RTP/AVP ",
)  # fmt: skip


def copying(invite: Request, sdp: str) -> str:
    """What an engine would send that copies every field of the first leg into the second."""
    copied = [f"{name}: {one}" for name, values in invite.fields.items() for one in values
              if name not in ("via", "call-id", "cseq", "content-length", "max-forwards", "route",
                              "record-route")]  # fmt: skip
    lines = [
        f"INVITE sip:{P2}@127.0.0.1:5062 SIP/2.0",
        "Via: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bKabc",
        "Max-Forwards: 69", "Call-ID: 5bd1", "CSeq: 9 INVITE",
        f"From: {invite.sender.text};tag=ours", f"To: {invite.to.text}", *copied,
        "Content-Type: application/sdp",
    ]  # fmt: skip
    return "\r\n".join([*lines, "", sdp])


@settings(max_examples=300, deadline=None)
@given(
    form=st.sampled_from(forms(P1)),
    names=st.lists(st.sampled_from(FIELDS), min_size=1, max_size=6, unique=True),
    line=st.sampled_from(LINES),
    where=st.integers(0, OFFER.count("\r\n") - 1),
    display=st.booleans(),
)
def test_whatever_is_planted_on_one_leg_is_not_on_the_other(
    form: str, names: list[str], line: str, where: int, display: bool
) -> None:
    lines = OFFER.split("\r\n")
    lines.insert(max(1, where), f"{line}{form}")
    shown = f'"{form}" ' if display and '"' not in form else ""
    data = request(
        target=f"sip:{T}@127.0.0.1",
        body="\r\n".join(lines),
        From=f"{shown}<sip:{P1}@127.0.0.1>;tag=x",
        more=tuple(f"{name}: {form}" for name in names),
    )
    invite = read_message(data)
    if not isinstance(invite, Request):  # the plant made it none; then nothing is passed at all
        return
    sdp = rewritten(invite.body, session_id=17, version=1)
    if not isinstance(sdp, str):
        return
    sent = written(copying(invite, sdp), NAMES)
    assert sent is not None
    assert found(sent, P1) is None
    assert found(sent, T) is None
    assert found(sent, P2) is not None  # the judge sees numbers


def test_a_leg_is_made_of_its_names_and_the_list() -> None:
    invite = read_message(request(body=OFFER))
    assert isinstance(invite, Request)
    sdp = rewritten(invite.body, session_id=17, version=1)
    assert isinstance(sdp, str)
    sent = written(copying(invite, sdp), NAMES)
    assert sent is not None
    head = sent.decode().partition("\r\n\r\n")[0].split("\r\n")
    assert head == [
        f"INVITE sip:{P2}@127.0.0.1:5062 SIP/2.0",
        "Via: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bKabc",
        "Max-Forwards: 69", "Call-ID: 5bd1", "CSeq: 9 INVITE",
        f"From: <sip:{V}@127.0.0.1:5060;user=phone>;tag=ours",
        f"To: <sip:{P2}@127.0.0.1:5062;user=phone>",
        "Contact: <sip:127.0.0.1:5060>",
        f"P-Asserted-Identity: <tel:{V}>",
        "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE",
        "Content-Type: application/sdp", f"Content-Length: {len(sdp)}",
    ]  # fmt: skip


def test_who_is_anonymous_is_nobody() -> None:
    names = leg_b(P2, None, here="127.0.0.1:5060", there="127.0.0.1:5062")
    text = f"INVITE sip:{P2}@x SIP/2.0\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:z@y>\r\n\r\n"
    sent = (written(text, names) or b"").decode()
    assert 'From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=1\r\n' in sent
    assert "Privacy: id\r\n" in sent
    assert "Asserted" not in sent


def test_an_answer_names_the_sides_as_the_request_did() -> None:
    text = (
        "SIP/2.0 486 it is +442079460302 who is busy\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        "From: <sip:a@b>;tag=theirs\r\nTo: <sip:c@d>;tag=ours\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
        "Retry-After: 442079460302\r\nReason: SIP;cause=486\r\n\r\n"
    )
    sent = (written(text, NAMES) or b"").decode().split("\r\n")
    assert sent == [
        "SIP/2.0 486 Busy Here", "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
        f"From: {NAMES.theirs};tag=theirs", f"To: {NAMES.ours};tag=ours", "Call-ID: 1",
        "CSeq: 1 INVITE", "Content-Length: 0", "", "",
    ]  # fmt: skip


def test_challenges_and_redirections_are_told_as_something_else() -> None:
    assert told(401) == told(407) == (503, "Service Unavailable")
    assert told(302) == (480, "Temporarily Unavailable")
    assert told(180) == (180, "Ringing")
    assert told(299) == (200, "OK")
    assert told(499) == (480, "Temporarily Unavailable")
    assert all(told(code)[1] for code in range(100, 700))


def test_a_fault_is_answered_to_whence_it_came() -> None:
    fault = read_message(request(Max_Forwards="0"))
    assert isinstance(fault, Fault)
    answer = refusal(fault, tag="t", source=("192.0.2.7", 5099))
    assert answer is not None
    data, where = answer
    assert where == ("192.0.2.7", 5099)
    assert data.decode().split("\r\n")[:3] == [
        "SIP/2.0 483 Too Many Hops",
        "Via: SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bK776asdhds;received=192.0.2.7;rport=5099",
        "From: <sip:+442079460301@127.0.0.1>;tag=1928301774",
    ]
    assert b";tag=t\r\n" in data
    ack = read_message(request("ACK", Max_Forwards="x"))
    assert isinstance(ack, Fault)
    assert refusal(ack, tag="t", source=("192.0.2.7", 5099)) is None
