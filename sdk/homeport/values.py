"""The values that the client library takes and returns: plain, frozen, without protobuf.

Times are Unix seconds by this machine's clock, positions (latitude, longitude) in degrees on
WGS 84, distances great-circle kilometres. None means not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from homeport.errors import HomeportError


class LocationSource(StrEnum):
    """How Homeport came to know where a client is."""

    UNKNOWN = ""  # not said, or not recorded
    OVERRIDE = "override"  # an operator's CIDR override
    DECLARED = "declared"  # the caller said so, and may
    DATABASE = "database"  # looked up in the geo database
    TENANT_DEFAULT = "tenant-default"
    NOWHERE = "nowhere"  # nobody knows; load and hash decided


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAt:
    """One client of a batch and where it is: an address, a position, or neither. attributes: what
    is told of it for its tenant's policy, as for `provision`; waiting_token: of a WaitingForRoom
    that another process got for it."""

    client_id: str
    address: str | None = None  # IPv4 or IPv6 literal
    position: tuple[float, float] | None = None  # latitude, longitude in degrees
    attributes: Mapping[str, str] | None = None
    waiting_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A client's home: the unit that serves it, and the ticket that the unit accepts."""

    tenant: str
    client_id: str
    unit_id: str
    endpoint: str  # host:port of the unit
    epoch: int  # grows with every move of the client
    ticket: str = field(default="", repr=False)  # a credential: never logged by accident
    ticket_expires_at: float | None = None  # None: no ticket
    assigned_at: float | None = None
    source: LocationSource = LocationSource.UNKNOWN
    country: str = ""  # of the client, ISO 3166-1 alpha-2; empty: unknown
    distance_km: float | None = None  # client to unit
    rule: str = ""  # what decided: nearest, least-loaded-near, spread, next-best, existing
    existing: bool = False  # the client had this assignment before the call
    stale: bool = False  # nobody could confirm it: the client may have moved since
    network: str = ""  # CIDR: for which the decision holds as well, where that was asked for
    from_cache: bool = False  # read from this machine's cache, not from a server
    recorded: RecordedDecision | None = None  # how it came about, from `get` and `explain`
    attributes: Mapping[str, str] = field(default_factory=dict)  # of the client, from `get`

    def is_fresh(self, at: float, *, margin_s: float = 0.0) -> bool:
        """Whether the ticket is good at Unix time `at` and for `margin_s` seconds more."""
        return self.ticket_expires_at is not None and at + margin_s < self.ticket_expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """How a client came to the unit it has, as it was recorded then."""

    location: Location  # to 0.1 degrees
    distance_km: float | None  # client to unit
    rule: str  # what decided: as in Assignment, or drained, failed-over, returned-home, …
    placed_by: str = ""  # of a move: by which rule the unit was chosen
    moved_from: str = ""  # of a move: the unit that the client left
    job_id: str = ""  # of a move: the job that moved it; empty: it was moved when it asked
    fleet_revision: int = 0  # of the store, as of which the units were known
    policy_revision: int = 0


class AssignmentChangeKind(StrEnum):
    """What changed about a client's assignment."""

    HOME = "home"  # its assignment as the watch begins
    MOVED = "moved"
    RELEASED = "released"  # it has no home any more
    ASSIGNED = "assigned"  # it was released, and has a new home


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentChange:
    """One change of a client's assignment, as a watch reports it."""

    kind: AssignmentChangeKind
    assignment: Assignment | None  # now, with a ticket; None: it has none
    previous: Assignment | None = None  # what was known before
    cause: str = ""  # of a move: drained, failed-over, returned-home, rebalanced, …


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionResult:
    """The result for one client of a batch: its assignment, or an error."""

    client_id: str
    assignment: Assignment | None = None
    error: HomeportError | None = None

    @property
    def ok(self) -> bool:
        """Whether there is an assignment."""
        return self.assignment is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a client is, and how well that is known."""

    source: LocationSource
    country: str = ""  # ISO 3166-1 alpha-2; empty: unknown
    subdivision: str = ""
    continent: str = ""  # AF AN AS EU NA OC SA; empty: unknown
    latitude: float | None = None  # degrees
    longitude: float | None = None
    uncertainty_km: float = 0.0  # radius around the position; 0.0: exact, or unknown


class PlacementVerdict(StrEnum):
    """How placement ranked a unit, or that it excluded it."""

    UNKNOWN = ""
    CHOSEN = "chosen"
    RANKED = "ranked"  # could take the client, something ranked higher
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFigure:
    """What clients of one place measured to a unit. ms: the round trip; reports: of so many
    clients; networks: in so many; age_s: since the last report."""

    ms: float
    reports: int
    networks: int
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsideredUnit:
    """One unit that placement considered for a client."""

    unit_id: str
    verdict: PlacementVerdict
    reason: str  # one sentence
    distance_km: float | None
    load: float  # share of capacity in use, 0.0 to 1.0
    rank: int  # 1 is best; 0: excluded
    bias: float = 0.0  # by the policy's ranking, per cent: above 0 it counts as nearer
    measured: MeasuredFigure | None = None  # told to viewers; None: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRule:
    """One rule of a tenant's policy, for one client."""

    name: str
    holds: bool
    reason: str  # the clauses that decided


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedHook:
    """What the hook of a tenant's policy has said of one client, or of its place."""

    name: str
    answered: bool  # False: no answer counts, and the policy says what holds
    order: tuple[str, ...]  # units that it puts first
    vetoed: tuple[str, ...]
    age_s: float  # of the answer
    told_attributes: Mapping[str, str] = field(default_factory=dict)  # of the client
    told_groups: tuple[str, ...] = ()  # that it is in


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPolicy:
    """What a tenant's policy makes of one client."""

    version: int
    certainty: str  # of its country: certain, uncertain, registered, unknown
    groups: tuple[str, ...]  # that it is in
    rings: tuple[str, ...]
    rules: tuple[ExplainedRule, ...]  # in their order
    hook: ExplainedHook | None = None  # None: no rule that holds names one
    attributes: Mapping[str, str] = field(default_factory=dict)  # that it reads of the client


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPin:
    """That a client has to live in one unit, whatever else its tenant's policy says."""

    unit_id: str
    reason: str = ""
    until: float | None = None  # Unix seconds; None: it has no end


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCap:
    """The cap in latency that holds for a client, where its policy's caps relax for who waits."""

    limit_ms: float | None  # None: any latency
    waits_since: float | None = None  # Unix seconds; None: it begins to wait now
    relaxes_after_s: float | None = None  # from now on; None: it does not any more
    next_limit_ms: float | None = None  # then; None: any latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where a client would be placed now and why, and what it has; asking changes nothing."""

    location: Location
    location_reason: str  # one sentence: how the location was found
    units: tuple[ConsideredUnit, ...]  # best first, excluded last
    rule: str
    current: Assignment | None  # what the client has, and how it came about; without ticket
    stale: bool = False  # answered without the store: `current` is not known then
    policy: ExplainedPolicy | None = None  # None: there is none, or it is not for this caller
    sentence: str = ""  # what would be decided and why, to be read aloud
    pin: ExplainedPin | None = None  # None: it is not pinned, or it is not for this caller
    cap: ExplainedCap | None = None  # None: no cap in latency relaxes
    quota_reason: str = ""  # why its tenant may have no further client; empty: it may, or it is one


class AdmitReason(StrEnum):
    """Why a unit let a client in, or did not."""

    UNKNOWN = ""
    ADMITTED = "admitted"
    MALFORMED = "malformed"  # not a ticket at all
    FORGED = "forged"
    EXPIRED = "expired"  # provision again for a fresh one
    NOT_YET_VALID = "not-yet-valid"  # check the clocks
    WRONG_UNIT = "wrong-unit"
    FOREIGN_TENANT = "foreign-tenant"
    STALE_EPOCH = "stale-epoch"  # the client has moved: go where `redirect` says
    UNIT_FULL = "unit-full"  # it has let in as many as it takes: try again later


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """The unit of a client that came to its former one. It needs a ticket for the new unit: from
    `get`, or from `provision` where the client has no unit."""

    unit_id: str  # empty: the client has no home any more
    endpoint: str  # empty: not known there
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A unit's answer to a ticket. A refusal is an answer, not an error."""

    admitted: bool
    reason: AdmitReason
    message: str  # one sentence with the next step
    tenant: str = ""
    client_id: str = ""
    epoch: int = 0
    expires_at: float | None = None
    redirect: Redirect | None = None  # with STALE_EPOCH, where the unit knows it


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyReport:
    """What a client has measured, and what the server made of it."""

    measured_ms: Mapping[str, float]  # a TCP connect, by unit; those that did not answer are not in
    accepted: int  # so many of them
    refused: Mapping[str, str]  # by unit, why not
    report_after_s: float  # a report that comes earlier is refused
