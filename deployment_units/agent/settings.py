"""Settings of an agent process: flags > environment > TOML file > default.

The only place that reads any of them. Unknown flags and unknown keys of the file fail.
Environment variables are the field names in upper case behind HOMEPORT_AGENT_.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from control_plane.exposure import check_exposure, check_serving_tls, check_shown_certificate
from control_plane.handoff.chunks import MAX_STATE_BYTES
from control_plane.serving.connection_settings import ConnectionSettings
from control_plane.settings import read, said_by
from control_plane.telemetry.log_settings import LogSettings
from deployment_units.agent.capacity_limit import DEFAULT_MARGIN
from deployment_units.agent.mail_settings import MailSettings
from deployment_units.agent.push_settings import PushSettings
from deployment_units.agent.sip_settings import SipSettings
from deployment_units.agent.web_settings import WebSettings
from deployment_units.services.gateway.waiting import MOST_OF_ACCOUNT, MOST_OF_TENANT


class AgentSettings(
    MailSettings, PushSettings, SipSettings, WebSettings, ConnectionSettings, LogSettings
):
    """One agent, or one for each unit of a fleet file."""

    model_config = SettingsConfigDict(env_prefix="HOMEPORT_AGENT_", cli_prog_name="homeport agent")
    secrets: ClassVar[tuple[str, ...]] = ("token", "data_sharing_token")

    units: Annotated[
        Path | None, Field(description="fleet file: one agent for each unit in it")
    ] = None
    unit: Annotated[str, Field(description="or the id of one unit that is applied already")] = ""
    server: Annotated[str, Field(description="provisioning servers, host:port[,host:port…]")] = (
        "127.0.0.1:7700"
    )
    listen: Annotated[
        str, Field(description="host:port for clients; with --units the port must be 0")
    ] = "127.0.0.1:0"
    tenants: Annotated[
        str, Field(description="tenants that --unit serves, by comma; empty: all")
    ] = ""
    token: Annotated[str, Field(description="better given by the environment or token_file")] = ""
    token_file: Annotated[
        Path | None, Field(description="file with the token, closed to others")
    ] = None
    ttl_s: Annotated[
        int, Field(ge=2, le=60, description="how long a missing heartbeat is forgiven, s")
    ] = 10
    keep_endpoints: Annotated[
        bool,
        Field(description="clients are sent to the file's endpoints, and not where agents listen"),
    ] = False
    ca: Annotated[
        Path | None, Field(description="PEM; the servers' CA: with it, the agent speaks TLS")
    ] = None
    certificate: Annotated[
        Path | None, Field(description="PEM, shown to servers that ask for one (mTLS); needs ca")
    ] = None
    certificate_key: Annotated[Path | None, Field(description="PEM")] = None
    tls_certificate: Annotated[
        Path | None, Field(description="PEM, shown to clients; needs tls_key")
    ] = None
    tls_key: Annotated[Path | None, Field(description="PEM")] = None
    tls_client_ca: Annotated[
        Path | None, Field(description="PEM; clients must show a certificate of it")
    ] = None
    insecure: Annotated[bool, Field(description="listen beyond loopback without TLS")] = False
    state_dir: Annotated[
        Path | None, Field(description="folder for client state; default: in memory")
    ] = None
    accounts: Annotated[
        bool,
        Field(description="keep accounts in state_dir, and serve them: profiles, contacts"),
    ] = False
    outbox_account_limit: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="deliveries of one account that may wait; more is refused (OUTBOX_FULL)",
        ),
    ] = MOST_OF_ACCOUNT
    outbox_tenant_limit: Annotated[
        int,
        Field(
            ge=1,
            le=100_000_000,
            description="the same of all accounts of a tenant in this unit",
        ),
    ] = MOST_OF_TENANT
    data_sharing: Annotated[
        str,
        Field(
            description="data-sharing servers, host:port[,host:port…]: the unit is the agent of "
            "applications whose accounts live here; with the TLS of server; empty: of none"
        ),
    ] = ""
    data_sharing_tenants: Annotated[
        str, Field(description="tenants whose applications are served, by comma")
    ] = "default"
    data_sharing_token: Annotated[
        str,
        Field(
            description="of homeport-messages, with the roles producer and consumer; better given "
            "by the environment or data_sharing_token_file"
        ),
    ] = ""
    data_sharing_token_file: Annotated[
        Path | None, Field(description="file with that token, closed to others")
    ] = None
    max_state_bytes: Annotated[
        int, Field(ge=0, le=1 << 40, description="largest client state imported, bytes")
    ] = MAX_STATE_BYTES
    capacity_margin: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of the capacity that is let in beyond it: clients "
            "that left, and of whom the unit has not heard yet",
        ),
    ] = DEFAULT_MARGIN
    metrics_listen: Annotated[
        str, Field(description="host:port for Prometheus and health; empty: none")
    ] = ""
    ready_file: Annotated[
        Path | None, Field(description="written as JSON once every unit is registered")
    ] = None

    def written_folders(self) -> Iterator[tuple[str, Path | None]]:
        """See ServiceSettings."""
        yield "state_dir", self.state_dir

    def misfits(self) -> Iterator[str]:
        """See ServiceSettings."""
        yield from super().misfits()
        if (self.units is None) == (not self.unit):
            yield "name either a fleet file (--units) or one unit (--unit)"
        for flag, listen in (
            ("--listen", self.listen), ("--http-listen", self.http_listen),
            ("--smtp-listen", self.smtp_listen),
        ):  # fmt: skip
            host, _, port = listen.rpartition(":")
            if not listen and flag != "--listen":
                continue
            if not host or not port.isdigit() or int(port) > 65535:
                yield f"{flag} {listen} is not host:port"
            elif self.units is not None and int(port) != 0 and flag != "--http-listen":
                yield f"with --units each unit needs a port of its own; use {flag} HOST:0"
        yield from self.web_misfits(accounts=self.accounts, fleet=self.units is not None)
        if self.data_sharing and not self.accounts:
            yield "applications answer at accounts; add --accounts to --data-sharing"
        yield from self.mail_misfits(accounts=self.accounts, sip=bool(self.sip_listen))
        yield from self.sip_misfits(accounts=self.accounts, fleet=self.units is not None)
        yield from self.push_misfits(accounts=self.accounts)
        if self.accounts and self.state_dir is None:
            yield "accounts are kept in a folder; name it with --state-dir"
        yield from said_by(
            lambda: check_serving_tls(self.tls_certificate, self.tls_key, self.tls_client_ca),
            lambda: check_shown_certificate(self.certificate, self.certificate_key, self.ca),
            lambda: check_exposure(
                "--listen",
                self.listen,
                tls=self.tls_certificate is not None,
                tokens=None,  # clients show tickets, and orders are signed
                insecure=self.insecure,
            ),
            lambda: check_exposure(
                "--http-listen",
                self.http_listen,
                tls=self.tls_certificate is not None,
                tokens=None,  # likewise
                insecure=self.insecure,
            ),
        )


def read_settings(arguments: Sequence[str]) -> AgentSettings:
    """From a command line without the program's name; see control_plane.settings.read."""
    return read(AgentSettings, arguments)
