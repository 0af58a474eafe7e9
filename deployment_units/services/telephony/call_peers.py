"""Where the account of a call is at home, and the port by which its home unit is asked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.telephony.port import EndCause, RefusedCause
from deployment_units.services.telephony.routing import CallAsked, Routed


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUnit:
    """The home of an account that is another unit. endpoint: host:port; empty: nobody has heard of
    it yet. introduction: to the account there, of this unit for nobody in particular."""

    tenant: str
    account: str
    endpoint: str
    introduction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """What became of a call. record: its id; stage: `began`, `answered` or `ended`; at_ms: Unix ms;
    cause: of the end."""

    record: bytes
    stage: str
    at_ms: int
    cause: EndCause | None = None


class CallHomeFinder(Protocol):
    """None: there is no such account, or nobody is reached. fresh: what was answered last has
    turned out to be wrong. Raises Exhausted, Unavailable and what else the directory says."""

    async def of_call(
        self, caller: str | None, dialled: str, *, fresh: bool = False
    ) -> Resident | CallUnit | None:
        """Whose call one is. caller, dialled: E.164; caller None: withheld."""
        ...

    async def of_account(
        self, tenant: str, account: str, *, fresh: bool = False
    ) -> Resident | CallUnit | None:
        """Where an account is at home."""
        ...


class CallPeers(Protocol):
    """Other units. Each method ends on its own, and raises what the other unit said: StaleEpoch
    where the account has moved; Unavailable where it said nothing."""

    async def route(self, home: CallUnit, asked: CallAsked) -> Routed | RefusedCause:
        """Has the account's home open the record of a call. Nobody asks twice for one call: where
        nothing was said, there may be a record that nobody hears of again."""
        ...

    async def report(self, home: CallUnit, report: CallReport) -> None:
        """Raises NotFound where there is no such record."""
        ...
