"""StackOptions: what somebody asks of a stack on one machine. Values alone, of which `stack_plan`
makes a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from console.local.stack_security import StackSecurity
from control_plane.fleet.unit import UnitId


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRelay:
    """Who takes mail that goes out, host:port, and the domain that it comes from, and to which
    answers are sent. vouches: who brings mail from this machine is believed on whose it is."""

    address: str
    domain: str
    tenant: str = "default"  # whose accounts are written to there
    vouches: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLine:
    """The line for texts, host:port, and the number of the service, +44…"""

    address: str
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """A data-sharing server, and units that are agents of the applications of one tenant. clock: of
    the server; None: the machine's."""

    tenant: str
    clock: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What the operator asked for. `store` is `embedded`, `etcd` (started here) or the URL of
    an etcd that runs already. Port 0 means any free port."""

    data_dir: Path
    units: Path
    store: str = "embedded"
    port: int = 7700
    metrics_port: int = 7701
    http_port: int = 0  # for clients that have HTTP and JSON alone
    etcd_port: int = 0  # of the etcd that is started here
    geo: Path | None = None
    workers: int = 1
    lost_after_s: float | None = (
        None  # clients leave a silent unit then; None: as the server has it
    )
    transport: str = "auto"
    accounts: bool = False  # units keep accounts
    # Units with an agent process of their own, each with its part of the fleet file; empty: one
    # process for all.
    apart: tuple[str, ...] = ()
    web: bool = False  # units serve browsers
    web_ports: Mapping[UnitId, int] = field(
        default_factory=dict
    )  # of units; of others any free one
    web_url: str = ""  # where these reach units, for links in mail; empty: mail has none
    mail: MailRelay | None = None  # None: no mail goes out
    text: TextLine | None = None  # None: no texts
    trunks: str = ""  # of the units' call servers, as agents take them; empty: there are none
    dns: str = ""  # ADDRESS:PORT that records of domains are looked for at; empty: the machine's
    push: str = ""  # push services that accounts may use, as agents take it; empty: none
    # Hosts at which handles have pages, and WebFinger finds them: host to tenant, the host with the
    # port where it is another than HTTPS's; none: no pages.
    hosts: Mapping[str, str] = field(default_factory=dict)
    pages_port: int = 0  # at which these are served
    # `nats`: a NATS server and a data-sharing server that keeps everything there; empty: neither.
    feeds: str = ""
    feeds_port: int = 0  # of that data-sharing server, for gRPC; over HTTP the next one
    feeds_partitions: int = 1  # that keys are spread over, each with such a server of its own
    sharing: Sharing | None = None  # needs `security`; None: no applications
    security: StackSecurity | None = None  # None: plain, and everybody may do all

    @property
    def host_names(self) -> list[str]:
        """Of pages, and of units that browsers reach by a name."""
        return [one.partition(":")[0] for one in self.hosts] + list(self.unit_hosts.values())

    @property
    def unit_hosts(self) -> dict[UnitId, str]:
        """The name of each unit that browsers reach at a port of its own, which leads to this
        machine (RFC 6761): each has sessions of its own there."""
        return {unit: f"{unit}.localhost" for unit in self.web_ports}


def with_pages(
    options: StackOptions,
    host: str,
    pages_port: int,
    web_ports: Mapping[UnitId, int],
    *,
    secured: bool,
) -> StackOptions:
    """The same with pages of the default tenant at a host, and a port for each unit where browsers
    reach it. A port of 0 is any free one, which no link can name. secured: over TLS."""
    at = f"{host}:{pages_port}" if pages_port else host
    fixed = {unit: port for unit, port in web_ports.items() if port}
    there = replace(
        options, web=True, hosts={at: "default"}, pages_port=pages_port, web_ports=fixed
    )
    scheme = "https" if secured else "http"
    urls = [f"{unit}={scheme}://{there.unit_hosts[unit]}:{port}" for unit, port in fixed.items()]
    return replace(there, web_url=",".join(urls))
