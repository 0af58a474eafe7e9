"""Telephone numbers: E.164, in which region, and what is none."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.identifier import (
    Flaw,
    FlawReason,
    FormChange,
    Identifier,
    IdentifierNote,
)
from control_plane.identifiers.phones import read_phone, region_flaw

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


def phone(text: str, region: str | None = None) -> Identifier:
    read = read_phone(text, region)
    assert isinstance(read, Identifier), read
    return read


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        pytest.param("+442079460018", None, "+442079460018", id="as it is"),
        pytest.param("+44 20 7946 0018", None, "+442079460018", id="with spaces"),
        pytest.param(
            "+44 (0)20 7946 0018",
            None,
            "+442079460018",
            id="with the zero of the country",
        ),
        pytest.param("+44-20.7946/0018", None, "+442079460018", id="with other separators"),
        pytest.param(
            "+44\u00a020\u20117946\u20130018",
            None,
            "+442079460018",
            id="with typographic ones",
        ),
        pytest.param("020 7946 0018", "GB", "+442079460018", id="national"),
        pytest.param("(020) 7946 0018", "gb", "+442079460018", id="in brackets, the region small"),
        pytest.param("0044 20 7946 0018", "GB", "+442079460018", id="with the prefix for abroad"),
        pytest.param(
            "011 44 20 7946 0018",
            "US",
            "+442079460018",
            id="with that of another region",
        ),
        pytest.param("+442079460018", "US", "+442079460018", id="a plus counts before a region"),
        pytest.param(
            "+39 06 698 1234",
            None,
            "+39066981234",
            id="a zero that is dialled from abroad",
        ),
        pytest.param("011 15-2345-6789", "AR", "+5491123456789", id="a mobile of Argentina"),
        pytest.param("+４４ 20 7946 ٠٠١٨", None, "+442079460018", id="digits of other scripts"),
        pytest.param("＋１ 212 555 0100", None, "+12125550100", id="a wide plus"),
        pytest.param("+800 1234 5678", None, "+80012345678", id="of no country"),
        pytest.param("+1 (212) 555-0100", None, "+12125550100", id="of fiction"),
    ],
)
def test_a_number_has_one_form(text: str, region: str | None, expected: str) -> None:
    assert phone(text, region).normal == expected
    assert phone(expected) == phone(text, region)


@pytest.mark.parametrize(
    ("text", "region", "reason"),
    [
        pytest.param("", None, "EMPTY", id="nothing"),
        pytest.param("+", None, "SYNTAX", id="a plus"),
        pytest.param("()-", "GB", "SYNTAX", id="separators"),
        pytest.param("1" * 65, None, "TOO_LONG", id="65 characters"),
        pytest.param("+" + "1" * 1_000_000, None, "TOO_LONG", id="a million"),
        pytest.param("+4420794600181234", None, "TOO_LONG", id="17 digits"),
        pytest.param("+44 20 7", None, "TOO_SHORT", id="too few"),
        pytest.param("020 7946 0018", None, "NEEDS_REGION", id="national, no region"),
        pytest.param("112", None, "NEEDS_REGION", id="short, no region"),
        pytest.param("020 7946 0018", "XX", "UNKNOWN_REGION", id="no such region"),
        pytest.param("+442079460018", "001", "UNKNOWN_REGION", id="the world is no region"),
        pytest.param("911", "US", "EMERGENCY", id="emergency in the United States"),
        pytest.param("9-1-1", "US", "EMERGENCY", id="written apart"),
        pytest.param("112", "GB", "EMERGENCY", id="emergency in Europe"),
        pytest.param("999", "GB", "EMERGENCY", id="emergency in Great Britain"),
        pytest.param("１１２", "DE", "EMERGENCY", id="in wide digits"),
        pytest.param("000", "AU", "EMERGENCY", id="emergency in Australia"),
        pytest.param("110", "JP", "EMERGENCY", id="police in Japan"),
        pytest.param("+1911", None, "TOO_SHORT", id="emergency behind a country code"),
        pytest.param("+44112", None, "TOO_SHORT", id="and another"),
        pytest.param("150", "GB", "SHORT_NUMBER", id="a service"),
        pytest.param("7946 0018", "GB", "LOCAL_NUMBER", id="without its area"),
        pytest.param("253-0000", "US", "LOCAL_NUMBER", id="without its area, again"),
        pytest.param("+999 123 456", None, "COUNTRY_CODE", id="a country that is none"),
        pytest.param("+0 20 7946 0018", None, "COUNTRY_CODE", id="a country of zero"),
        pytest.param("+1 800 FLOWERS", None, "LETTERS", id="letters for digits"),
        pytest.param("call +442079460018", None, "LETTERS", id="words around it"),
        pytest.param("+442079460018 ext. 12", None, "EXTENSION", id="an extension"),
        pytest.param("+442079460018x12", None, "EXTENSION", id="an x"),
        pytest.param("+442079460018;ext=12", None, "EXTENSION", id="a parameter"),
        pytest.param("+442079460018,,12", None, "EXTENSION", id="pauses"),
        pytest.param("+442079460018#12", None, "EXTENSION", id="a number sign"),
        pytest.param("+44+2079460018", None, "CHARACTER", id="two plus signs"),
        pytest.param("+44 20 7946 0018!", None, "CHARACTER", id="another mark"),
        pytest.param("*21*", "GB", "CHARACTER", id="a code of the network"),
        pytest.param("+44 20\n7946\x000018", None, "CHARACTER", id="a NUL"),
        pytest.param("+44 20 7946 00①8", None, "CHARACTER", id="a digit in a circle"),
    ],
)
def test_what_is_no_number_says_why_and_what_would_do(
    text: str, region: str | None, reason: str
) -> None:
    flaw = read_phone(text, region)
    assert isinstance(flaw, Flaw), flaw
    assert flaw.reason == FlawReason(reason)
    assert flaw.message
    assert flaw.remedy


def test_a_number_that_is_read_as_another_each_time_is_refused() -> None:
    """The library takes a zero off, and another one off what it wrote."""
    once = phonenumbers.parse("00 332345678", "AU")
    written = phonenumbers.format_number(once, phonenumbers.PhoneNumberFormat.E164)
    assert phonenumbers.parse(written).national_number != 0
    flaw = read_phone("00 332345678", "AU")
    assert isinstance(flaw, Flaw)
    assert flaw.reason is FlawReason.AMBIGUOUS


def test_a_number_of_fiction_is_taken_and_noted() -> None:
    assert phone("+447700900123").notes == (IdentifierNote.NOT_ASSIGNED,)
    assert phone("+442079460018").notes == ()


def test_what_was_changed_is_told() -> None:
    assert phone("+442079460018").changes == ()
    assert phone("020 7946 0018", "GB").changes == (FormChange.SEPARATORS, FormChange.NATIONAL)
    assert phone(" +４４2079460018").changes == (FormChange.SPACE, FormChange.DIGITS)
    assert phone("+4402079460018").changes == (FormChange.INTERNATIONAL,)
    assert phone("+442079460018").shown == "+44 20 7946 0018"


def test_regions() -> None:
    assert region_flaw("GB") is None
    assert region_flaw("gb") is None
    for none in ("", "G", "XX", "GBR", "001", "ß", "g\u0131"):
        assert region_flaw(none) is not None


@pytest.mark.parametrize("region", REGIONS)
def test_an_example_of_each_region_and_type_reads_alike_in_all_forms(region: str) -> None:
    for kind in phonenumbers.supported_types_for_region(region):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is None:
            continue
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        possible = phonenumbers.is_possible_number_with_reason(number)
        if possible == phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            continue  # such as 310-1234 of Canada, which nobody calls from abroad
        assert phone(e164).normal == e164
        for form in (
            phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            phonenumbers.PhoneNumberFormat.NATIONAL,
        ):
            written = phonenumbers.format_number(number, form)
            read = read_phone(written, region)
            # Short freephone numbers of some regions are those of services too.
            if isinstance(read, Flaw):
                assert read.reason in (FlawReason.SHORT_NUMBER, FlawReason.EMERGENCY)
            else:
                assert read.normal == e164, written


@pytest.mark.parametrize("region", REGIONS)
def test_no_emergency_number_of_any_region_is_a_number_of_somebody(region: str) -> None:
    for number in ("112", "911", "999", "110", "119", "000", "117", "118", "113", "100"):
        read = read_phone(number, region)
        assert isinstance(read, Flaw), (number, read)


DIGITS = st.text(st.sampled_from("0123456789"), min_size=2, max_size=14)


@given(DIGITS, st.sampled_from([None, *REGIONS]))
def test_a_normal_form_is_its_own(digits: str, region: str | None) -> None:
    read = read_phone(digits if region else f"+{digits}", region)
    if isinstance(read, Identifier):
        assert phone(read.normal) == read
        assert phone(read.shown) == read
        assert phone(read.normal).changes == ()
        assert len(read.normal) <= 16


@given(st.text(max_size=30), st.sampled_from([None, "GB", "IT"]))
def test_any_text_is_a_number_or_says_why_not(text: str, region: str | None) -> None:
    assert isinstance(read_phone(text, region), Identifier | Flaw)
