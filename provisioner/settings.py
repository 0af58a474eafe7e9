"""Settings of one provisioning server: flags > environment > TOML file > default.

The only place that reads any of them. Unknown flags and unknown keys of the file fail.
Environment variables are the field names in upper case behind HOMEPORT_, lists as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from control_plane.auth.access_settings import AccessSettings
from control_plane.errors import InvalidInput
from control_plane.exposure import (
    check_exposure,
    check_serving_tls,
    check_shown_certificate,
)
from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw
from control_plane.identifiers.phones import read_phone
from control_plane.identity.wrapping_settings import WrappingSettings
from control_plane.printable import quoted
from control_plane.serving.connection_settings import ConnectionSettings
from control_plane.serving.server import Transport
from control_plane.settings import read, said_by
from control_plane.store.access_settings import StoreAccessSettings
from control_plane.store.opening import StoreUrl
from control_plane.telemetry.log_settings import LogSettings
from control_plane.tracing.settings import TracingSettings


class Settings(
    AccessSettings,
    ConnectionSettings,
    LogSettings,
    StoreAccessSettings,
    TracingSettings,
    WrappingSettings,
):
    """See the module; `homeport serve --help` shows these descriptions."""

    model_config = SettingsConfigDict(env_prefix="HOMEPORT_", cli_prog_name="homeport serve")
    secrets: ClassVar[tuple[str, ...]] = (*StoreAccessSettings.secrets, *WrappingSettings.secrets)

    store: Annotated[
        str, Field(description="embedded:FILE, etcd://host:port,… or etcds://… (TLS)")
    ] = "embedded:homeport-data/store.db"
    assignment_stores: Annotated[
        str,
        Field(
            description="name=etcd://…;name=etcd://…: clusters that assignments are spread "
            "over, the rest staying in the store; default: all is in the store"
        ),
    ] = ""
    listen: Annotated[str, Field(description="host:port for gRPC; port 0: any")] = "127.0.0.1:7700"
    metrics_listen: Annotated[
        str, Field(description="host:port for metrics and health over HTTP; empty: none")
    ] = "127.0.0.1:7701"
    http_listen: Annotated[
        str,
        Field(
            description="host:port for clients that speak HTTP and JSON; port 0: any; empty: none"
        ),
    ] = ""
    http_allow_origins: Annotated[
        list[str],
        Field(description="origins whose web pages may call over HTTP, or *; default: none"),
    ] = []  # noqa: RUF012 - pydantic copies defaults
    geo: Annotated[
        Path | None, Field(description="geo database, MaxMind format; default: the bundled one")
    ] = None
    geo_overrides: Annotated[Path | None, Field(description="YAML file of CIDR overrides")] = None
    policy_hooks: Annotated[
        Path | None,
        Field(description="YAML file of the hooks that policies may name, and where they are"),
    ] = None
    transport: Annotated[Transport, Field(description="auto, native or grpcio")] = Transport.AUTO
    workers: Annotated[int, Field(ge=1, le=256, description="processes that share the port")] = 1
    session_ttl_s: Annotated[
        int, Field(ge=2, le=60, description="lease of this provisioner in the store, s")
    ] = 5
    stale_grace_s: Annotated[
        float,
        Field(
            ge=0,
            le=2_592_000,
            description="how long after its end a client's last ticket "
            "proves who it is, and gets it an answer while the store is away, s",
        ),
    ] = 86_400.0
    snapshot: Annotated[
        Path | None,
        Field(
            description="file that keeps fleet, tenants and ticket keys (those unless "
            "master_key_file is set) for starting while etcd is away; for its owner alone"
        ),
    ] = None
    move_rate_per_s: Annotated[
        float,
        Field(ge=0.01, le=1e9, description="clients a job moves per second, unless it is told"),
    ] = 500.0
    lost_after_s: Annotated[
        float,
        Field(
            ge=0,
            le=86_400,
            description="how long a unit's agent may be silent, beyond its own lease, "
            "before its clients are moved; longer for one that flaps, s",
        ),
    ] = 30.0
    back_after_s: Annotated[
        float,
        Field(
            ge=0,
            le=86_400,
            description="how long a lost unit must be heard before it takes clients again; "
            "longer for one that flaps, s",
        ),
    ] = 10.0
    latencies_every_s: Annotated[
        float,
        Field(
            ge=1,
            le=600,
            description="how often a server writes what its clients measured, for the others, s",
        ),
    ] = 10.0
    max_watchers: Annotated[
        int, Field(ge=0, le=1_000_000, description="clients watched at once on one server")
    ] = 20_000
    quotas: Annotated[
        dict[str, dict[str, float]],
        Field(
            description="limits in place of the usual ones, per second, as JSON: quota to tenant, "
            "client, address or tenant:NAME to a rate; 0: none"
        ),
    ] = {}  # noqa: RUF012  # pydantic copies it
    audit_keep_s: Annotated[
        float, Field(ge=86_400, description="how long entries of the audit log are kept, s")
    ] = 400 * 86_400.0
    audit_keep_entries: Annotated[
        int, Field(ge=1_000, le=1_000_000, description="how many entries of it are kept at most")
    ] = 20_000
    drain_s: Annotated[
        float, Field(ge=0, le=600, description="how long calls may finish after SIGTERM, s")
    ] = 10.0
    ready_file: Annotated[
        Path | None, Field(description="written as JSON once this server serves")
    ] = None
    trusted_proxies: Annotated[
        list[str], Field(description="CIDR blocks and addresses whose x-forwarded-for is believed")
    ] = []  # noqa: RUF012 - pydantic copies defaults
    longest_ticket_s: Annotated[
        float,
        Field(
            ge=10,
            le=30 * 86_400,
            description="no tenant's tickets last longer; so long a unit that hears nothing may "
            "let in clients that left it, s",
        ),
    ] = 86_400.0
    master_key_file: Annotated[
        Path | None, Field(description="ticket keys; default: kept in the store")
    ] = None
    directory_pepper_file: Annotated[
        Path | None,
        Field(description="the directory's peppers; default: kept in the store"),
    ] = None
    directory_mail_relay: Annotated[
        str,
        Field(description="host:port of the SMTP relay that codes are mailed by; default: none"),
    ] = ""
    directory_mail_from: Annotated[
        str, Field(description="the address that codes come from; needs directory_mail_relay")
    ] = ""
    directory_text_line: Annotated[
        str,
        Field(
            description="host:port of the line for texts that codes to numbers go over; default: "
            "none"
        ),
    ] = ""
    directory_text_number: Annotated[
        str, Field(description="the number, +…, that such codes come from")
    ] = ""
    directory_http_listen: Annotated[
        str,
        Field(
            description="host:port for WebFinger, pages of handles and vCards; port 0: any; "
            "empty: none"
        ),
    ] = ""
    directory_hosts: Annotated[
        dict[str, str],
        Field(
            description="hosts at which names are served there, as JSON: host to tenant, such as "
            '{"talk.example": "talk"}; a host has a port where people come to another than 443'
        ),
    ] = {}  # noqa: RUF012  # pydantic copies it
    directory_write_at: Annotated[
        str,
        Field(
            description="where one writes to an account, for a link on its page: an https:// URL "
            "with {handle} in it; default: no link"
        ),
    ] = ""
    directory_dns: Annotated[
        str,
        Field(
            description="ADDRESS:PORT of resolvers that the records of domains are looked for by, "
            "with commas between; two of different operators are best; default: this machine's"
        ),
    ] = ""
    directory_dns_internal: Annotated[
        bool,
        Field(
            description="ask name servers of domains that are at private, loopback or link-local "
            "addresses"
        ),
    ] = False
    nowhere: Annotated[
        Literal["spread", "refuse"], Field(description="clients nobody can locate")
    ] = "spread"
    tls_certificate: Annotated[Path | None, Field(description="PEM; needs tls_key")] = None
    tls_key: Annotated[Path | None, Field(description="PEM")] = None
    tls_client_ca: Annotated[
        Path | None, Field(description="PEM; callers must show a certificate of it")
    ] = None
    insecure: Annotated[bool, Field(description="listen beyond loopback without TLS or tokens")] = (
        False
    )
    unit_ca: Annotated[
        Path | None, Field(description="PEM; the units' CA: with it, units are called over TLS")
    ] = None
    unit_certificate: Annotated[
        Path | None, Field(description="PEM, shown to units that ask for one (mTLS); needs unit_ca")
    ] = None
    unit_key: Annotated[Path | None, Field(description="PEM")] = None

    @field_validator("assignment_stores", mode="before")
    @classmethod
    def _a_table_too(cls, value: object) -> object:
        """In a TOML file they may be a table of addresses by name."""
        if isinstance(value, dict):
            return ";".join(f"{name}={url}" for name, url in value.items())
        return value

    @field_validator(
        "listen",
        "http_listen",
        "metrics_listen",
        "directory_mail_relay",
        "directory_text_line",
        "directory_http_listen",
    )
    @classmethod
    def _host_and_port(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name != "listen":
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{quoted(value)} is not host:port")
        return value

    @field_validator("directory_dns")
    @classmethod
    def _addresses_and_ports(cls, value: str) -> str:
        for one in filter(None, (part.strip() for part in value.split(","))):
            host, _, port = one.rpartition(":")
            try:
                ip_address(host.strip("[]"))
            except ValueError:
                port = ""
            if not port.isdigit() or not 0 < int(port) <= 65535:
                raise ValueError(f"{quoted(one)} is not ADDRESS:PORT")
        return value

    def written_files(self) -> Iterator[tuple[str, Path | None]]:
        """See ServiceSettings."""
        yield from super().written_files()
        yield "snapshot", self.snapshot
        yield "store", StoreUrl.parse(self.store).path

    def dns_servers(self) -> list[str]:
        """Each of directory_dns."""
        return [one.strip() for one in self.directory_dns.split(",") if one.strip()]

    def _check_senders_of_codes(self) -> None:
        """Raises InvalidInput."""
        relay, sender = self.directory_mail_relay, self.directory_mail_from
        if bool(relay) != bool(sender):
            raise InvalidInput(
                "directory_mail_relay",
                "directory_mail_relay and directory_mail_from go together: one says by whom codes "
                "are mailed, the other from whom",
            )
        found = read_email(sender) if sender else None
        if isinstance(found, Flaw):
            raise InvalidInput("directory_mail_from", f"directory_mail_from: {found}")
        line, number = self.directory_text_line, self.directory_text_number
        if bool(line) != bool(number) or (number and isinstance(read_phone(number), Flaw)):
            raise InvalidInput(
                "directory_text_line",
                "directory_text_line and directory_text_number go together: one says over which "
                "line codes go, the other from which number, such as +442079460018",
            )

    def _check_pages(self) -> None:
        """Raises InvalidInput."""
        if self.directory_http_listen and not self.directory_hosts:
            raise InvalidInput(
                "directory_hosts",
                "directory_http_listen serves names at hosts; say which, as directory_hosts",
            )
        write_at = self.directory_write_at
        if write_at and not (write_at.startswith("https://") and "{handle}" in write_at):
            raise InvalidInput(
                "directory_write_at",
                "directory_write_at is an https:// URL with {handle} in it",
            )

    def misfits(self) -> Iterator[str]:
        """See ServiceSettings."""
        yield from super().misfits()
        yield from said_by(
            lambda: check_serving_tls(self.tls_certificate, self.tls_key, self.tls_client_ca),
            lambda: check_shown_certificate(
                self.unit_certificate, self.unit_key, self.unit_ca, prefix="unit-"
            ),
            self._check_senders_of_codes,
            self._check_pages,
            lambda: check_exposure(
                "--directory-http-listen",
                self.directory_http_listen,
                tls=self.tls_certificate is not None,
                tokens=None,  # pages are for everybody
                insecure=self.insecure,
            ),
        )
        for flag, listen in (("--listen", self.listen), ("--http-listen", self.http_listen)):
            check = partial(
                check_exposure,
                flag,
                listen,
                tls=self.tls_certificate is not None,
                tokens=self.asks_for_credentials,
                insecure=self.insecure,
            )
            yield from said_by(check)


def read_settings(arguments: Sequence[str]) -> Settings:
    """From a command line without the program's name; see control_plane.settings.read."""
    return read(Settings, arguments)
