"""Which forms of a time plans read: those of RFC 3339, whatever else a library takes."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from data_sharing.calendars.timing import timing_as_stored, timing_of
from data_sharing.calendars.zoned_time import read_time

BERLIN = ZoneInfo("Europe/Berlin")
NONE_OF_RFC_3339 = [
    "2026-W10-1", "2026W101", "2026-W10", "2026-W10-1T09:00", "2026-061", "2026061", "20260302",
    "20260302T0900", "2026-03-02T0900", "20260302T09:00", "2026-03-02T09", "2026-03",
    "2026-03-02T09:00:00,5", "2026-03-02T09:00+01", "2026-03-02T09:00+0100",
    "2026-03-02T09:00:00+01:00:30", "2026-03-02T24:00", "2026-03-02T09:60", "2026-03-02T09:00:60Z",
    "2026-03-02_09:00", "2026-03-02T09:00:", "2026-03-02T09:00:00.", "2026-03-02T09:00 +01:00",
    "2026-03-02T09:00+24:00", "2026-3-2", "+2026-03-02", " 2026-03-02", "2026-03-02\n", "",
    "٢٠٢٦-٠٣-٠٢", "2026-03-02T", "1772442000", "now",
]  # fmt: skip


@pytest.mark.parametrize("text", NONE_OF_RFC_3339, ids=ascii)
def test_other_forms_are_refused_as_start_and_as_exception(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^at: .* is no time of RFC 3339; write") as raised:
        timing_of(text, BERLIN)
    assert raised.value.field == "at"
    with pytest.raises(InvalidInput, match=r"^except_at: .* is no time of RFC 3339; write"):
        timing_of("2026-03-02T09:00", BERLIN, "FREQ=DAILY", [text])


@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01", "2026-00-01", "2025-02-29T09:00Z"])
def test_a_day_that_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no calendar"):
        read_time(text, BERLIN, "at")


def test_a_plan_that_was_made_with_another_form_keeps_its_meaning() -> None:
    stored = timing_as_stored("2026-W10-1T0900", BERLIN, "FREQ=DAILY", ["20260303"])
    (first, second) = (at for at, _ in zip(stored.since(0), range(2), strict=False))
    asked = timing_of("2026-03-02T09:00", BERLIN, "FREQ=DAILY", ["2026-03-03"])
    assert [first, second] == [at for at, _ in zip(asked.since(0), range(2), strict=False)]


@given(
    at=st.datetimes(datetime(1972, 1, 1), datetime(2398, 1, 1)),
    zone=st.sampled_from(["", "Z", "z", "+00:00", "-23:59", "+05:30"]),
    between=st.sampled_from("Tt "),
    form=st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
)
def test_every_form_of_rfc_3339_is_read_to_the_millisecond(
    at: datetime, zone: str, between: str, form: str
) -> None:
    text = at.isoformat(between, form) + zone
    whole = datetime.fromisoformat(at.isoformat("T", form) + zone.upper())
    whole = whole.replace(microsecond=whole.microsecond // 1_000 * 1_000)
    instant = whole if whole.tzinfo else whole.replace(tzinfo=UTC)
    assert read_time(text, UTC, "at").at_ms == round(instant.timestamp() * 1_000)
