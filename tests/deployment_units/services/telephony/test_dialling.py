"""What was dialled: emergency numbers first and widely, then what may be called.

The rows on emergency numbers say anew what `ShortNumberInfoTest` of google/libphonenumber
(Apache-2.0) says, for what it says of the numbering plans as they are.
"""

from __future__ import annotations

import pytest

from control_plane.identifiers.phones import country_of
from deployment_units.services.telephony.dialling import (
    EmergencyDialled,
    Ordinary,
    classify,
    refusal_of,
)
from deployment_units.services.telephony.port import Refused, RefusedCause

T1 = "+442079460101"


@pytest.mark.parametrize(
    ("dialled", "region", "digits"),
    [
        # After libphonenumber's tests of connectsToEmergencyNumber.
        pytest.param("911", "US", "911", id="us-911"),
        pytest.param("112", "US", "112", id="us-112"),
        pytest.param("9116666666", "US", "9116666666", id="us-911-and-more-digits"),
        pytest.param("1126666666", "US", "1126666666", id="us-112-and-more-digits"),
        pytest.param("9996666666", "US", None, id="us-999-is-none"),
        pytest.param("999", "US", None, id="us-999"),
        pytest.param("9-1-1", "US", "911", id="us-formatted"),
        pytest.param("1-1-2", "US", "112", id="us-112-formatted"),
        pytest.param("9-1-1-6-6-6-6-6-6-6", "US", "9116666666", id="us-formatted-long"),
        pytest.param("+911", "US", None, id="plus-911-is-india"),
        pytest.param("\uff0b911", "US", None, id="wide-plus"),
        pytest.param(" +911", "US", None, id="plus-after-space"),
        pytest.param("+119", "US", None, id="plus-119"),
        pytest.param("+999", "US", None, id="plus-999"),
        pytest.param("911", "BR", "911", id="brazil-911"),
        pytest.param("190", "BR", "190", id="brazil-190"),
        pytest.param("9111", "BR", None, id="brazil-longer-is-none"),
        pytest.param("1900", "BR", None, id="brazil-190-and-a-digit"),
        pytest.param("9996", "BR", None, id="brazil-9996"),
        pytest.param("131", "CL", "131", id="chile-131"),
        pytest.param("133", "CL", "133", id="chile-133"),
        pytest.param("1313", "CL", None, id="chile-longer-is-none"),
        pytest.param("911", "AO", None, id="angola-911-is-none"),
        pytest.param("222123456", "AO", None, id="angola-a-subscriber"),
        pytest.param("911", "ZW", None, id="zimbabwe-911"),
        pytest.param("01312345", "ZW", None, id="zimbabwe-a-subscriber"),
        # Ours.
        pytest.param("112", "GB", "112", id="112-in-britain"),
        pytest.param("999", "GB", "999", id="999-in-britain"),
        pytest.param("1120", "DE", "1120", id="wider-than-exact-in-germany"),
        pytest.param("112", "XX", "112", id="112-where-the-region-is-unknown"),
        pytest.param("112", "", "112", id="112-without-any-region"),
        pytest.param("+112", "GB", "112", id="112-that-a-telephone-put-a-plus-before"),
        pytest.param("1 1 2", "GB", "112", id="with-spaces"),
        pytest.param("\uff11\uff11\uff12", "GB", "112", id="wide-digits"),
        pytest.param("\u0661\u0661\u0662", "EG", "112", id="arabic-indic-digits"),
        pytest.param("112;phone-context=+44", "GB", "112", id="a-tel-uri-with-context"),
        pytest.param("urn:service:sos", "GB", "112", id="service-urn"),
        pytest.param("URN:service:sos.fire", "US", "112", id="service-urn-of-one-kind"),
        pytest.param("anna112", "GB", None, id="a-name-that-ends-so"),
        pytest.param("112#", "GB", None, id="a-code-that-begins-so"),
        pytest.param("+44112", "GB", None, id="made-international-it-is-none"),
        pytest.param("020 7946 0112", "GB", None, id="a-subscriber-that-ends-so"),
    ],
)
def test_an_emergency_number_is_judged_as_it_was_dialled(
    dialled: str, region: str, digits: str | None
) -> None:
    found = classify(dialled, region)
    assert (found.number if isinstance(found, EmergencyDialled) else None) == digits


@pytest.mark.parametrize("dialled", ["+442079460101", "00442079460101", "020 7946 0101"])
def test_one_number_is_one_however_it_is_dialled(dialled: str) -> None:
    assert classify(dialled, "GB") == Ordinary(e164=T1)


def test_the_prefix_of_international_calls_is_that_of_the_region() -> None:
    assert classify("011442079460101", "US") == Ordinary(e164=T1)


@pytest.mark.parametrize(
    ("dialled", "region", "cause"),
    [
        pytest.param("", "GB", RefusedCause.NOT_A_NUMBER, id="nothing"),
        pytest.param("anna", "GB", RefusedCause.NOT_A_NUMBER, id="a-name"),
        pytest.param("+" + "1" * 70, "GB", RefusedCause.NOT_A_NUMBER, id="far-too-long"),
        pytest.param("020 7946 0101", "", RefusedCause.NOT_A_NUMBER, id="national-in-no-region"),
        pytest.param(f"{T1};ext=12", "GB", RefusedCause.NOT_A_NUMBER, id="with-an-extension"),
        pytest.param("118118", "GB", RefusedCause.NOT_ORDINARY, id="directory-enquiries"),
        pytest.param("+449098790000", "GB", RefusedCause.NOT_ORDINARY, id="premium"),
        pytest.param("+448431234567", "GB", RefusedCause.NOT_ORDINARY, id="shared-cost"),
        pytest.param("+447012345678", "GB", RefusedCause.NOT_ORDINARY, id="personal"),
        pytest.param("+870773111632", "GB", RefusedCause.NOT_ORDINARY, id="satellite-inmarsat"),
        pytest.param("+881612345678", "GB", RefusedCause.NOT_ORDINARY, id="satellite-gmss"),
        pytest.param("+979123456789", "GB", RefusedCause.NOT_ORDINARY, id="premium-of-the-world"),
    ],
)
def test_what_is_no_ordinary_number_is_refused(
    dialled: str, region: str, cause: RefusedCause
) -> None:
    assert classify(dialled, region) == Refused(cause=cause)


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        pytest.param("+442079460301", None, id="a-fixed-line-of-a-country-that-is-called"),
        pytest.param("+447400123456", None, id="a-mobile"),
        pytest.param("+33123456789", RefusedCause.COUNTRY, id="of-another-country"),
        pytest.param("+18765230123", RefusedCause.COUNTRY, id="jamaica-is-not-the-us"),
        pytest.param("+12015550123", None, id="the-us"),
        pytest.param("+447700900123", RefusedCause.NOT_ORDINARY, id="in-no-known-range"),
        pytest.param("+449098790000", RefusedCause.NOT_ORDINARY, id="premium"),
        pytest.param("+448001234567", RefusedCause.NOT_ORDINARY, id="free-for-the-caller"),
        pytest.param("+881612345678", RefusedCause.NOT_ORDINARY, id="satellite"),
        pytest.param(T1, RefusedCause.LOOP, id="one-of-ours"),
    ],
)
def test_calls_are_made_to_ordinary_numbers_of_allowed_countries(
    target: str, cause: RefusedCause | None
) -> None:
    assert refusal_of(target, countries={"GB", "US"}, ours={T1}) == cause


def test_countries_share_a_code() -> None:
    assert [country_of(one) for one in ("+12015550123", "+18765230123", "+870773111632")] == [
        "US", "JM", None,
    ]  # fmt: skip
