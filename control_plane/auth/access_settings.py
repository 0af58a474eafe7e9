"""AccessSettings: who may call a service, among the settings of both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from control_plane.auth.oidc_operators import role_mapping
from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from control_plane.settings import ServiceSettings

MOST_TRUST_DOMAINS = 32
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)  # of a SPIFFE ID
_OPEN_TO_CERTIFICATES = (
    "tls_client_ca lets in whoever has a certificate of it, and nothing says what they may do: "
    "add certificate_trust_domain, so that certificates name who calls, or tokens, or "
    "oidc_issuer; insecure says that each of them may do everything"
)


class AccessSettings(ServiceSettings):
    """Without any of tokens, oidc_issuer and certificate_trust_domain nobody is asked for
    credentials."""

    tokens: Annotated[
        Path | None,
        Field(description="TOML file of API tokens, read again when it changes; default: "
              "everybody may do all"),
    ] = None  # fmt: skip
    oidc_issuer: Annotated[
        str, Field(description="OpenID provider whose tokens operators may show: its issuer")
    ] = ""
    oidc_audience: Annotated[
        str, Field(description="who the provider's tokens have to be for: their aud")
    ] = ""
    oidc_jwks: Annotated[
        str,
        Field(description="the provider's keys: a file or an https address; default: what the "
              "issuer's configuration names"),
    ] = ""  # fmt: skip
    oidc_roles_claim: Annotated[
        str, Field(description="claim whose values give roles; dots lead into it")
    ] = "roles"
    oidc_roles: Annotated[
        list[str],
        Field(description="<value of the claim>=<role>; roles are viewer, operator, admin"),
    ] = []  # noqa: RUF012 - pydantic copies defaults
    oidc_tenant_claim: Annotated[
        str, Field(description="claim that names the operator's tenant; default: all tenants")
    ] = ""
    oidc_leeway_s: Annotated[
        float, Field(ge=0, le=300, description="how far the provider's clock may differ, s")
    ] = 60.0
    oidc_keys_max_age_s: Annotated[
        float,
        Field(ge=60, le=2_592_000, description="how long the provider's keys are used while they "
              "cannot be read again, s"),
    ] = 86_400.0  # fmt: skip
    certificate_trust_domain: Annotated[
        str,
        Field(description="trust domain of certificates that name their callers "
              "(spiffe://<domain>/…), several by comma; default: certificates name nobody"),
    ] = ""  # fmt: skip
    certificate_operators: Annotated[
        list[str],
        Field(description="<name>=<role> for certificates spiffe://<domain>/operator/<name>"),
    ] = []  # noqa: RUF012 - pydantic copies defaults

    @property
    def trust_domains(self) -> frozenset[str]:
        """Those of certificate_trust_domain."""
        named = (one.strip().lower() for one in self.certificate_trust_domain.split(","))
        return frozenset(one for one in named if one)

    @property
    def asks_for_credentials(self) -> bool:
        """Whether callers have to say who they are."""
        return bool(self.tokens or self.oidc_issuer or self.certificate_trust_domain)

    def misfits(self) -> Iterator[str]:
        """See ServiceSettings."""
        yield from super().misfits()
        roles: Mapping[str, object] = {}
        try:
            roles = role_mapping(self.oidc_roles, "oidc_roles")
        except InvalidInput as error:
            yield error.message
        try:
            role_mapping(self.certificate_operators, "certificate_operators")
        except InvalidInput as error:
            yield error.message
        if self.oidc_issuer and not (self.oidc_audience and self.oidc_roles):
            yield "oidc_issuer needs oidc_audience, and oidc_roles to give roles by"
        if not self.oidc_issuer and (
            self.oidc_audience or self.oidc_jwks or roles or self.oidc_tenant_claim
        ):
            yield "settings of the OpenID provider need oidc_issuer"
        yield from self._certificate_misfits()

    def _certificate_misfits(self) -> Iterator[str]:
        client_ca = getattr(self, "tls_client_ca", None)
        if self.certificate_trust_domain and client_ca is None:
            yield "certificate_trust_domain needs tls_client_ca, which verifies them"
        if self.certificate_trust_domain and not self.trust_domains:
            yield "certificate_trust_domain names no domain, as in example.net"
        if len(self.trust_domains) > MOST_TRUST_DOMAINS:
            yield f"certificate_trust_domain names more than {MOST_TRUST_DOMAINS} domains"
        for one in sorted(self.trust_domains)[:MOST_TRUST_DOMAINS]:
            if _TRUST_DOMAIN.fullmatch(one) is None:
                yield (
                    f"certificate_trust_domain: {quoted(one)} is no trust domain; it is what "
                    "stands between spiffe:// and the next slash, as in example.net"
                )
        insecure = getattr(self, "insecure", False)
        if client_ca is not None and not self.asks_for_credentials and not insecure:
            yield _OPEN_TO_CERTIFICATES
        if self.certificate_operators and not self.certificate_trust_domain:
            yield "certificate_operators needs certificate_trust_domain"
