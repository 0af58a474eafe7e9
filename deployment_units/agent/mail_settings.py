"""Settings of a unit that takes mail: where it listens, for which domains, and whom it believes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from control_plane.errors import InvalidInput
from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.handles import read_handle
from control_plane.identifiers.identifier import Flaw
from control_plane.identity.names import check_slug
from deployment_units.services.mail_in.smtp_limits import read_networks

DEFAULT_TENANT = "default"
_NUMBER = re.compile(r"\+[1-9][0-9]{2,14}\Z")


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
    postmaster: Annotated[
        str,
        Field(
            description="handle of the account that gets mail for postmaster@ and abuse@, or "
            "DOMAIN=HANDLE by comma; all units the same; empty: kept in state_dir"
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

    mail_relay: Annotated[
        str,
        Field(
            description="host:port of the relay for mail that goes out, needs accounts and "
            "mail_domain; empty: none goes out"
        ),
    ] = ""
    mail_relay_tls: Annotated[
        bool, Field(description="only over TLS, with a certificate of the relay's name")
    ] = False
    mail_relay_ca: Annotated[
        Path | None, Field(description="PEM; the CA of it, in place of the machine's")
    ] = None
    mail_relay_user: Annotated[
        str, Field(description="as whom the relay knows us; needs mail_relay_tls")
    ] = ""
    mail_relay_password_file: Annotated[
        Path | None, Field(description="file with the password, closed to others")
    ] = None
    text_line: Annotated[
        str,
        Field(
            description="host:port of the line for texts, needs accounts and text_number; empty: "
            "they go by sip_listen, where there is one"
        ),
    ] = ""
    text_number: Annotated[
        str, Field(description="the unit's own number, +44…, from which texts go")
    ] = ""

    def mail_misfits(self, *, accounts: bool, sip: bool) -> Iterator[str]:
        """What is wrong with them, for people. sip: there is a call server, which takes texts."""
        try:
            domains = mail_domains(self.mail_domain)
            role_handles(self.postmaster, domains)
            read_networks(self.mail_trusted, "mail_trusted")
        except InvalidInput as error:
            yield error.message
            return
        for flag, value in (
            ("--smtp-listen", self.smtp_listen), ("--mail-relay", self.mail_relay),
            ("--text-line", self.text_line),
        ):  # fmt: skip
            if value and not accounts:
                yield f"messages are of accounts; add --accounts to {flag}"
            if value and flag != "--text-line" and not domains:
                yield f"mail has a domain; name it with --mail-domain beside {flag}"
            host, _, port = value.rpartition(":")
            if value and not (host and port.isdigit() and int(port) <= 65535):
                yield f"{flag} {value} is not host:port"
        if self.mail_relay_user and not self.mail_relay_tls:
            yield "credentials go over verified TLS alone; add --mail-relay-tls"
        if bool(self.mail_relay_user) != (self.mail_relay_password_file is not None):
            yield "--mail-relay-user and --mail-relay-password-file belong together"
        number = bool(_NUMBER.match(self.text_number))
        if (self.text_line and not number) or (self.text_number and not number):
            yield "--text-line needs --text-number, such as +442079460100"
        elif number and not (self.text_line or sip):
            yield "--text-number needs --text-line or --sip-listen"


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


def role_handles(text: str, domains: Mapping[str, str]) -> dict[str, str]:
    """Handles in normal form, by domain, of who gets mail for the roles of it. domains: as
    `mail_domains` says. Raises InvalidInput."""
    found: dict[str, str] = {}
    for part in (one.strip() for one in text.split(",")):
        if not part:
            continue
        name, _, handle = part.rpartition("=")
        read = read_handle(handle)
        if isinstance(read, Flaw):
            raise InvalidInput("postmaster", f"postmaster: {read}")
        domain = read_domain(name) if name else None
        if isinstance(domain, Flaw):
            raise InvalidInput("postmaster", f"postmaster: {domain}")
        if domain is not None and domain.normal not in domains:
            raise InvalidInput("postmaster", f"postmaster: {name} is no mail_domain of the unit")
        for one in domains if domain is None else (domain.normal,):
            found[one] = read.normal
    return found
