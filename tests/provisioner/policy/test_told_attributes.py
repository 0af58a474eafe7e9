"""What may be told of a client's attributes, and what it has then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from provisioner.placement.attributes import MOST_ATTRIBUTES
from provisioner.policy.told_attributes import check_told, told_anew

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", fullmatch=True)
values = st.text(st.characters(categories=["L", "N", "P"]), max_size=40)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        pytest.param({f"a{n}": "x" for n in range(17)}, "holds 17 entries; at most 16", id="many"),
        pytest.param({"": "x"}, "is no name", id="no-name"),
        pytest.param({"a/b": "x"}, "is no name", id="a-name-with-a-slash"),
        pytest.param({"a" * 65: "x"}, "is no name", id="a-long-name"),
        pytest.param({"kind": "x" * 257}, "at most 256 bytes", id="a-long-value"),
        pytest.param({"kind": "ü" * 129}, "at most 256 bytes", id="bytes-are-counted"),
        pytest.param({"kind": "a\nb"}, "no control characters", id="a-line-break"),
        pytest.param({"kind": "\ud800"}, "no control characters", id="half-a-character"),
        pytest.param({f"a{n}": "x" * 256 for n in range(4)}, "1,032 bytes", id="much-together"),
    ],
)
def test_what_may_not_be_said(told, says):
    with pytest.raises(InvalidInput) as refused:
        check_told(told)
    assert refused.value.field == "attributes"
    assert says in refused.value.message


@given(st.dictionaries(names, values, max_size=4), st.dictionaries(names, values, max_size=4))
def test_what_is_told_replaces_and_an_empty_value_takes_away(before, told):
    kept = told_anew(None, before)
    after = told_anew(kept, told)
    for name in {*before, *told}:
        assert after.get(name, "") == told.get(name, before.get(name, ""))
    assert list(after) == sorted(after)
    assert told_anew(after, told) == after


def test_a_client_gets_no_more_of_them_bit_by_bit():
    kept = told_anew(None, {f"a{n}": "x" for n in range(MOST_ATTRIBUTES)})
    with pytest.raises(InvalidInput, match="at most 16"):
        told_anew(kept, {"one-more": "x"})
    assert len(told_anew(kept, {"a0": "", "one-more": "x"})) == MOST_ATTRIBUTES
