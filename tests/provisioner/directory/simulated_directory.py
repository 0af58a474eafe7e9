"""A simulated directory: servers that are slow, die, and come back as zombies, over a network that
loses, delays and repeats, and a judge who looks at the stores after every transaction.

The servers are the real ones (provisioner.directory); only stores and network are made up. Where
they are `grouped`, each carries its small transactions in few (control_plane.store.grouped_store),
and now and then the task that does so is cancelled in the middle, and begins anew.
`without` names the compares that the stores leave out, to see that the judge notices.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.store.grouped_store import GroupedStore
from control_plane.store.port import Delete, Put, Txn, TxnResult
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.claims import DirectoryClaim, decode_account, decode_claim
from provisioner.directory.first_claims import Rest
from provisioner.directory.handles import HeldHandle
from provisioner.directory.registrar import split_claim_key
from provisioner.ledger.assignment import decode_assignment
from tests.support.directory_servers import (
    TENANT,
    DirectoryServer,
    FakeSession,
    home,
    request,
)
from tests.support.fakes.network_store import NetworkStore

ACCOUNTS = [f"a{n}" for n in range(5)]
HANDLES = ["anna", "anna-m", "annarn", "ben"]
COMPARES = {
    "claim": keys.DIRECTORY_HANDLES,
    "account": keys.DIRECTORY_ACCOUNTS,
    "home": keys.ASSIGNMENTS,
}


class Violation(AssertionError):
    """A promise was broken."""


class BlindStore(NetworkStore):
    """Leaves out every compare below a prefix."""

    blind_to = b""

    def _apply(self, txn: Txn) -> TxnResult:
        if self.blind_to:
            txn = txn.expanded()
            kept = [one for one in txn.compares if not one.key.startswith(self.blind_to)]
            txn = replace(txn, compares=kept)
        return super()._apply(txn)


class ClusteredAccounts:
    """Accounts in two stores, neither of which has the claims."""

    shared = None

    def __init__(self, stores: list[NetworkStore]) -> None:
        self._stores = stores

    def of(self, assignment_key: bytes) -> NetworkStore:
        return self._stores[assignment_key[-1] % len(self._stores)]

    async def read(self, txn: Txn, assignment_key: bytes) -> TxnResult:
        return await self.of(assignment_key).commit(txn)

    async def commit(self, txn: Txn, assignment_key: bytes) -> TxnResult:
        return await self.of(assignment_key).commit(txn)


class SimulatedDirectory:
    """`run` does what a seed says; raises Violation when a promise breaks."""

    def __init__(
        self,
        seed: int,
        *,
        split: bool,
        without: str = "",
        faults: float = 0.12,
        grouped: bool = False,
    ) -> None:
        self.rng = random.Random(seed)
        self.split = split
        self.grouped = grouped
        self.groups: list[tuple[GroupedStore, list[asyncio.Task[None]]]] = []
        made = [BlindStore(self.rng, faults=faults) for _ in range(3 if split else 1)]
        self.claims, self.clusters = made[0], made[1:] or made
        self.accounts = ClusteredAccounts(self.clusters) if split else None
        for account in ACCOUNTS:
            self._of(account).model.commit(home(account))
        for store in made:
            store.judge = self.judge
            store.blind_to = COMPARES.get(without, b"")
        self.stores = made
        self.handed_over: set[tuple[bytes, str, str]] = set()
        self.before: dict[bytes, DirectoryClaim] = {}
        self.lives = dict.fromkeys(ACCOUNTS, 1_000)
        self.claimed = self.refused = self.settled = self.accepted = self.at_once = 0
        self.violation: Violation | None = None
        count = self.rng.choice((1, 3)) if grouped else 3
        self.servers = [self.start_server() for _ in range(count)]
        self.running: list[asyncio.Task[None]] = []

    def start_server(self) -> DirectoryServer:
        name = f"p{len(self.claims.model.states)}"
        result = self.claims.model.commit(Txn(then=[Put(keys.session(name), b"")]))
        session = FakeSession(name, result.revision)
        store = self.group() if self.grouped else self.claims
        return DirectoryServer(store, self.accounts, rng=self.rng, session=session)

    def group(self) -> GroupedStore:
        """A server's own way to the claims, with its tasks."""
        made = GroupedStore(
            self.claims, turn_of=keys.directory_tenant, alone=lambda: False, clock=lambda: 0.0
        )
        loop = asyncio.get_running_loop()
        works = (made.run_writes, made.run_reads)
        self.groups.append((made, [loop.create_task(work()) for work in works]))
        return made

    def cancel_a_group(self) -> None:
        """What writes for a server ends in the middle; its supervisor begins it anew."""
        store, tasks = self.rng.choice(self.groups)
        tasks[0].cancel()
        tasks.append(tasks[0])
        tasks[0] = asyncio.get_running_loop().create_task(store.run_writes())

    @property
    def shared_commits(self) -> int:
        """Groups of more than one transaction that were committed."""
        return sum(sum(store.sizes.counts[1:]) for store, _ in self.groups)

    async def run(self, steps: int) -> None:
        try:
            for _ in range(steps):
                self.step()
                for _ in range(self.rng.randrange(4)):
                    await asyncio.sleep(0)
            await self.come_to_rest()
        finally:
            ended = [task for _, tasks in self.groups for task in tasks]
            for task in ended:
                task.cancel()
            await asyncio.gather(*ended, return_exceptions=True)

    def step(self) -> None:
        chosen = self.rng.random()
        if chosen < 0.04:
            self.end_session(kill=True)
        elif chosen < 0.08:
            self.end_session(kill=False)
        elif chosen < 0.10:
            self.make_anew(self.rng.choice(ACCOUNTS))
        elif chosen < 0.12 and self.grouped:
            self.cancel_a_group()
        elif len(self.running) < (30 if self.grouped else 8):
            task = asyncio.get_running_loop().create_task(self.act(self.rng.choice(self.servers)))
            self.running.append(task)
            task.add_done_callback(self.running.remove)

    async def act(self, server: DirectoryServer) -> None:
        account, handle = self.rng.choice(ACCOUNTS), self.rng.choice(HANDLES)
        chosen = self.rng.random()
        try:
            if chosen < 0.25 and self.grouped and not self.split:
                await self.claim_at_once(server, account, handle)
            elif chosen < 0.55:
                rename = self.rng.random() < 0.5
                await server.handles.claim(
                    TENANT, account, handle, None, request=request(), rename=rename
                )
                self.claimed += 1
            elif chosen < 0.75:
                await server.handles.release(TENANT, account, handle, None, request=request())
            else:
                await self.hand_over(server, account, handle)
        except ServiceError:
            self.refused += 1

    async def claim_at_once(self, server: DirectoryServer, account: str, handle: str) -> None:
        """As one that supposes that the account is new, whose home is as it was some time ago; or
        that reads."""
        key = keys.assignment(TENANT, account)
        once = self.claims.model.states[self.rng.choice(list(self.claims.model.states)[-6:])].get(
            key
        )
        if self.rng.random() < 0.3:
            once = None
        told: asyncio.Future[HeldHandle | ServiceError | Rest] = (
            asyncio.get_running_loop().create_future()
        )
        server.first_claims(lambda _: once).begin(
            TENANT, account, handle, ActingUnit(unit_id="london", epoch=1), request=request(),
            rename=self.rng.random() < 0.5, within_s=5.0, told=told.set_result,
        )  # fmt: skip
        said = await told
        if isinstance(said, ServiceError):
            raise said
        if isinstance(said, HeldHandle):
            self.at_once += 1
        else:
            await said()
        self.claimed += 1

    async def hand_over(self, server: DirectoryServer, account: str, handle: str) -> None:
        to = self.rng.choice([one for one in ACCOUNTS if one != account])
        offer, _ = await server.handles.offer(TENANT, account, handle, to, None, lasts_s=60)
        key = keys.handle_claim(TENANT, "")
        for pair in self.claims.model.under(key):
            self.handed_over.add((pair.key, account, to))
        other = self.rng.choice(self.servers)
        await other.handles.accept(TENANT, to, offer, None, request=request(), rename=True)
        self.accepted += 1

    def end_session(self, *, kill: bool) -> None:
        """A server's session ends; without a kill it goes on as if nothing had happened."""
        place = self.rng.randrange(len(self.servers))
        session = self.servers[place].session.id
        if kill and self.running:
            self.rng.choice(self.running).cancel()
        self.claims.model.commit(Txn(then=[Delete(keys.session(session))]))
        if kill:
            self.servers[place] = self.start_server()

    def make_anew(self, account: str) -> None:
        """The client is released, and somebody makes one of that name later."""
        self.lives[account] += 1
        self._of(account).model.commit(home(account, first_ms=self.lives[account]))

    async def come_to_rest(self) -> None:
        """Nothing is under way any more, every session is over; somebody meets every claim."""
        while self.running:
            await asyncio.gather(*list(self.running), return_exceptions=True)
        for store in self.stores:
            await store.arrived()
            store._faults = 0.0
        self.claims.model.commit(Txn(then=[Delete(keys.SESSIONS, prefix=True)]))
        server = self.start_server()
        for pair in self.claims.model.under(keys.DIRECTORY_HANDLES):
            self.settled += self._claim(pair).pending is not None
            _, claim = await server.registrar.claim_at(pair.key)
            if claim is not None and claim.pending is not None:
                raise Violation(f"{pair.key!r} is pending for ever")
        self.judge()
        if self.violation is not None:
            raise self.violation

    # -- the judge ---------------------------------------------------------------------

    def judge(self) -> None:
        """After each transaction; the first violation is kept, for tasks swallow errors."""
        try:
            self._judge()
        except Violation as error:
            self.violation = self.violation or error

    def _judge(self) -> None:
        now = {pair.key: self._claim(pair) for pair in self.claims.model.under(
            keys.DIRECTORY_HANDLES
        )}  # fmt: skip
        owners: dict[tuple[str, int], list[bytes]] = {}
        for key, claim in now.items():
            _, kind, name = split_claim_key(key)
            if len(claim.holders) > 1:
                raise Violation(f"{key!r} has two owners")
            for holder in claim.holders:
                pair = self._of(holder.account).model.state.get(
                    keys.directory_account(TENANT, holder.account)
                )
                if not decode_account(pair).lists(kind, name):
                    raise Violation(f"{holder.account} has {key!r}, and its record does not say so")
                owners.setdefault((holder.account, holder.life_ms), []).append(key)
            self._judge_change(key, self.before.get(key), claim)
        if not self.split and any(len(held) > 1 for held in owners.values()):
            raise Violation("an account has two handles")
        self.before = now

    def _judge_change(
        self, key: bytes, before: DirectoryClaim | None, after: DirectoryClaim
    ) -> None:
        """From one owner to another only by an offer that was made to it; and to nobody who is
        not at home."""
        was = before.holders[0] if before is not None and before.holders else None
        has = after.holders[0] if after.holders else None
        if has is None or has == was:
            return
        moved = was is not None and was.account != has.account
        if moved and was and (key, was.account, has.account) not in self.handed_over:
            raise Violation(f"{key!r} went from {was.account} to {has.account} by itself")
        pair = self._of(has.account).model.state.get(keys.assignment(TENANT, has.account))
        there = pair is not None and decode_assignment(pair.value).first_ms == has.life_ms
        if not self.split and not there:
            raise Violation(f"{has.account} was given {key!r} for a client that is gone")

    def _claim(self, pair) -> DirectoryClaim:
        claim = decode_claim(pair)
        assert claim is not None
        return claim

    def _of(self, account: str) -> NetworkStore:
        return self.clusters[account.encode()[-1] % len(self.clusters)]
