"""Settings of one data-sharing server: flags > environment > TOML file > default.

The only place that reads any of them. Unknown flags and unknown keys of the file fail.
Environment variables are the field names in upper case behind HOMEPORT_SHARING_, lists as
JSON.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from control_plane.auth.access import ShownTickets
from control_plane.auth.access_settings import AccessSettings
from control_plane.exposure import check_exposure, check_serving_tls
from control_plane.identity.wrapping_settings import WrappingSettings
from control_plane.printable import quoted
from control_plane.quotas.open_streams import OpenLimits
from control_plane.serving.connection_settings import ConnectionSettings
from control_plane.serving.server import Transport
from control_plane.settings import read, said_by
from control_plane.store.access_settings import StoreAccessSettings
from control_plane.telemetry.log_settings import LogSettings
from control_plane.tracing.settings import TracingSettings
from data_sharing.memory_limits import MemoryLimits
from data_sharing.replication.partition_map import MOST_PARTITIONS
from data_sharing.runtimes.processes import ProcessPolicy

PARTITIONS_FOLDER = "partitions"
NAME_PATTERN = r"^[A-Za-z0-9-]{1,40}$"
MemoryBound: TypeAlias = Literal[
    "rule_keys", "rule_bytes", "key_bytes", "tenant_keys", "tenant_bytes", "producer_keys",
    "producer_bytes",
]  # fmt: skip


class Settings(
    AccessSettings,
    ConnectionSettings,
    LogSettings,
    StoreAccessSettings,
    TracingSettings,
    WrappingSettings,
):
    """See the module; `homeport share --help` shows these descriptions."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_SHARING_", cli_prog_name="homeport share"
    )
    secrets: ClassVar[tuple[str, ...]] = (*StoreAccessSettings.secrets, *WrappingSettings.secrets)

    data_dir: Annotated[
        Path, Field(description="events, applications and compiled code are kept there")
    ] = Path("homeport-data/sharing")
    compiled_dir: Annotated[
        Path | None,
        Field(description="compiled code, which programs of one user on a machine may share; "
              "default: in data_dir"),
    ] = None  # fmt: skip
    store: Annotated[
        str,
        Field(
            description="etcd://host:port,… or etcds://… (TLS), where the tenants' records are: "
            "quotas that stand there hold here as well; default: those of the settings alone"
        ),
    ] = ""
    feeds: Annotated[
        list[str],
        Field(
            description="nats://host:port or tls://host:port of NATS servers that keep all that is "
            "decided; this server then has one partition of it while it has its lease; default: "
            "this machine's disk alone"
        ),
    ] = []  # noqa: RUF012  # pydantic copies it
    feeds_prefix: Annotated[
        str,
        Field(pattern=NAME_PATTERN, description="what names of streams and subjects begin with"),
    ] = "homeport"
    feeds_partition: Annotated[
        str, Field(pattern=NAME_PATTERN, description="which partition this server may have")
    ] = "0"
    feeds_partitions: Annotated[
        int,
        Field(
            ge=1, le=MOST_PARTITIONS,
            description="over how many partitions the keys of all tenants are spread, each with a "
            "server of its own; this one has whichever is free; fixed with the first server",
        ),
    ] = 1  # fmt: skip
    feeds_address: Annotated[
        str,
        Field(
            description="host:port at which other servers and clients reach this one, of those "
            "that partitions are spread over; default: where it listens"
        ),
    ] = ""
    feeds_servers_ca: Annotated[
        Path | None,
        Field(
            description="PEM; who signed the certificates of the servers that have other "
            "partitions; needed with tls_certificate"
        ),
    ] = None
    feeds_replicas: Annotated[
        int, Field(ge=1, le=5, description="on how many NATS servers each stream is kept")
    ] = 3
    feeds_allow_fewer: Annotated[
        bool, Field(description="fewer than three: what was answered may be lost with a server")
    ] = False
    feeds_monitoring: Annotated[
        list[str],
        Field(
            description="http://host:port of the NATS servers' monitoring, which is asked whether "
            "they sync every write"
        ),
    ] = []  # noqa: RUF012  # pydantic copies it
    feeds_allow_unsynced: Annotated[
        bool, Field(description="NATS servers are not asked whether they sync every write")
    ] = False
    feeds_lease_s: Annotated[
        float,
        Field(
            ge=1,
            le=60,
            description="how long nothing is heard of a server until another takes "
            "its partition, s",
        ),
    ] = 3.0
    feeds_credentials: Annotated[
        Path | None, Field(description="a NATS credentials file of this server's user")
    ] = None
    feeds_ca: Annotated[
        Path | None, Field(description="PEM; who signed the certificates of tls:// servers")
    ] = None
    feeds_detach: Annotated[
        bool,
        Field(
            description="without feeds: goes on from a copy of a partition on this machine's disk "
            "alone; no server of the partition may run any more"
        ),
    ] = False
    ticket_keys: Annotated[
        str,
        Field(
            description="public keys of the fleet's tickets, a JWK Set: a file or an https "
            "address; with them users show their own tickets, signed with EdDSA, for their "
            "consents; default: no ticket counts"
        ),
    ] = ""
    ticket_units: Annotated[
        list[str], Field(description="units whose tickets count; default: all")
    ] = []  # noqa: RUF012  # pydantic copies it
    listen: Annotated[str, Field(description="host:port for gRPC; port 0: any")] = "127.0.0.1:7703"
    http_listen: Annotated[
        str, Field(description="host:port for CloudEvents over HTTP; empty: none")
    ] = "127.0.0.1:7704"
    metrics_listen: Annotated[
        str, Field(description="host:port for metrics and health over HTTP; empty: none")
    ] = "127.0.0.1:7705"
    transport: Annotated[Transport, Field(description="auto, native or grpcio")] = Transport.AUTO
    retain_s: Annotated[float, Field(gt=0, description="how long events are kept, s")] = (
        7 * 86_400.0
    )
    retain_bytes: Annotated[
        int, Field(ge=1 << 20, description="how much of events is kept for each tenant, bytes")
    ] = 4 << 30
    keep_decisions_s: Annotated[
        float, Field(gt=0, description="how long decisions and ended instructions are kept, s")
    ] = 30 * 86_400.0
    max_hops: Annotated[
        int,
        Field(ge=1, le=1_000, description="how many decisions may follow on one another in a flow"),
    ] = 16
    signing_key: Annotated[
        Path | None,
        Field(description="signs instructions; made where it is not; default: in data_dir"),
    ] = None
    clock_file: Annotated[
        Path | None, Field(description="a simulated clock, as of demos and tests; default: none")
    ] = None
    max_event_bytes: Annotated[
        int, Field(ge=1024, le=512 * 1024, description="largest event that is taken")
    ] = 64 * 1024
    max_late_s: Annotated[
        float, Field(gt=0, description="how old an event's time may be when it comes, s")
    ] = 7 * 86_400.0
    max_ahead_s: Annotated[
        float, Field(gt=0, description="how far in the future an event's time may be, s")
    ] = 300.0
    max_artifact_bytes: Annotated[
        int, Field(ge=1024, le=1 << 30, description="largest artifact that is taken")
    ] = 64 << 20
    max_tails: Annotated[
        int,
        Field(ge=0, le=1_000_000, description="feeds tailed at once on one server; 0: no limit"),
    ] = 5_000
    max_tails_per_tenant: Annotated[
        int, Field(ge=0, le=1_000_000, description="and of one tenant; 0: no limit")
    ] = 1_000
    max_tails_per_caller: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="and of one caller in a tenant, by its credential, or by its address where "
            "none are asked for; 0: no limit",
        ),
    ] = 200
    allow_processes: Annotated[
        bool,
        Field(
            description="take and try applications that are executables of this machine, which are "
            "isolated less well than wasm"
        ),
    ] = False
    allow_root_sandbox: Annotated[
        bool,
        Field(description="run executables although this host is root; as nobody"),
    ] = False
    allow_processes_without_cgroup: Annotated[
        bool,
        Field(
            description="run executables where no control group can be made, bounded by "
            "resource limits alone"
        ),
    ] = False
    quotas: Annotated[
        dict[str, dict[str, float]],
        Field(
            description="limits in place of the usual ones, per second, as JSON: quota to tenant, "
            "client, address or tenant:NAME to a rate; 0: none"
        ),
    ] = {}  # noqa: RUF012  # pydantic copies it
    weights: Annotated[
        dict[str, Annotated[float, Field(ge=0.01, le=100)]],
        Field(
            description="shares of the time for deciding while several tenants have events "
            "waiting, as JSON: tenant to weight; 1 where nothing is said"
        ),
    ] = {}  # noqa: RUF012  # pydantic copies it
    memory_limits: Annotated[
        dict[MemoryBound, Annotated[int, Field(ge=1, le=1 << 50)]],
        Field(
            description="in place of the usual ones, what rules and forecasts may remember, as "
            "JSON: rule_keys, rule_bytes and key_bytes of each, tenant_keys and tenant_bytes of "
            "all of a tenant, producer_keys and producer_bytes of what events of one source make"
        ),
    ] = {}  # noqa: RUF012  # pydantic copies it
    audit_keep_s: Annotated[
        float, Field(ge=86_400, description="how long entries of the audit log are kept, s")
    ] = 400 * 86_400.0
    audit_keep_entries: Annotated[
        int, Field(ge=1_000, le=100_000_000, description="how many entries of it are kept at most")
    ] = 200_000
    drain_s: Annotated[
        float, Field(ge=0, le=600, description="how long calls may finish after SIGTERM, s")
    ] = 10.0
    ready_file: Annotated[
        Path | None, Field(description="written as JSON once this server serves")
    ] = None
    tls_certificate: Annotated[Path | None, Field(description="PEM; needs tls_key")] = None
    tls_key: Annotated[Path | None, Field(description="PEM")] = None
    tls_client_ca: Annotated[
        Path | None, Field(description="PEM; callers must show a certificate of it")
    ] = None
    insecure: Annotated[bool, Field(description="listen beyond loopback without TLS or tokens")] = (
        False
    )

    @field_validator("feeds")
    @classmethod
    def _nats_servers(cls, value: list[str]) -> list[str]:
        for one in value:
            scheme, _, rest = one.partition("://")
            host, _, port = rest.rpartition(":")
            if scheme not in ("nats", "tls") or not host or not port.isdigit():
                raise ValueError(f"{quoted(one)} is not nats://host:port or tls://host:port")
        return value

    @field_validator("listen", "http_listen", "metrics_listen", "feeds_address")
    @classmethod
    def _host_and_port(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name != "listen":
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{quoted(value)} is not host:port")
        return value

    def written_files(self) -> Iterator[tuple[str, Path | None]]:
        """See ServiceSettings."""
        yield from super().written_files()
        if self.signing_key is not None and not os.path.exists(self.signing_key):
            yield "signing_key", self.signing_key

    def written_folders(self) -> Iterator[tuple[str, Path | None]]:
        """See ServiceSettings."""
        yield from (("data_dir", self.data_dir), ("compiled_dir", self.compiled_dir))

    def misfits(self) -> Iterator[str]:
        """See ServiceSettings."""
        yield from super().misfits()
        yield from said_by(
            lambda: check_serving_tls(self.tls_certificate, self.tls_key, self.tls_client_ca)
        )
        if self.ticket_units and not self.ticket_keys:
            yield "ticket_units needs ticket_keys"
        if self.ticket_keys and not self.asks_for_credentials:
            yield (
                "ticket_keys needs tokens, oidc_issuer or certificate_trust_domain: without any of "
                "them nobody is asked for credentials, and everybody may do all"
            )
        if self.feeds and self.feeds_detach:
            yield "feeds_detach is for a server without feeds; leave one of them out"
        yield from self._misfits_of_partitions()
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

    def _misfits_of_partitions(self) -> Iterator[str]:
        spread = self.feeds_partitions > 1
        if spread and not self.feeds:
            yield "feeds_partitions needs feeds: keys are spread over servers by what is on NATS"
        if spread and self.feeds_partition != "0":
            yield (
                "feeds_partition names the one that a server may have, and feeds_partitions has it "
                "take whichever is free; leave one of them out"
            )
        if (self.feeds_address or self.feeds_servers_ca) and not spread:
            yield "feeds_address and feeds_servers_ca are for servers with feeds_partitions"
        if not spread:
            return
        host = self.listen.rpartition(":")[0]
        if host.strip("[]") in ("", "0.0.0.0", "::") and not self.feeds_address:
            yield (
                f"listen {self.listen} tells other servers no address: say with feeds_address at "
                "which host:port they reach this one"
            )
        if (self.tls_certificate is None) != (self.feeds_servers_ca is None):
            yield (
                "tls_certificate and feeds_servers_ca go together where partitions are spread: "
                "servers pass on what is of another one's partition"
            )

    @property
    def database_file(self) -> Path:
        """All that is decided, or a copy of it."""
        return self.data_dir / "sharing.db"

    def partition_file(self, partition: str) -> Path:
        """The copy of one of several partitions."""
        return self.data_dir / PARTITIONS_FOLDER / partition / "sharing.db"

    def shown_tickets(self) -> ShownTickets:
        """Which tickets of users count here."""
        return ShownTickets(self.ticket_keys, tuple(self.ticket_units))

    def processes(self) -> ProcessPolicy:
        """What is allowed of applications of kind process."""
        return ProcessPolicy(
            allowed=self.allow_processes,
            as_root=self.allow_root_sandbox,
            without_cgroup=self.allow_processes_without_cgroup,
        )

    def weight_of(self, tenant: str) -> float:
        """Of a tenant, among those whose events wait."""
        return self.weights.get(tenant, 1.0)

    def memory(self) -> MemoryLimits:
        """What rules and forecasts may remember."""
        return MemoryLimits(**{str(name): most for name, most in self.memory_limits.items()})

    def open_tails(self) -> OpenLimits:
        """How many feeds are tailed at once."""
        return OpenLimits(
            of_caller=self.max_tails_per_caller,
            of_tenant=self.max_tails_per_tenant,
            of_all=self.max_tails,
        )


def read_settings(arguments: Sequence[str]) -> Settings:
    """From a command line without the program's name; see control_plane.settings.read."""
    return read(Settings, arguments)
