"""Rules of accounts: what is no document is refused, and why."""

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.gateway.account_rules import MOST_DOCUMENT_BYTES, compiled_of

DEEP = 20_000


@pytest.mark.parametrize(
    ("document", "says"),
    [
        pytest.param("{", "truncated", id="half of one"),
        pytest.param("[" * DEEP + "]" * DEEP, "nested too deep", id="deep"),
        pytest.param(
            '{"other": ' + "[" * DEEP + "]" * DEEP + "}", "nested too deep", id="deep inside"
        ),
        pytest.param("[]", "object", id="a list"),
        pytest.param(" " * MOST_DOCUMENT_BYTES + "{}", "at most", id="long"),
    ],
)
def test_what_is_no_document_is_refused_by_what_is_wrong(document: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        compiled_of(document)
    assert refused.value.field == "document"
