"""Events of a unit as messages: what caused them is the attribute that data sharing reads."""

from __future__ import annotations

import pytest

from data_sharing.api.cloudevent_message import envelope_from_proto
from data_sharing.correlation import read_correlation
from data_sharing.feeds.intake import Refusal
from deployment_units.services.applications.data_sharing_calls import event_to_proto
from deployment_units.services.applications.port import MESSAGE_FEED, FeedEvent


@pytest.mark.parametrize("cause", ["i-7", ""], ids=["an-instruction", "a-person"])
def test_a_cause_is_read_as_it_was_named(cause: str) -> None:
    made = FeedEvent(
        type=MESSAGE_FEED, source="acct:anna@talk", id="1", data={"text": "é"}, caused_by=cause
    )
    read = envelope_from_proto(event_to_proto(made))
    assert not isinstance(read, Refusal)
    assert (read_correlation(read.extensions or {}).causation, read.id, read.source) == (
        cause,
        "1",
        "acct:anna@talk",
    )
