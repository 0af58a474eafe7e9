"""Session descriptions for the other leg: what is kept of them, and what never is."""

from __future__ import annotations

import pytest

from deployment_units.services.telephony.sip.sdp import SdpRefused, rewritten
from tests.support.sip_texts import OFFER


def made(text: str) -> str:
    result = rewritten(text, session_id=17, version=3)
    assert isinstance(result, str), result
    return result


def test_media_is_kept_and_who_made_it_is_not() -> None:
    assert made(OFFER).split("\r\n") == [
        "v=0", "o=- 17 3 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0",
        "m=audio 40000 RTP/AVP 0 8 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=sendrecv", "",
    ]  # fmt: skip


def test_what_was_made_is_made_into_itself() -> None:
    once = made(OFFER)
    assert made(once) == once


@pytest.mark.parametrize(
    "line",
    [
        "i=+442079460301", "u=https://talk.example/@anna", "e=anna@mail.example",
        "p=+44 20 7946 0301", "k=clear:442079460301", "b=CT:4420794603", "z=2882844526 -1h",
        "a=tool:442079460301", "a=candidate:1 1 UDP 1 192.0.2.1 40000 typ host",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:NDQyMDc5NDYwMzAx", "a=ssrc:1 cname:anna",
        "a=fmtp:0 annexb=442079460301", "a=ptime:442", "a=rtpmap:0 anna/8000", "r=7d 1h 0 25h",
    ],
)  # fmt: skip
def test_what_is_on_no_list_is_left_out(line: str) -> None:
    assert made(f"{OFFER}{line}\r\n") == made(OFFER)


def test_payload_types_without_a_meaning_are_left_out() -> None:
    offer = OFFER.replace("0 8 101", "44 20 79 46 3 1 0 101 102")
    explained = f"{offer}a=rtpmap:44 PCMU/8000\r\na=rtpmap:79 PCMA/8000\r\n"
    assert "m=audio 40000 RTP/AVP 3 0 101\r\n" in made(explained)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("a=fmtp:101 0-15,32,36", "a=fmtp:101 0-15"),
        ("a=fmtp:101 mode-set=7,0,2,0; octet-align=1", "a=fmtp:101 mode-set=0,2,7;octet-align=1"),
        ("a=fmtp:101 maxaveragebitrate=20794", "a=fmtp:101 maxaveragebitrate=20000"),
        ("a=fmtp:101 profile-level-id=42E01F", "a=fmtp:101 profile-level-id=42e01f"),
        ("b=AS:442", "b=AS:440"),
        ("a=rtcp:40001 IN IP4 192.0.2.9", "a=rtcp:40001"),
    ],
)
def test_values_are_rounded_or_of_a_list(said: str, kept: str) -> None:
    assert kept in made(OFFER.replace("a=fmtp:101 0-15", said)).split("\r\n")


def test_a_hold_is_a_hold() -> None:
    assert "a=sendonly" in made(OFFER.replace("sendrecv", "sendonly"))
    assert "c=IN IP4 0.0.0.0" in made(OFFER.replace("IP4 192.0.2.1\r\nt=", "IP4 0.0.0.0\r\nt="))


def test_other_media_keep_their_place_as_refused() -> None:
    offer = f"{OFFER}m=image 5000 udptl t38\r\nm=video 6000 RTP/AVP 34\r\n"
    shown = [one for one in made(offer).split("\r\n") if one.startswith("m=")]
    assert shown == [
        "m=audio 40000 RTP/AVP 0 8 101", "m=image 0 udptl 0", "m=video 6000 RTP/AVP 34",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begin"),
        ("v=1\r\n", "begin"),
        (OFFER.replace("RTP/AVP", "RTP/SAVP"), "SRTP"),
        (OFFER.replace("c=IN IP4 192.0.2.1\r\n", ""), "c= is missing"),
        (OFFER.replace("c=IN IP4 192.0.2.1", "c=IN IP4 p442079460301.mail.example"), "names"),
        (OFFER.replace("c=IN IP4 192.0.2.1", "c=IN IP4 224.0.0.1/127"), "none"),
        (OFFER.replace("c=IN IP4 192.0.2.1", "c=IN IP6 fe80::1%442079460301"), "scope"),
        (OFFER.replace("m=audio", "m=anna"), "kind"),
        (OFFER.replace("40000", "400000"), "port"),
        (OFFER.partition("m=")[0], "no media"),
        (OFFER + "m=audio 1 RTP/AVP 0\r\n" * 8, "more than 8"),
        (OFFER + "x\r\n", "TYPE=VALUE"),
        (OFFER + "a=x\r\n" * 600, "lines"),
        (OFFER + "a=" + "x" * 20_000, "bytes"),
    ],
)
def test_what_cannot_be_passed_is_refused_with_the_reason(text: str, why: str) -> None:
    result = rewritten(text, session_id=1, version=1)
    assert isinstance(result, SdpRefused)
    assert why in result.why
    assert "442079460301" not in result.why
