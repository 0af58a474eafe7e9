"""Settings of a unit that takes mail: where it listens, for which domains, and whom it believes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field

from control_plane.errors import InvalidInput
from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import Flaw
from control_plane.identity.names import check_slug
from deployment_units.services.mail_in.smtp_limits import read_networks

DEFAULT_TENANT = "default"


class MailSettings(BaseModel):
    """Part of AgentSettings."""

    smtp_listen: Annotated[
        str,
        Field(
            description="host:port for mail that comes in, needs accounts and mail_domain; empty: "
            "none; with --units the port must be 0"
        ),
    ] = ""
    mail_domain: Annotated[
        str,
        Field(
            description="domains of the accounts' mail, each DOMAIN=TENANT, by comma; without "
            "=TENANT that of the tenant default"
        ),
    ] = ""
    mail_trusted: Annotated[
        str,
        Field(
            description="addresses and networks of relays in front, by comma, whose "
            "Authentication-Results are believed; of others DKIM and SPF are checked here"
        ),
    ] = ""
    mail_authserv_id: Annotated[
        str,
        Field(description="what these relays call themselves there; empty: the first mail_domain"),
    ] = ""
    mail_dns: Annotated[
        str,
        Field(description="address:port of the resolver for DKIM and SPF; empty: the machine's"),
    ] = ""

    def mail_misfits(self, *, accounts: bool) -> Iterator[str]:
        """What is wrong with them, for people."""
        try:
            domains = mail_domains(self.mail_domain)
            read_networks(self.mail_trusted, "mail_trusted")
        except InvalidInput as error:
            yield error.message
            return
        if not self.smtp_listen:
            return
        if not accounts:
            yield "mail is for accounts; add --accounts to --smtp-listen"
        if not domains:
            yield "mail comes to domains; name them with --mail-domain"


def mail_domains(text: str) -> dict[str, str]:
    """Tenants by domain, in A-labels. Raises InvalidInput."""
    found: dict[str, str] = {}
    for part in (one.strip() for one in text.split(",")):
        if not part:
            continue
        name, _, tenant = part.partition("=")
        domain = read_domain(name)
        if isinstance(domain, Flaw):
            raise InvalidInput("mail_domain", f"mail_domain: {domain}")
        found[domain.normal] = check_slug(tenant or DEFAULT_TENANT, "mail_domain")
    return found
