"""UnitSpec, UnitStatus and TenantSpec: the desired and reported state of units, and tenants.

Values only. How they are stored is in `records`, how they are checked in `validation`, how
they look on the wire in provisioner.api.mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from control_plane.fleet.enrolment import EnrolmentMethod, TrustedIssuer

UnitId = NewType("UnitId", str)
TenantId = NewType("TenantId", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A point on Earth, WGS 84."""

    latitude: float  # degrees, -90 to 90
    longitude: float  # degrees, -180 to 180


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAreas:
    """Where a unit's clients may be. Both empty: everywhere; else a client in any of them."""

    countries: tuple[str, ...] = ()  # ISO 3166-1 alpha-2
    continents: tuple[str, ...] = ()  # AF AN AS EU NA OC SA


EVERYWHERE = ServedAreas()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSpec:
    """The desired record of a unit, as an operator or its agent wrote it."""

    id: UnitId
    endpoint: str  # host:port, as declared; `serving_endpoint` says where clients are sent
    position: Position
    country: str  # ISO 3166-1 alpha-2
    capacity: int  # clients, at least 1
    weight: float = 1.0  # relative share among equals, > 0
    labels: Mapping[str, str] = field(default_factory=dict)
    serves: ServedAreas = EVERYWHERE
    tenants: tuple[str, ...] = ()  # empty: all


class UnitHealth(StrEnum):
    SERVING = "serving"
    NOT_SERVING = "not-serving"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """What a unit's agent reported last; stored under the agent's lease."""

    health: UnitHealth
    load: float  # share of what the unit can do, 0.0 to 1.0
    version: str
    incarnation: str  # one run of the agent; later runs sort after earlier ones
    reported_at: float  # Unix time, s
    endpoint: str = ""  # host:port where the agent is reached; empty: as the spec says
    admitted_clients: int = 0  # that it let in and whose tickets have not ended
    refused_full: int = 0  # clients that it turned away since it started, because it was full


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """The agent that registered last, whether it is heard now or not."""

    incarnation: str
    endpoint: str = ""  # host:port, as it reported; empty: as the spec says


def serving_endpoint(spec: UnitSpec, agent: AgentRecord | None) -> str:
    """Where clients of a unit are sent: its reported endpoint, else its declared endpoint."""
    return (agent.endpoint if agent is not None else "") or spec.endpoint


class Reprovision(StrEnum):
    """What becomes of a client that asks again when another unit suits it clearly better."""

    KEEP = "keep"  # it stays
    MOVE = "move"  # it moves without its state
    MOVE_WITH_STATE = "move-with-state"  # its unit hands its state to the next one first
    RESET = "reset"  # it moves, and its unit forgets it


class Failover(StrEnum):
    """What becomes of the clients of a unit that is lost. Their state is in it, and nobody can ask
    it for that."""

    BY_STATE = "by-state"  # as WAIT where clients move with their state, else as MOVE
    MOVE = "move"  # they get another unit, without their state
    WAIT = "wait"  # they stay, and are served again when it is back


class ReturnHome(StrEnum):
    """When a client goes back to the unit it had to leave, once that takes clients again."""

    NEVER = "never"
    NEXT_CONTACT = "next-contact"
    GRADUAL = "gradual"  # in the background, at a bounded rate


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRemoval:
    """A tenant is being removed and takes no new clients; whoever finds it without its remover
    goes on, or undoes it where it has clients that are to stay."""

    by: str  # the session of the server that is at it
    with_clients: bool = False  # its clients are released first


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantQuota:
    """What a tenant may ask for in place of what its servers say, as far as they let it."""

    quota: str  # provisions, lookups, …
    counted_by: str  # tenant, client or address
    per_s: float  # above 0
    burst: float = 0.0  # what may be used at once; 0: what comes in within five seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientQuota:
    """How many clients a tenant may have at once. While it stands every transaction that makes a
    client of the tenant, or releases one, counts it (docs/ledger.md). Those from before are counted
    once; until that is done nothing is bounded."""

    id: str  # new each time clients begin to be counted
    most: int  # clients; 0: counted, and not bounded
    counted: bool = False  # whether those from before are in the count
    excess: bool = False  # whether there may be more than `most` when the bound comes into force
    by: str = ""  # the session of the server that counts those from before


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantMemory:
    """What rules and forecasts of a tenant may remember in place of what data-sharing servers say,
    as far as they let it; 0: as much as they say."""

    rule_keys: int = 0  # at how many keys one rule or forecast does
    rule_bytes: int = 0  # and in how many bytes, as stored
    key_bytes: int = 0  # it at one key
    tenant_keys: int = 0  # all of them
    tenant_bytes: int = 0
    producer_keys: int = 0  # what events of one source have made
    producer_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSpec:
    """An organisation and how its clients are treated."""

    id: TenantId
    ticket_algorithm: str = "HS256"  # or EdDSA
    ticket_ttl_s: float = 3600.0
    default_position: Position | None = None  # for clients nobody can locate
    hold_s: float = 0.0  # a client not admitted within it loses its place; 0: never
    reprovision: Reprovision = Reprovision.KEEP
    return_home: ReturnHome = ReturnHome.NEVER
    failover: Failover = Failover.BY_STATE
    enrolment: tuple[EnrolmentMethod, ...] = ()  # any of these; empty: DEFAULT_METHODS
    issuers: tuple[TrustedIssuer, ...] = ()
    quotas: tuple[TenantQuota, ...] = ()  # each quota once for each it is counted by
    clients: ClientQuota | None = None  # how many it may have; None: they are not counted
    memory: TenantMemory = TenantMemory()
    removal: TenantRemoval | None = None

    @property
    def waits_for_lost_units(self) -> bool:
        """Whether its clients stay with a unit that is lost, for what is in it."""
        if self.failover is Failover.BY_STATE:
            return self.reprovision is Reprovision.MOVE_WITH_STATE
        return self.failover is Failover.WAIT


DEFAULT_TENANT = TenantSpec(id=TenantId("default"))
