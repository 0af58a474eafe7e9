"""A rule that waits for longer than events are kept is refused, with its place and what to do."""

from __future__ import annotations

import pytest

from data_sharing.decisions import kept_events
from data_sharing.rules.compiler import parse
from data_sharing.rules.document_faults import InvalidDocument

DAY_MS = 86_400_000
TEXT = """
rules:
  - rule: silent
    watch: {beat: {feed: beat}}
    absent_for: 2d
    when: true
    do: []
  - rule: unpaid
    watch: {order: {feed: order}, paid: {feed: paid}}
    sequence: {within: 36h, steps: [{step: order}, {without: paid}]}
    when: true
    do: []
"""


def test_waits_beyond_what_is_kept_are_all_named() -> None:
    with pytest.raises(InvalidDocument) as caught:
        kept_events.check(parse(TEXT), DAY_MS)
    assert [one.message for one in caught.value.faults] == [
        "rules.silent.absent_for: 2d is longer than events are kept here, 1d (--retain-s)",
        "rules.unpaid.sequence.within: 36h is longer than events are kept here, 1d (--retain-s)",
    ]


def test_waits_within_it_are_taken() -> None:
    kept_events.check(parse(TEXT), 2 * DAY_MS)
