"""Histories at random, a backup at some point of them, a restore: judged."""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from control_plane import keys, quota_keys
from control_plane.audit.chain import ChainWalk
from control_plane.audit.entry import AuditEntry, AuditPhase, decode_entry
from control_plane.audit.store_log import StoreAuditLog
from control_plane.errors import InvalidInput, Refused, ServiceError, Unavailable
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.fleet.records import encode_tenant
from control_plane.fleet.unit import ClientQuota, TenantId, TenantSpec
from control_plane.identity.key_wrapping import KeyWrapping
from control_plane.identity.keyring import (
    IN_STORE,
    decode_ring,
    load_or_create,
    rotate_stored,
)
from control_plane.store.damaged import shown_key
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.opening import EtcdAccess
from control_plane.store.port import Compacted, Put, Store, Txn, range_all, unchanged
from provisioner.backup.store_files import backup_store
from provisioner.ledger.client_counting import ClientCounting
from provisioner.ledger.session import Session
from provisioner.ledger.single_store import single_store_ledger
from provisioner.ledger.store_ledger import StoreLedger
from tests.support.backups import NOW, put_back
from tests.support.judge.books import ROOT, Change
from tests.support.judge.recorder import Recorder
from tests.support.ledger_operations import WAIT_S, FirstWithRoom, Leaving, clients_at
from tests.support.odd_keys import write_odd_keys
from tests.support.supervision import FailFast

UNITS = ["a", "b", "c"]
CAPACITY = 12


@asynccontextmanager
async def at_work(store: Store, name: str):
    numbers = iter(range(1_000))
    ledger = single_store_ledger(
        store,
        clock=time.monotonic,
        jitter=lambda: 0.0,
        new_id=lambda: f"{name}-{next(numbers)}",
        supervisor=FailFast(),
    )
    await ledger.start()
    ledger.follow(UNITS)
    running = asyncio.create_task(ledger.run())
    await asyncio.sleep(0)
    try:
        yield ledger
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def ask(ledger: StoreLedger, client: str, rng: random.Random) -> tuple[str, str]:
    wish = FirstWithRoom(ledger, client, rng.sample(UNITS, len(UNITS)))
    choice = wish.choose()
    if isinstance(choice, ServiceError):
        return ("failed", choice.reason)
    wish.account = choice
    ledger.submit(wish)
    return await asyncio.wait_for(wish.outcome, WAIT_S)


async def leave(ledger: StoreLedger, store: Store, client: str) -> None:
    pair = await store.get(keys.assignment("t", client))
    if pair is not None:
        leaving = Leaving(ledger, pair)
        ledger.release(leaving)
        await asyncio.wait_for(leaving.outcome, WAIT_S)


async def live(ledger: StoreLedger, store: Store, rng: random.Random, steps: int) -> None:
    """Clients that come, and some of them leave."""
    for _ in range(steps):
        client = f"c{rng.randrange(40)}"
        if rng.random() < 0.3:
            await leave(ledger, store, client)
        else:
            await ask(ledger, client, rng)


async def moved_often(store: Store, rng: random.Random) -> dict[bytes, int]:
    """Clients at later epochs, as moves leave them; what each was given."""
    given = {}
    for pair in (await store.range(keys.ASSIGNMENTS)).items:
        record = json.loads(pair.value)
        record["epoch"] += rng.randrange(4)
        await store.commit(
            Txn(
                compares=[unchanged(pair.key, pair.mod_revision)],
                then=[Put(pair.key, json.dumps(record).encode())],
            )
        )
        given[pair.key] = record["epoch"]
    return given


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def opened(path: Path) -> EmbeddedStore:
    store = await EmbeddedStore.open(path)
    for unit in UNITS:
        record = CapacityRecord(capacity=CAPACITY)
        if await store.get(keys.capacity(unit)) is None:
            await store.commit(Txn(then=[Put(keys.capacity(unit), encode_capacity(record))]))
    return store


async def taken(path: Path, file: Path, now: float = NOW - 60) -> None:
    await backup_store(f"embedded:{path}", file, access=EtcdAccess(), wall=lambda: now)


@pytest.mark.parametrize("counted", [True, False])
async def test_quotas_of_clients_are_settled_and_held_by_nobody(
    path: Path, tmp_path: Path, counted: bool
) -> None:
    """Whatever the books of before said; where clients are counted only later none counts twice."""
    names = {one: quota_keys.client_quota(one, "q1") for one in ("t", "u")}
    store = await opened(path)
    async with at_work(store, "old") as ledger:
        for n in range(5):
            assert (await ask(ledger, f"c{n}", random.Random(n)))[0] == "new"
    before = CapacityRecord(capacity=9, settled=3, grants={"old-0~0": 4})
    quota = ClientQuota(id="q1", most=9, counted=counted)
    tenant = TenantSpec(id=TenantId("t"), clients=quota)
    writes = [
        Put(keys.tenant("t"), encode_tenant(tenant)),
        Put(keys.usage(names["t"], "old-0~0"), b"2"),
        *(Put(keys.capacity(one), encode_capacity(before)) for one in names.values()),
    ]
    await store.commit(Txn(then=writes))
    await taken(path, tmp_path / "backup")
    await store.close()
    await put_back(tmp_path / "backup", f"embedded:{tmp_path / 'new.db'}")
    store = await EmbeddedStore.open(tmp_path / "new.db")
    await ClientCounting(store, tenants=dict, session=str, jitter=lambda: 0.0).count("t")
    for tenant_id, clients in (("t", 5), ("u", 0)):
        pair = await store.get(keys.capacity(names[tenant_id]))
        assert pair is not None
        assert decode_capacity(pair.value) == CapacityRecord(capacity=9, settled=clients)
    assert not (await store.range(keys.USAGE)).items
    await store.close()


@pytest.mark.parametrize("seed", range(6))
async def test_after_any_history_capacity_is_exact_and_no_epoch_falls(
    path: Path, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    file, where = tmp_path / "backup", tmp_path / "new" / "store.db"
    store = await opened(path)
    async with at_work(store, "old") as ledger:
        await live(ledger, store, rng, rng.randrange(60))
        # While writes are under way: the backup is of one revision all the same.
        under_way = asyncio.gather(*(ask(ledger, f"d{n}", rng) for n in range(10)))
        await asyncio.sleep(0)
        await taken(path, file)
        await under_way
        given = await moved_often(store, rng)
        await live(ledger, store, rng, rng.randrange(30))
    await store.close()

    await put_back(file, f"embedded:{where}")
    store = await EmbeddedStore.open(where)
    recorder = Recorder(None)
    with recorder.journal:
        page = await range_all(store, ROOT)
        recorder.revision = page.revision
        for unit in UNITS:  # all that follows comes at one revision, fences with their records
            recorder.books.units[unit].adoptable = True
        recorder.books.take(
            page.revision, [Change(p.key[len(ROOT) :].decode(), p.value) for p in page.items]
        )
        for unit in UNITS:
            booked, counted = await clients_at(store, unit)
            assert booked == counted <= CAPACITY
            assert not decode_capacity((await store.get(keys.capacity(unit))).value).grants
        for pair in (await store.range(keys.ASSIGNMENTS)).items:
            assert json.loads(pair.value)["epoch"] > given.get(pair.key, 0)
        async with at_work(store, "new") as ledger:
            await live(ledger, store, rng, 60)
            await asyncio.gather(*(ask(ledger, f"e{n}", rng) for n in range(40)))
        last = (await store.range(ROOT, limit=1)).revision
        async with aclosing(store.watch(ROOT, from_revision=page.revision + 1)) as batches:
            async for batch in batches:
                recorder.take(batch)
                if recorder.revision >= last:
                    break
    await store.close()
    assert recorder.verdict.broken == 0, str(recorder.verdict)
    assert sum(recorder.books.clients.values()) == CAPACITY * len(UNITS)


async def test_a_second_restore_of_the_same_backup_is_above_the_first(
    path: Path, tmp_path: Path
) -> None:
    store = await opened(path)
    async with at_work(store, "old") as ledger:
        await ask(ledger, "alice", random.Random(1))
    await store.close()
    await taken(path, tmp_path / "backup")
    epochs, revisions = [], []
    for number, later in enumerate((0, 3_600)):
        where = tmp_path / str(number) / "store.db"
        await put_back(
            tmp_path / "backup", f"embedded:{where}", wall=lambda later=later: NOW + later
        )
        store = await EmbeddedStore.open(where)
        pair = await store.get(keys.assignment("t", "alice"))
        epochs.append(json.loads(pair.value)["epoch"])
        revisions.append(pair.mod_revision)
        await store.close()
    assert epochs[1] - epochs[0] > 1_000_000
    assert revisions[1] - revisions[0] > 1_000_000


async def test_what_hangs_on_a_lease_is_left_out_and_what_is_beside_it_stands(
    path: Path, tmp_path: Path
) -> None:
    """A bootstrap token may have been used since, a hold have been admitted."""
    store = await opened(path)
    lease = await store.lease_grant(60)
    kept = {keys.unit("a"): b"{}", keys.tenant("t"): b"{}", keys.lifecycle("a"): b"{}"}
    gone = [keys.session("p"), keys.live("a"), keys.move("a", "t", "c"),
            keys.bootstrap_token("t", "1")]  # fmt: skip
    await store.commit(
        Txn(
            then=[
                *(Put(key, b"", lease) for key in gone),
                *(Put(key, value) for key, value in kept.items()),
                Put(keys.hold("t", "c"), b"{}"),
                Put(keys.RELEASED, b"x"),
            ]
        )
    )
    await store.close()
    await taken(path, tmp_path / "backup")
    where = tmp_path / "new" / "store.db"
    await put_back(tmp_path / "backup", f"embedded:{where}")
    store = await EmbeddedStore.open(where)
    found = {pair.key: pair.value for pair in (await store.range(ROOT)).items}
    await store.close()
    assert found.items() >= kept.items()
    assert not {*gone, keys.hold("t", "c"), keys.RELEASED, keys.RESTORING} & set(found)


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "wrapped"])
async def test_there_are_new_ticket_keys_under_a_number_of_their_own(
    path: Path, tmp_path: Path, wrapped: bool
) -> None:
    wrapping = KeyWrapping(bytes(32), random=random.Random(1).randbytes) if wrapped else None
    more = {"wrapping": wrapping} if wrapping else {}
    store = await opened(path)
    old = await load_or_create(store, path=None, now=1.0, random=random.Random(2).randbytes, **more)
    await taken(path, tmp_path / "backup")
    later = await rotate_stored(
        store, now=2.0, overlap_s=9e9, random=random.Random(3).randbytes, **more
    )
    await store.close()
    where = tmp_path / "new" / "store.db"
    if wrapping is not None:
        with pytest.raises(InvalidInput, match="wrapped"):
            await put_back(tmp_path / "backup", f"embedded:{where}")
        assert not where.exists()
    await put_back(tmp_path / "backup", f"embedded:{where}", **more)
    store = await EmbeddedStore.open(where)
    pair = await store.get(keys.KEY_RING)
    await store.close()
    assert wrapping is None or b"wrapped" in pair.value
    ring = decode_ring(pair.value, IN_STORE, **more)
    assert len(ring.epochs) == 1
    assert ring.newest.epoch > later.ring.newest.epoch
    assert ring.newest.master not in {one.master for one in (*old.epochs, *later.ring.epochs)}


async def test_the_audit_chain_goes_on_and_says_so(path: Path, tmp_path: Path) -> None:
    store = await opened(path)
    log = StoreAuditLog(store, wall=lambda: 1.0, new_id=lambda: "x", session=lambda: "p")
    for number in range(3):
        await log.append(AuditEntry(id=f"{number}", phase=AuditPhase.DONE, method="M"))
    await store.close()
    await taken(path, tmp_path / "backup")
    where = tmp_path / "new" / "store.db"
    about, _ = await put_back(tmp_path / "backup", f"embedded:{where}")
    store = await EmbeddedStore.open(where)
    page = await StoreAuditLog(
        store, wall=lambda: 1.0, new_id=lambda: "x", session=lambda: "p"
    ).read(after=0, limit=100)
    await store.close()
    walk = ChainWalk(page.head, page.trimmed)
    for record in page.records:
        walk.step(record)
    walk.end()
    entry = decode_entry(page.records[-1].content)
    assert (entry.sequence, entry.method, entry.caller.name) == (4, "Restore", "ops")
    assert entry.request["revision"] == about.revision


async def test_a_watch_of_the_old_store_does_not_go_on_in_the_new_one(
    path: Path, tmp_path: Path
) -> None:
    store = await opened(path)
    last = (await store.range(ROOT)).revision
    await store.close()
    await taken(path, tmp_path / "backup")
    where = tmp_path / "new" / "store.db"
    await put_back(tmp_path / "backup", f"embedded:{where}")
    store = await EmbeddedStore.open(where)
    with pytest.raises(Compacted):
        await anext(aiter(store.watch(ROOT, from_revision=last + 1)))
    await store.close()


async def test_no_session_begins_while_a_backup_is_being_put_back(path: Path) -> None:
    store = await opened(path)
    await store.commit(Txn(then=[Put(keys.RESTORING, b"x")]))
    session = Session(store, ttl_s=5, new_id=lambda: "p")
    with pytest.raises(Unavailable, match="being put into this store"):
        await session.open()
    await store.close()


@pytest.mark.parametrize("seed", range(1))
async def test_etcd_to_etcd_and_from_one_kind_to_the_other(
    path: Path, tmp_path: Path, own_etcd, seed: int
) -> None:
    rng = random.Random(seed)
    first, second = own_etcd(), own_etcd()
    store = await opened(path)
    async with at_work(store, "old") as ledger:
        await live(ledger, store, rng, 30)
    before = {p.key for p in (await store.range(keys.ASSIGNMENTS)).items}
    await store.close()
    await taken(path, tmp_path / "1", NOW)
    await put_back(tmp_path / "1", first.url)
    await backup_store(first.url, tmp_path / "2", access=EtcdAccess(), wall=lambda: NOW)
    about, _ = await put_back(tmp_path / "2", second.url)
    assert about.store == "etcd"
    assert about.cluster
    await backup_store(second.url, tmp_path / "3", access=EtcdAccess(), wall=lambda: NOW)
    await put_back(tmp_path / "3", f"embedded:{tmp_path / 'new' / 'store.db'}")
    store = await EmbeddedStore.open(tmp_path / "new" / "store.db")
    assert {p.key for p in (await store.range(keys.ASSIGNMENTS)).items} == before
    for unit in UNITS:
        booked, counted = await clients_at(store, unit)
        assert booked == counted
    await store.close()
    with pytest.raises(Refused, match="not empty"):
        await put_back(tmp_path / "3", second.url)


async def test_keys_that_are_nobodys_are_put_back_as_they_were(path: Path, tmp_path: Path) -> None:
    """They hold up no restore, and change no count."""
    store = await opened(path)
    prefixes = (keys.ASSIGNMENTS, keys.CAPACITY, keys.USAGE, keys.UNITS, keys.AUDIT_ENTRIES)
    odd = {prefix: await write_odd_keys(store, prefix, b"\xff") for prefix in prefixes}
    await store.close()
    await taken(path, tmp_path / "backup")
    where = tmp_path / "new" / "store.db"
    _, done = await put_back(tmp_path / "backup", f"embedded:{where}")
    store = await EmbeddedStore.open(where)
    found = {pair.key: pair.value for pair in (await store.range(ROOT)).items}
    await store.close()
    kept = [key for prefix in prefixes if prefix != keys.USAGE for key in odd[prefix]]
    assert all(found.get(key) == b"\xff" for key in kept)
    damaged = [*odd[keys.ASSIGNMENTS], *odd[keys.CAPACITY]]
    assert sorted(done.damaged) == sorted(shown_key(key) for key in damaged)
