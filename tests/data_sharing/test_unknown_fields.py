"""A field that a document cannot have is told with its place and the one most likely meant."""

from __future__ import annotations

import re

import pytest

from control_plane.errors import InvalidInput
from data_sharing.documents import read_as
from data_sharing.rules.spec import RuleSpec


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        pytest.param({"wehn": "x"}, RuleSpec, "`wehn`; did you mean when?", id="of-a-rule"),
        pytest.param(
            {"sequence": {"steps": [{"stp": 1}]}},
            RuleSpec,
            "spec.sequence.steps[0]: Object contains unknown field `stp`; did you mean step?",
            id="of-a-part-of-a-list",
        ),
        pytest.param(
            {"watch": {"s": {"feed": "f", "wehre": "x"}}},
            RuleSpec,
            "`wehre`; did you mean where?",
            id="of-an-input",
        ),
        pytest.param(
            {"watch": {"s": {"feed": "f", "qqq": "x"}}},
            RuleSpec,
            "`qqq`; known are absent, feed, key, where",
            id="like-none",
        ),
    ],
)
def test_the_field_that_was_meant_is_told(said: object, kind: type, told: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(told)):
        read_as(said, kind, "spec")


def test_other_faults_are_told_as_they_are() -> None:
    with pytest.raises(InvalidInput) as found:
        read_as({"when": 3}, RuleSpec, "spec")
    assert "mean" not in found.value.message
    assert "known are" not in found.value.message
