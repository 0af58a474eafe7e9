"""Who may become a client of a tenant, by what it shows."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from control_plane.auth.callers import STRANGER, Caller
from control_plane.auth.roles import Role, with_implied
from control_plane.auth.shown import ShownCredentials
from control_plane.fleet.enrolment import EnrolmentMethod, TrustedIssuer
from control_plane.fleet.unit import TenantId, TenantSpec
from control_plane.identity.enrolment_groups import EnrolmentGroups
from control_plane.identity.key_wrapping import NoWrapping
from control_plane.store.embedded.store import EmbeddedStore
from homeport.enrolment import hmac_token
from provisioner.provisioning.enrolment import Enrolled, Enrolment
from provisioner.provisioning.tenant_issuers import TenantIssuers

NOW = 1_700_000_000.0
SIGNER = Ed25519PrivateKey.generate()
JWK = {**json.loads(OKPAlgorithm.to_jwk(SIGNER.public_key())), "kid": "k"}
ISSUERS = tuple(
    TrustedIssuer(
        issuer=f"https://{name}", audience="homeport", jwks=json.dumps({"keys": [JWK]}),
        client_claim=claim,
    )
    for name, claim in [("one", "sub"), ("two", "device")]
)  # fmt: skip
CITY = TenantSpec(id=TenantId("city"), issuers=ISSUERS)
LISTED = Caller(name="listed", roles=with_implied({Role.CLIENT}))
CERTIFIED = Caller(name="c", roles=with_implied({Role.CLIENT}), tenant="city", client_id="alice")
BOOT = "boot." + "0" * 20 + "." + "A" * 43
NOBODY, CLAIMS, ITSELF = Enrolled(False, False), Enrolled(False, True), Enrolled(True, True)
PROVED = Enrolled(True, False)
OPEN, TOKEN, X509, BOOTSTRAP = EnrolmentMethod


@pytest.fixture
async def enrolment(tmp_path: Path) -> AsyncIterator[tuple[Enrolment, str]]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    groups = EnrolmentGroups(store, NoWrapping(), random=os.urandom, wall=lambda: NOW)
    key = await groups.add("city", "g")
    await groups.start()
    issuers = TenantIssuers(wall=lambda: NOW, clock=lambda: 0.0)
    issuers.follow({"city": CITY})
    yield Enrolment(groups, issuers), key
    await store.close()


def token(**claims: object) -> str:
    said = {"iss": "https://one", "aud": "homeport", "sub": "alice", "exp": int(NOW) + 60}
    return jwt.encode({**said, **claims}, SIGNER, "EdDSA", headers={"kid": "k"})


@pytest.mark.parametrize(
    ("methods", "caller", "bearer", "expected"),
    [
        pytest.param((), STRANGER, "", NOBODY, id="nothing, where nothing is said"),
        pytest.param((OPEN,), STRANGER, "", CLAIMS, id="nothing, where it is open"),
        pytest.param((), LISTED, "secret", CLAIMS, id="an API token of the role client"),
        pytest.param((X509,), LISTED, "secret", NOBODY, id="the same, where others are asked"),
        pytest.param((), STRANGER, "HMAC", CLAIMS, id="a group's token"),
        pytest.param((X509,), STRANGER, "HMAC", NOBODY, id="the same, where others are asked"),
        pytest.param((), CERTIFIED, "", PROVED, id="a certificate, where tokens are asked"),
        pytest.param((X509,), CERTIFIED, "", ITSELF, id="a certificate, where it is asked"),
        pytest.param((), CERTIFIED, "HMAC", ITSELF, id="a certificate and a group's token"),
        pytest.param(
            (X509,), replace(CERTIFIED, client_id="bob"), "", NOBODY, id="another's certificate"
        ),
        pytest.param(
            (X509,), replace(CERTIFIED, tenant="bank"), "", NOBODY, id="of another tenant"
        ),
        pytest.param((), STRANGER, token(), ITSELF, id="a JWT"),
        pytest.param(
            (), STRANGER, token(iss="https://two", device="alice", sub="x"), ITSELF,
            id="a JWT that names it in another claim",
        ),
        pytest.param((BOOTSTRAP,), STRANGER, token(), PROVED, id="a JWT, where others are asked"),
        pytest.param((), STRANGER, token(sub="bob"), NOBODY, id="another's JWT"),
        pytest.param((), STRANGER, token(sub=5), NOBODY, id="a JWT that names nobody"),
        pytest.param((), STRANGER, token(sub="a/b"), NOBODY, id="a JWT with an id that is none"),
        pytest.param((), STRANGER, token(exp=int(NOW) - 120), NOBODY, id="a JWT that is over"),
        pytest.param((), STRANGER, token(aud="x"), NOBODY, id="a JWT for others"),
        pytest.param((), STRANGER, token(iss="https://x"), NOBODY, id="a JWT of others"),
        pytest.param((), STRANGER, token()[:-4] + "AAAA", NOBODY, id="a forged JWT"),
        pytest.param(
            (BOOTSTRAP,), STRANGER, BOOT, Enrolled(False, False, BOOT), id="a token for one use"
        ),
        pytest.param((), STRANGER, BOOT, NOBODY, id="the same, where others are asked"),
        pytest.param((OPEN, BOOTSTRAP), STRANGER, BOOT, CLAIMS, id="the same, where it is open"),
        pytest.param((TOKEN, BOOTSTRAP), STRANGER, "HMAC", CLAIMS, id="one of two ways"),
    ],
)  # fmt: skip
async def test_what_is_shown_is_worth(enrolment, methods, caller, bearer, expected):
    one, key = enrolment
    if bearer == "HMAC":
        bearer = hmac_token(group="g", key=key, tenant="city", client_id="alice")
    metadata = [("authorization", f"Bearer {bearer}")] if bearer else []
    tenant = replace(CITY, enrolment=methods)
    assert one.of_caller(tenant, "alice", caller, ShownCredentials(metadata)) == expected


async def test_an_issuer_that_is_taken_away_names_nobody():
    issuers = TenantIssuers(wall=lambda: NOW, clock=lambda: 0.0)
    issuers.follow({"city": CITY})
    assert issuers.client_of("city", token()) == ("alice", {})
    assert issuers.client_of("bank", token()) is None
    issuers.follow({"city": replace(CITY, issuers=ISSUERS[1:])})
    assert issuers.client_of("city", token()) is None
    changed = replace(ISSUERS[0], audience="another")
    issuers.follow({"city": replace(CITY, issuers=(changed,))})
    assert issuers.client_of("city", token()) is None


MAPPED = replace(ISSUERS[0], attribute_claims={"kind": "customer_kind", "tier": "tier"})


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        pytest.param({"customer_kind": "government"}, {"kind": "government", "tier": ""},
                     id="what-a-token-does-not-say-is-taken-away"),
        pytest.param({"kind": "government"}, {"kind": "", "tier": ""}, id="claims-are-mapped"),
        pytest.param({"customer_kind": 5}, None, id="no-text"),
        pytest.param({"customer_kind": ["government"]}, None, id="a-list"),
        pytest.param({"customer_kind": "x" * 257}, None, id="longer-than-a-value"),
        pytest.param({"tier": "a\nb"}, None, id="with-a-line-break"),
    ],
)  # fmt: skip
def test_what_a_token_says_of_its_client(claims, expected):
    issuers = TenantIssuers(wall=lambda: NOW, clock=lambda: 0.0)
    issuers.follow({"city": replace(CITY, issuers=(MAPPED,))})
    found = issuers.client_of("city", token(**claims))
    assert found == (None if expected is None else ("alice", expected))


async def test_attributes_come_with_a_token_of_that_client_alone(enrolment):
    one, _ = enrolment
    one._issuers.follow({"city": replace(CITY, issuers=(MAPPED,))})

    def told(sub):
        shown = ShownCredentials(
            [("authorization", f"Bearer {token(sub=sub, customer_kind='government')}")]
        )
        return one.of_caller(CITY, "alice", STRANGER, shown).attributes

    assert told("alice") == {"kind": "government", "tier": ""}
    assert told("bob") == {}
