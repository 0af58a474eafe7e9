"""Tokens on the data side: a tenant's has nothing to do with another, an application's speaks
for it alone."""

from __future__ import annotations

import hashlib

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.method_access import access_of_services
from control_plane.auth.tokens import Tokens
from control_plane.errors import InvalidInput, PermissionDenied, Unauthenticated
from data_sharing.api import feed_service, registry_service
from data_sharing.api.callers import Callers, party, reader_of
from tests.support.credentials import authenticator_of

METHODS = access_of_services([feed_service.NAME, registry_service.NAME])
PUBLISH = feed_service.PUBLISH_EVENT
TAIL = f"/{feed_service.NAME}/Tail"
SUBMIT = f"/{registry_service.NAME}/SubmitApplication"

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
    return Callers(AccessControl(METHODS, authenticator_of(Tokens.read(path))))


def shows(token: str) -> list[tuple[str, str | bytes]]:
    return [("authorization", f"Bearer {token}")]


def test_a_token_says_tenant_and_application(callers):
    whose = party(callers.admit(PUBLISH, shows("traffic"), None), "")
    assert (whose.tenant, whose.application) == ("city", "traffic")
    assert party(callers.admit(PUBLISH, shows("operator"), None), "bank").tenant == "bank"
    assert party(callers.admit(PUBLISH, shows("operator"), None), "").tenant == "default"


@pytest.mark.parametrize(
    ("token", "tenant", "method", "error"),
    [
        pytest.param("traffic", "bank", PUBLISH, PermissionDenied, id="another-tenant"),
        pytest.param("traffic", "city", SUBMIT, PermissionDenied, id="a-role-it-has-not"),
        pytest.param("submitter", "city", TAIL, PermissionDenied, id="nor-that-one"),
        pytest.param("nobody", "city", PUBLISH, Unauthenticated, id="an-unknown-token"),
        pytest.param("operator", "No Name", PUBLISH, InvalidInput, id="no-tenants-name"),
    ],
)
def test_who_may_not_is_told_so(callers, token, tenant, method, error):
    with pytest.raises(error):
        party(callers.admit(method, shows(token), None), tenant)


def test_no_token_is_no_caller_where_tokens_are_asked_for(callers):
    with pytest.raises(Unauthenticated, match="needed"):
        party(callers.admit(PUBLISH, [], None), "city")
    assert (
        party(Callers(AccessControl(METHODS, None)).admit(PUBLISH, [], None), "").tenant
        == "default"
    )


def test_an_application_reads_as_itself_and_only_operators_read_as_nobody(callers):
    traffic = party(callers.admit(TAIL, shows("traffic"), None), "")
    assert reader_of(traffic, "") == "traffic"
    assert reader_of(traffic, "traffic") == "traffic"
    with pytest.raises(PermissionDenied):
        reader_of(traffic, "weather")
    operator = party(callers.admit(TAIL, shows("operator"), None), "city")
    assert reader_of(operator, "") == ""
    assert reader_of(operator, "weather") == "weather"
    submitter = party(callers.admit(SUBMIT, shows("submitter"), None), "city")
    with pytest.raises(InvalidInput):
        reader_of(submitter, "")
