"""Naming: what an account does about its names, at the directory, and how its profile follows.

The claim at the directory is the truth, and the profile a picture of it. So before anything is
asked for that could change a claim, the profile notes that the directory is to be asked of all
names; and what the directory then says of all of them is what the profile shows. A unit that is
killed in between, or does not hear what came of a claim, finds the note and asks. An account that
has names is asked about again now and then, for others can change what they are.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote
from weakref import WeakValueDictionary

from google.protobuf.duration_pb2 import Duration

from control_plane.errors import InvalidInput, NotFound, Refused, ServiceError, Unavailable
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from control_plane.printable import quoted
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory import port
from deployment_units.services.directory.port import UnitDirectory
from deployment_units.services.profiles import kept, kept_names
from deployment_units.services.profiles.names import Name, NameState
from deployment_units.services.state.database import UnitDatabase
from homeport.api.directory.v1 import directory_pb2 as pb

log = logging.getLogger(__name__)

SETTLE_MS = 30_000  # until a note is looked at: longer than a call to the directory takes
RECHECK_MS = 3_600_000  # of an account that has names
LOOK_S = 5.0  # between two looks for notes
WAIT_S = 10.0  # for another question about the same account
AT_ONCE = 8
_PAGE = 64

_STATES = {
    pb.CLAIM_STATE_HELD: NameState.HELD,
    pb.CLAIM_STATE_CONTESTED: NameState.CONTESTED,
    pb.CLAIM_STATE_CONTESTING: NameState.CONTESTING,
    pb.CLAIM_STATE_QUARANTINED: NameState.QUARANTINED,
}


class Naming:
    """Of one unit. wall_ms: Unix ms; new_id: a request's that brought none."""

    def __init__(
        self,
        accounts: Accounts,
        database: UnitDatabase,
        directory: UnitDirectory,
        *,
        wall_ms: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._accounts = accounts
        self._database = database
        self._directory = directory
        self._wall_ms = wall_ms
        self._new_id = new_id
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._away = False

    async def claim_handle(
        self, resident: Resident, handle: str, *, rename: bool, request_id: str
    ) -> str:
        """Its normal form. Like all of these it raises what the directory says; Unavailable;
        OutcomeUnknown; StaleEpoch, AccountLeaving, AccountFull, and then nothing was asked for."""
        request = pb.ClaimHandleRequest(
            handle=handle, rename=rename, request_id=self._id(request_id)
        )
        answer = await self._changes(resident, port.CLAIM_HANDLE, request)
        return str(answer.handle)

    async def release_handle(self, resident: Resident, handle: str, *, request_id: str) -> bool:
        """Whether the account had it."""
        request = pb.ReleaseHandleRequest(handle=handle, request_id=self._id(request_id))
        answer = await self._changes(resident, port.RELEASE_HANDLE, request)
        return bool(answer.released)

    async def accept_handle(
        self, resident: Resident, offer: str, *, rename: bool, request_id: str
    ) -> str:
        """The handle."""
        request = pb.AcceptHandleRequest(
            offer=offer, rename=rename, request_id=self._id(request_id)
        )
        answer = await self._changes(resident, port.ACCEPT_HANDLE, request)
        return str(answer.handle)

    async def offer_handle(
        self, resident: Resident, handle: str, to_account: str, ttl: Duration | None
    ) -> pb.OfferHandleResponse:
        """Nothing changes."""
        request = pb.OfferHandleRequest(handle=handle, to_account=to_account, ttl=ttl)
        offered: pb.OfferHandleResponse = await self._directory.call(
            port.OFFER_HANDLE, resident, request
        )
        return offered

    async def begin_proof(
        self, resident: Resident, identifier: Identifier, *, request_id: str
    ) -> pb.BeginProofResponse:
        """The identifier is added where it is not there, and taken out again where the directory
        sends no code to such a one."""

        def note(db: sqlite3.Connection, owner: int) -> bool:
            is_new = kept_names.state_of(db, owner, identifier.uri) is None
            if is_new:
                kept.add_identifier(db, owner, identifier, "")
            kept_names.begin(db, owner, identifier.uri)
            kept_names.ask_at(db, owner, self._wall_ms() + SETTLE_MS)
            return is_new

        is_new = await self._accounts.change(resident, note)
        request = pb.BeginProofRequest(
            identifier=_sent_to(identifier), request_id=self._id(request_id)
        )
        try:
            begun: pb.BeginProofResponse = await self._directory.call(
                port.BEGIN_PROOF, resident, request
            )
        except (InvalidInput, Refused):  # for good, and nothing was sent
            if is_new:
                with suppress(ServiceError):  # the account moves: there it is shown as not proved
                    await self._accounts.change(
                        resident, lambda db, owner: kept.take_back(db, owner, identifier.uri)
                    )
            raise
        return begun

    async def confirm(
        self, resident: Resident, uri: str, code: str, *, findable: bool, request_id: str
    ) -> pb.FinishProofResponse:
        """Raises NotFound besides, where the account has no such identifier."""

        def has(db: sqlite3.Connection, owner: int) -> None:
            if kept_names.state_of(db, owner, uri) is None:
                raise NotFound(f"the account has no identifier {quoted(uri)}; add it first")

        request = pb.FinishProofRequest(
            identifier=pb.Identifier(uri=uri),
            code=code,
            findable=findable,
            request_id=self._id(request_id),
        )
        finished: pb.FinishProofResponse = await self._changes(
            resident, port.FINISH_PROOF, request, check=has
        )
        return finished

    async def remove(self, resident: Resident, uri: str, *, request_id: str) -> None:
        """Gives an identifier up at the directory, if that may know it, and then removes it."""

        if self._accounts.read(resident, partial(kept_names.state_of, uri=uri)):
            request = pb.ReleaseIdentifierRequest(
                identifier=pb.Identifier(uri=uri), request_id=self._id(request_id)
            )
            await self._changes(resident, port.RELEASE_IDENTIFIER, request)
        await self._accounts.change(
            resident, lambda db, owner: kept.remove_identifier(db, owner, uri)
        )

    async def ask(self, resident: Resident) -> None:
        """Asks the directory of all names of an account, and has its profile say so. Raises what
        the directory says; Unavailable, StaleEpoch, AccountLeaving, AccountFull."""
        key = (resident.tenant, resident.account)
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with asyncio.timeout(WAIT_S):
                await lock.acquire()
        except TimeoutError as error:
            raise Unavailable("the directory takes its time about this account") from error
        try:
            asked_ms = self._wall_ms()
            handles, identifiers = self._accounts.read(resident, _known)
            known = [*(f"@{one}" for one in handles), *identifiers]
            request = pb.GetAccountRequest(known=[pb.Identifier(uri=one) for one in known])
            answer = await self._directory.call(port.GET_ACCOUNT, resident, request)
            names = [_name(one) for one in answer.known]
            told_handles = {
                one.handle: Name(state=NameState.HELD, since_ms=one.claim_time.ToMilliseconds())
                for one in answer.handles
            }
            for handle, name in zip(handles, names, strict=False):
                if name.state is NameState.QUARANTINED:
                    told_handles.setdefault(handle, name)
            mend = partial(
                kept_names.mend,
                told_handles=told_handles,
                told=dict(zip(identifiers, names[len(handles) :], strict=False)),
                asked_ms=asked_ms,
                due_ms=asked_ms + RECHECK_MS,
            )
            await self._accounts.change(resident, mend)
        finally:
            lock.release()

    async def run(self) -> None:
        """Looks every LOOK_S, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except Unavailable as away:
                log.warning("names cannot be looked at yet: %s", away)

    async def look(self) -> None:
        """Asks of all accounts that are due, as long as the directory answers. Raises
        StoreUnavailable."""
        page = partial(kept_names.due, now_ms=self._wall_ms(), most=_PAGE)
        while residents := self._database.read(page):
            room = asyncio.Semaphore(AT_ONCE)

            async def one(resident: Resident) -> bool:
                async with room:  # noqa: B023  # of this page
                    return await self._asked(resident)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(resident)) for resident in residents]
            if not all(task.result() for task in tasks):
                return

    async def _asked(self, resident: Resident) -> bool:
        """Whether it is settled for now; False: the directory is away, or the account is."""
        try:
            await self.ask(resident)
        except Unavailable as away:  # AccountLeaving among them
            if not self._away:
                log.warning("the directory is not asked of names for now: %s", away)
            self._away = True
            return False
        except ServiceError as refused:  # it lives elsewhere, or has no home any more
            log.info("names of an account are not told: %s", refused)
            put_off = partial(kept_names.put_off, due_ms=self._wall_ms() + RECHECK_MS)
            try:
                await self._accounts.change(resident, put_off)
            except ServiceError:
                return False
        self._away = False
        return True

    async def _changes(
        self,
        resident: Resident,
        method: port.DirectoryMethod,
        request: Any,
        *,
        check: Callable[[sqlite3.Connection, int], None] = lambda db, owner: None,
    ) -> Any:
        """The directory's answer to what changes a claim, with the profile after it. What it says
        stands whether the profile could follow or not."""

        def note(db: sqlite3.Connection, owner: int) -> None:
            check(db, owner)
            kept_names.ask_at(db, owner, self._wall_ms() + SETTLE_MS)

        await self._accounts.change(resident, note)
        answer = await self._directory.call(method, resident, request)
        try:
            await self.ask(resident)
        except ServiceError as later:
            log.info("a profile follows its names later: %s", later)
        return answer

    def _id(self, given: str) -> str:
        return given or self._new_id()


def _known(db: sqlite3.Connection, owner: int) -> tuple[Mapping[str, Name], Mapping[str, Name]]:
    return kept_names.handles(db, owner), kept_names.identifiers(db, owner)


def _sent_to(identifier: Identifier) -> pb.Identifier:
    """As its owner wrote it: mail goes to a local part whose capitals may matter."""
    if identifier.kind is not IdentifierKind.EMAIL:
        return pb.Identifier(uri=identifier.uri)
    local, domain = identifier.shown.rpartition("@")[0], identifier.normal.rpartition("@")[2]
    return pb.Identifier(uri=f"mailto:{quote(local)}@{domain}")


def _name(told: pb.KnownName) -> Name:
    state = _STATES.get(told.state, NameState.NOTHING)
    return Name(
        state=state,
        since_ms=told.claim_time.ToMilliseconds() if told.HasField("claim_time") else None,
        until_ms=told.end_time.ToMilliseconds() if told.HasField("end_time") else None,
        findable=told.findable,
    )
