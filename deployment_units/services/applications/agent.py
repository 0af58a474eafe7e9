"""ApplicationAgent: for each application's account that lives here, publishes what is sent to it
and follows what is answered; and hands on the presses of everybody else.

Which account answers for which application the data-sharing service says, and is asked every
ADDRESSES_S; until it has said so once, nobody here is known to be one. Each account has tasks of
its own, which rest while it lives elsewhere; what fails is tried again with growing pauses, for as
long as the account is here: nothing that waits is ever given up because of time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial

from control_plane.backoff import Backoff
from control_plane.errors import ServiceError, Unavailable
from deployment_units.services.accounts.accounts import AccountLeaving, StaleEpoch
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.applications.handing_on import HandingOn
from deployment_units.services.applications.outcome_follower import OutcomeFollower
from deployment_units.services.applications.port import DataSharing
from deployment_units.services.applications.publishing import Publishing
from deployment_units.services.applications.residents import Residents
from deployment_units.services.conversations.arrivals import Arrivals

log = logging.getLogger(__name__)

ADDRESSES_S = 5.0  # between two looks at which accounts answer for applications
LOOK_S = 15.0  # an account that nobody woke is looked at anyway
HANDED_ON_AT_ONCE = 8  # accounts whose presses are: a unit that is away holds up its own
NOTE_S = 30.0  # after so long it is noted up to where outcomes were looked through
PAUSES = Backoff(first_s=0.5, most_s=30.0, jittered=0.5)


class ApplicationAgent:
    """A PressDoors. Of one unit; use from its event loop. jitter: 0 to 1; monotonic: seconds."""

    def __init__(
        self,
        residents: Residents,
        sharing: DataSharing,
        publishing: Publishing,
        follower: OutcomeFollower,
        arrivals: Arrivals,
        *,
        tenants: Sequence[str],
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
        addresses_s: float = ADDRESSES_S,
        look_s: float = LOOK_S,
    ) -> None:
        self._residents = residents
        self._sharing = sharing
        self._publishing = publishing
        self._follower = follower
        self._arrivals = arrivals
        self._tenants = tenants
        self._monotonic = monotonic
        self._jitter = jitter
        self._addresses_s = addresses_s
        self._look_s = look_s
        self._known: dict[str, Mapping[str, str]] = {}  # by tenant: applications by account
        self._serving: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self.handing_on: HandingOn | None = None
        self._to_hand_on = asyncio.Event()
        self.counts = publishing.counts  # and replies, failures

    @property
    def accounts(self) -> int:
        """How many answer for applications, in all of its tenants; 0 while that is not known."""
        return sum(map(len, self._known.values()))

    def answers_for(self, tenant: str, account: str) -> bool:
        """See PressDoors."""
        if tenant not in self._tenants:
            return False
        known = self._known.get(tenant)
        if known is None:
            raise Unavailable("which accounts are applications is not known yet; try again")
        return account in known

    def kept(self, tenant: str, account: str) -> None:
        """See PressDoors."""
        if account in self._known.get(tenant, {}):
            self._arrivals.tell(tenant, account)
        else:
            self._to_hand_on.set()

    async def run(self) -> None:
        """Serves every application's account, until cancelled."""
        failures = 0
        self._serving.clear()  # what an earlier run began has ended with it
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    for tenant in self._tenants:
                        self._known[tenant] = await self._sharing.addresses(tenant)
                        self._serve(tenant, group)
                    pause_s, failures = self._addresses_s, 0
                except ServiceError as error:
                    self._failed("addresses of applications", error, failures)
                    pause_s, failures = PAUSES.pause_s(failures, self._jitter()), failures + 1
                await asyncio.sleep(pause_s)

    async def hand_on(self) -> None:
        """Hands on presses of cards of accounts elsewhere, until cancelled."""
        while True:
            self._to_hand_on.clear()
            waiting = self._residents.with_presses()
            async with asyncio.TaskGroup() as group:
                for _ in range(HANDED_ON_AT_ONCE):
                    group.create_task(self._hand_on_some(waiting))
            await _woken(self._to_hand_on, self._look_s)

    async def _hand_on_some(self, waiting: Iterator[Resident]) -> None:
        """Of whoever is next, until nobody is."""
        for resident in waiting:
            if not self._is_application(resident):
                await self._hand_on_of(resident)

    async def _hand_on_of(self, resident: Resident) -> None:
        if self.handing_on is None:
            return
        try:
            while await self.handing_on.hand_on(resident):
                pass
        except ServiceError as error:  # tried again at the next look
            self._failed(f"presses of {resident.account}", error, 1)

    def _is_application(self, resident: Resident) -> bool:
        return resident.account in self._known.get(resident.tenant, {})

    def _serve(self, tenant: str, group: asyncio.TaskGroup) -> None:
        """Begins and ends tasks, so that they are those of the accounts that are known."""
        wanted = {
            (tenant, account, application) for account, application in self._known[tenant].items()
        }
        for one in [one for one in self._serving if one[0] == tenant and one not in wanted]:
            self._serving.pop(one).cancel()
        for one in wanted - self._serving.keys():
            name = f"application {one[2]} of {tenant}"
            self._serving[one] = group.create_task(self._serve_one(*one), name=name)

    async def _serve_one(self, tenant: str, account: str, application: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish(tenant, account, application))
            group.create_task(self._follow(tenant, account, application))

    async def _publish(self, tenant: str, account: str, application: str) -> None:
        with self._arrivals.subscribed(tenant, account) as arrived:
            failures = 0
            while True:
                arrived.clear()
                resident = self._residents.find(tenant, account)
                if resident is None:
                    await _woken(arrived, self._look_s)
                    continue
                done = await self._tried(
                    f"publishing what is sent to {application}",
                    partial(self._publishing.publish, resident, application),
                    failures,
                )
                failures = failures + 1 if done is None else 0
                if done is False:
                    await _woken(arrived, self._look_s)

    async def _follow(self, tenant: str, account: str, application: str) -> None:
        failures = 0
        while True:
            resident = self._residents.find(tenant, account)
            if resident is None:
                await asyncio.sleep(min(self._look_s, 1.0))
                continue
            done = await self._tried(
                f"following outcomes of {application}",
                partial(self._follow_stream, resident, application),
                failures,
            )
            failures = failures + 1 if done is None else 0

    async def _follow_stream(self, resident: Resident, application: str) -> bool:
        """Until the service ends it, or the account is at home elsewhere."""
        after = self._follower.position(resident)
        noted_s = self._monotonic()
        pages = self._sharing.outcomes(
            resident.tenant, after=after, from_ms=self._residents.since_ms(resident)
        )
        try:
            async for page in pages:
                now_s = self._monotonic()
                replies = await self._follower.follow(resident, application, page)
                self.counts["replies"] += replies
                if not replies and now_s - noted_s >= NOTE_S and page.position:
                    await self._follower.note(resident, page.position)
                    noted_s = now_s
                if self._residents.find(resident.tenant, resident.account) != resident:
                    break
        finally:
            await pages.aclose()
        return True

    async def _tried(
        self, what: str, work: Callable[[], Awaitable[bool]], failures: int
    ) -> bool | None:
        """What some work answers; None where it failed, after a pause."""
        try:
            return await work()
        except (AccountLeaving, StaleEpoch):  # it is at home elsewhere, or soon will be
            await asyncio.sleep(PAUSES.first_s)
            return None
        except ServiceError as error:
            self._failed(what, error, failures)
            await asyncio.sleep(PAUSES.pause_s(failures, self._jitter()))
            return None

    def _failed(self, what: str, error: ServiceError, failures: int) -> None:
        self.counts["failures"] += 1
        if failures in (0, 10) or failures % 100 == 0:
            log.warning("%s does not go on yet: %s", what, error)


async def _woken(event: asyncio.Event, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        pass
