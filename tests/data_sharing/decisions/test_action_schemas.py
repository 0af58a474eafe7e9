"""Schemas of actions: compiled once for equal documents, and `true` and `false` are schemas too."""

from __future__ import annotations

import pytest

from data_sharing.decisions.action_schemas import compiled_schema

TIMES = {"type": "object", "properties": {"times": {"type": "integer", "maximum": 5}}}


def test_equal_documents_share_one_compiled_schema() -> None:
    assert compiled_schema(TIMES) is compiled_schema({**TIMES})
    assert compiled_schema(TIMES) is not compiled_schema({**TIMES, "required": ["times"]})


@pytest.mark.parametrize(
    ("document", "value", "fits"),
    [
        (TIMES, {"times": 5}, True),
        (TIMES, {"times": 6}, False),
        (TIMES, {"times": "often"}, False),
        (True, {"anything": [1]}, True),
        (False, {}, False),
    ],
)
def test_it_says_what_a_value_breaks(document, value, fits) -> None:
    assert (compiled_schema(document).breach(value) is None) == fits
