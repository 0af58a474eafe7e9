"""Settings of who may call: halves of them are refused, and any of them asks for credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from control_plane.auth.access_settings import AccessSettings

OIDC: dict[str, Any] = {
    "oidc_issuer": "https://id.example.net",
    "oidc_audience": "homeport",
    "oidc_roles": ["ops=operator"],
}


class Served(AccessSettings):
    """Of a server, which has a client CA or none."""

    tls_client_ca: Path | None = None
    insecure: bool = False


def without(name: str) -> dict[str, Any]:
    """OIDC's settings but one."""
    return {key: value for key, value in OIDC.items() if key != name}


CA: dict[str, Any] = {"tls_client_ca": Path("ca.pem")}


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ({}, False),
        ({"tokens": Path("tokens.toml")}, True),
        (OIDC, True),
        ({**CA, "certificate_trust_domain": "example.net"}, True),
        ({**CA, "tokens": Path("tokens.toml")}, True),
        ({**CA, **OIDC}, True),
        ({**CA, "insecure": True}, False),
    ],
)
def test_when_credentials_are_asked_for(settings, asks):
    assert Served(**settings).asks_for_credentials is asks


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (without("oidc_audience"), "needs oidc_audience"),
        ({**OIDC, "oidc_roles": []}, "oidc_roles to give roles by"),
        (without("oidc_issuer"), "need oidc_issuer"),
        ({"oidc_jwks": "jwks.json"}, "need oidc_issuer"),
        ({"oidc_tenant_claim": "org"}, "need oidc_issuer"),
        ({**OIDC, "oidc_roles": ["ops"]}, "is not <name>=<role>"),
        ({**OIDC, "oidc_roles": ["ops=unit"]}, "roles are viewer, operator, admin"),
        ({**OIDC, "oidc_leeway_s": 301}, "less than or equal to 300"),
        ({"certificate_trust_domain": "example.net"}, "needs tls_client_ca"),
        ({"certificate_operators": ["ben=viewer"]}, "needs certificate_trust_domain"),
        (CA, "nothing says what they may do: add certificate_trust_domain"),
        ({**CA, "certificate_trust_domain": "spiffe://example.net"}, "is no trust domain"),
        ({**CA, "certificate_trust_domain": "example.net, a/b"}, '"a/b" is no trust domain'),
        ({**CA, "certificate_trust_domain": "example.net b.net"}, "is no trust domain"),
        ({**CA, "certificate_trust_domain": " , "}, "names no domain"),
        (
            {**CA, "certificate_trust_domain": ",".join(f"d{n}.net" for n in range(33))},
            "more than 32",
        ),
    ],
)
def test_halves_are_refused(settings, said):
    with pytest.raises(ValidationError, match=said):
        Served(**settings)


@pytest.mark.parametrize(
    ("said", "domains"),
    [
        (None, set()),
        ("example.net", {"example.net"}),
        ("Example.NET", {"example.net"}),
        ("example.net,b.example", {"example.net", "b.example"}),
        (" example.net , b.example ,", {"example.net", "b.example"}),
    ],
)
def test_trust_domains_stand_beside_each_other(said, domains):
    given = {} if said is None else {"certificate_trust_domain": said}
    assert Served(**CA, insecure=True, **given).trust_domains == domains
