"""Tokens on the data side: a tenant's has nothing to do with another, an application's speaks
for it alone."""

from __future__ import annotations

import hashlib

import pytest

from control_plane.auth.tokens import Right, Tokens
from control_plane.errors import InvalidInput, PermissionDenied, Unauthenticated
from data_sharing.api.callers import Callers, reader_of

TOKENS = """
[[token]]
name = "traffic"
rights = ["publish", "read-feeds"]
tenant = "city"
application = "traffic"
sha256 = "{traffic}"

[[token]]
name = "operator"
rights = ["operate", "publish"]
sha256 = "{operator}"

[[token]]
name = "submitter"
rights = ["submit"]
tenant = "city"
sha256 = "{submitter}"
"""


@pytest.fixture
def callers(tmp_path) -> Callers:
    digests = {
        name: hashlib.sha256(name.encode()).hexdigest()
        for name in ("traffic", "operator", "submitter")
    }
    path = tmp_path / "tokens.toml"
    path.write_text(TOKENS.format(**digests))
    return Callers(Tokens.read(path))


def shows(token: str) -> list[tuple[str, str | bytes]]:
    return [("authorization", f"Bearer {token}")]


def test_a_token_says_tenant_and_application(callers):
    party = callers.party(shows("traffic"), "", Right.PUBLISH)
    assert (party.tenant, party.application) == ("city", "traffic")
    assert callers.party(shows("operator"), "bank", Right.PUBLISH).tenant == "bank"
    assert callers.party(shows("operator"), "", Right.PUBLISH).tenant == "default"


@pytest.mark.parametrize(
    ("token", "tenant", "right", "error"),
    [
        pytest.param("traffic", "bank", Right.PUBLISH, PermissionDenied, id="another-tenant"),
        pytest.param("traffic", "city", Right.SUBMIT, PermissionDenied, id="a-right-it-has-not"),
        pytest.param("submitter", "city", Right.READ_FEEDS, PermissionDenied, id="nor-that-one"),
        pytest.param("nobody", "city", Right.PUBLISH, Unauthenticated, id="an-unknown-token"),
        pytest.param("operator", "No Name", Right.PUBLISH, InvalidInput, id="no-tenants-name"),
    ],
)
def test_who_may_not_is_told_so(callers, token, tenant, right, error):
    with pytest.raises(error):
        callers.party(shows(token), tenant, right)


def test_no_token_is_no_caller_where_tokens_are_asked_for(callers):
    with pytest.raises(Unauthenticated, match="needed"):
        callers.party([], "city", Right.PUBLISH)
    assert Callers(None).party([], "", Right.PUBLISH).tenant == "default"


def test_an_application_reads_as_itself_and_only_operators_read_as_nobody(callers):
    traffic = callers.party(shows("traffic"), "", Right.READ_FEEDS)
    assert reader_of(traffic, "") == "traffic"
    assert reader_of(traffic, "traffic") == "traffic"
    with pytest.raises(PermissionDenied):
        reader_of(traffic, "weather")
    operator = callers.party(shows("operator"), "city", Right.OPERATE)
    assert reader_of(operator, "") == ""
    assert reader_of(operator, "weather") == "weather"
    submitter = callers.party(shows("submitter"), "city", Right.SUBMIT)
    with pytest.raises(InvalidInput):
        reader_of(submitter, "")
