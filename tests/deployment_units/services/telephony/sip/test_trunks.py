"""Whose a datagram is, and whose word on the caller counts."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.telephony.sip.messages import Request, read_message
from deployment_units.services.telephony.sip.source_rates import SourceRates
from deployment_units.services.telephony.sip.trunks import caller_of, dialled_in, read_trunks
from tests.support.sip_texts import request


def test_a_datagram_is_of_the_trunk_at_its_address() -> None:
    trunks = read_trunks("a=192.0.2.1:5061/GB, b=192.0.2.2, c=[2001:DB8::1]", out="b", emergency="")
    assert [one.name for one in trunks.all] == ["a", "b", "c"]
    assert trunks.out.address == ("192.0.2.2", 5060)
    assert trunks.emergency.name == "a"
    assert trunks.emergency.region == "GB"
    of = trunks.of(("192.0.2.1", 5061))
    assert of is not None
    assert of.name == "a"
    assert trunks.of(("192.0.2.1", 5062)) is None
    assert trunks.of(("192.0.2.2", 40_000)) is trunks.out
    assert trunks.of(("192.0.2.3", 5060)) is None
    assert trunks.is_listed("2001:db8::1")
    assert not trunks.is_listed("192.0.2.9")


@pytest.mark.parametrize(
    ("text", "out"),
    [("", ""), ("a", ""), ("a=b:1", ""), ("a=192.0.2.300", ""), ("A=192.0.2.1", ""),
     ("a=192.0.2.1:0", ""), ("a=192.0.2.1:99999", ""), ("a=192.0.2.1,b=192.0.2.1", ""),
     ("a=192.0.2.1", "b"), ("a=192.0.2.1/gb", "")],
)  # fmt: skip
def test_what_names_no_trunk_is_refused(text: str, out: str) -> None:
    with pytest.raises(InvalidInput, match=r"sip_(trunks|out)"):
        read_trunks(text, out=out, emergency="")


def read(target: str = "sip:+442079460201@127.0.0.1", **fields: str) -> Request:
    found = read_message(request("INVITE", target, **fields))  # type: ignore[arg-type]
    assert isinstance(found, Request)
    return found


def test_the_caller_is_whom_the_trunk_asserts_and_never_from() -> None:
    assert caller_of(read()) is None
    asserted = "<sip:+44-20-7946-0301;ext=5@carrier.example;user=phone>"
    assert caller_of(read(P_Asserted_Identity=asserted)) == "+442079460301"
    both = '"A, B" <sip:x@carrier.example>, <tel:+442079460301>'
    assert caller_of(read(P_Asserted_Identity=both)) == "+442079460301"
    assert caller_of(read(P_Asserted_Identity="<sip:anonymous@anonymous.invalid>")) is None
    assert caller_of(read(P_Asserted_Identity="<tel:301;phone-context=x>")) is None


def test_who_is_not_to_be_known_is_not_known() -> None:
    hidden = read(P_Asserted_Identity="<tel:+442079460301>", Privacy="header; id")
    assert caller_of(hidden) is None


def test_what_was_dialled_is_taken_as_it_stands() -> None:
    assert dialled_in(read(target="tel:+44-20-7946-0201;ext=1")) == "+44-20-7946-0201"
    assert dialled_in(read(target="sip:%2B442079460201;x=y@127.0.0.1")) == "+442079460201;x=y"
    assert dialled_in(read(target="urn:service:sos.police")) == "urn:service:sos.police"


def test_one_source_does_not_use_what_another_may() -> None:
    now = [0.0]
    rates = SourceRates(10, clock=lambda: now[0])
    assert [rates.takes("a") for _ in range(21)] == [True] * 20 + [False]
    assert rates.takes("b")
    now[0] = 0.1
    assert [rates.takes("a") for _ in range(2)] == [True, False]
