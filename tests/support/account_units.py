"""A unit with accounts as tests use it: its database and services, and tickets for it."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from control_plane.identity.admission import TicketVerifier
from control_plane.identity.introductions import IntroductionIssuer
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from deployment_units.agent.keeping import PARTS
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.accounts.staying import Home, Staying
from deployment_units.services.conversations.answering import AnswerPresses
from deployment_units.services.conversations.arrivals import Arrivals
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.conversations.clicking import PressDoors
from deployment_units.services.conversations.originals import find_original
from deployment_units.services.conversations.service import ConversationService
from deployment_units.services.device_graph.service import DeviceService
from deployment_units.services.gateway.activity import ClientActivity
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.gateway.sending import MessageSender
from deployment_units.services.gateway.waiting import OutboxLimits
from deployment_units.services.identities.service import IdentityService
from deployment_units.services.profiles.naming import Naming
from deployment_units.services.profiles.service import ProfileService
from deployment_units.services.state.accounts import AccountState
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner
from tests.support.account_parts import Ticking
from tests.support.fakes.call_context import FakeContext
from tests.support.fakes.names import NamesFake
from tests.support.fakes.unit_directory import UnitDirectoryFake

NOW = 1_800_000_000.0
TENANT = "talk"
MOST_BYTES = 100_000


def an_issuer(now: float = NOW) -> TicketIssuer:
    return TicketIssuer(KeyRing(epochs=(new_epoch(1, now=now, random=os.urandom),)))


class AccountUnit:
    """now: Unix seconds, by which it goes; home: what it knows of where accounts live."""

    def __init__(
        self,
        unit_id: str,
        folder: Path,
        issuer: TicketIssuer,
        now: float = NOW,
        press_doors: PressDoors | None = None,
        limits: OutboxLimits | None = None,
    ) -> None:
        self.unit_id = unit_id
        self.issuer = issuer
        self.now = now
        self.home = Home.HERE
        self.homes: dict[str, Home] = {}  # of accounts for which it is another
        self.ticking = Ticking()
        self.database = UnitDatabase(folder, PARTS, monotonic=self.ticking)
        self.verifier = TicketVerifier(unit_id, issuer.keys_for(unit_id))
        self.state = AccountState(self.database, wall_ms=self.wall_ms, most_bytes=MOST_BYTES)
        self.accounts = Accounts(self.database, wall_ms=self.wall_ms, most_bytes=MOST_BYTES)
        self.staying = Staying(self.database, self._whereabouts, wall_ms=self.wall_ms)
        self.callers = callers = Callers(unit_id, self.verifier, wall=lambda: self.now)
        self.directory = UnitDirectoryFake(unit_id)
        ids = itertools.count(1)
        self.naming = Naming(
            self.accounts,
            self.database,
            self.directory,
            wall_ms=self.wall_ms,
            new_id=lambda: f"{unit_id}-{next(ids)}",
        )
        self.profiles = ProfileService(self.accounts, callers, self.naming, wall_ms=self.wall_ms)
        self.arrivals = Arrivals()
        self.checks = CardChecks()
        self.agenda = Agenda()
        self.names = NamesFake()
        self.activity = ClientActivity(self.arrivals.is_followed)
        # Whether what comes to an owner's account is routed beyond its clients.
        self.routed: Callable[[sqlite3.Connection, int], bool] = lambda db, owner: False
        self.sender = MessageSender(
            self.accounts, self.arrivals, self.agenda, wall_ms=self.wall_ms,
            routed=lambda db, owner: self.routed(db, owner), shown=self.activity.shown,
            limits=limits or OutboxLimits(),
        )  # fmt: skip
        self.database.on_commit.append(self.sender.committed)
        self.conversations = ConversationService(
            self.accounts, callers, self.arrivals, self.sender, self.checks,
            directory=self.names, press_doors=press_doors, wall_ms=self.wall_ms, look_s=0.01,
        )  # fmt: skip
        self.identities = IdentityService(
            self.accounts, callers, find_original, wall_ms=self.wall_ms
        )
        self.devices = DeviceService(
            self.database, self.accounts, callers,
            wall_ms=self.wall_ms, serves=self.verifier.serves, activity=self.activity,
        )  # fmt: skip
        self.presses_in_words = AnswerPresses(
            self.accounts, self.conversations.clicking, self.checks
        )

    def wall_ms(self) -> int:
        return int(self.now * 1000)

    def by_ticket(
        self, account: str, epoch: int = 1, *, tenant: str = TENANT, first_ms: int = 0
    ) -> FakeContext:
        """A call with a ticket for this unit."""
        return FakeContext(
            self.issuer.issue(
                self.unit_id, tenant, account, epoch, self.now, 3600.0, first_ms=first_ms
            )
        )

    def by_introduction(
        self, account: str, viewer: str = "", epoch: int = 1, *, tenant: str = TENANT
    ) -> FakeContext:
        """A call with an introduction to an account at this unit."""
        return FakeContext(
            IntroductionIssuer(self.issuer).make(
                self.unit_id, tenant, account, epoch, self.now, viewer=viewer
            )
        )

    def _whereabouts(self, owner: Owner) -> Home:
        return self.homes.get(owner.account, self.home)


@asynccontextmanager
async def account_unit(
    folder: Path,
    unit_id: str = "u",
    issuer: TicketIssuer | None = None,
    now: float = NOW,
    press_doors: PressDoors | None = None,
    limits: OutboxLimits | None = None,
) -> AsyncIterator[AccountUnit]:
    unit = AccountUnit(unit_id, folder, issuer or an_issuer(now), now, press_doors, limits)
    try:
        yield unit
    finally:
        await unit.database.close()
