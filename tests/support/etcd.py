"""Real etcd servers for tests: one shared by the session, or a cluster of a test's own.

The shared one is wiped between tests, so revisions go on from where the test before left
them; a test that needs revision 1, restarts or odd flags takes `own_etcd`. Elections are
tuned down, so that a server is up in 0.1 s. Use with `pytest_plugins` or by name.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from console.local.etcd_process import EtcdCluster
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.etcd import EtcdStore
from control_plane.store.port import Delete, Store, Txn

# With etcd's defaults a single member waits a second for other candidates, three seconds
# after a restart. Its smallest lease would live two seconds.
FAST = ("--heartbeat-interval=10", "--election-timeout=100")
# Three members share two cores with the test: late heartbeats must not look like a death.
CALM = ("--heartbeat-interval=50", "--election-timeout=500")

StartEtcd = Callable[..., EtcdCluster]


@pytest.fixture(scope="session")
def shared_etcd() -> Iterator[EtcdCluster]:
    """One etcd for the whole session. Wipe it before use; see `etcd_store`."""
    with (
        tempfile.TemporaryDirectory(prefix="homeport-etcd-") as folder,
        EtcdCluster(Path(folder) / "shared", arguments=FAST) as cluster,
    ):
        yield cluster


@pytest.fixture
async def etcd_store(shared_etcd: EtcdCluster) -> AsyncIterator[EtcdStore]:
    """A store over the shared etcd, with no keys in it."""
    store = await EtcdStore.connect(shared_etcd.endpoints)
    try:
        await store.commit(Txn(then=[Delete(b"", prefix=True)]))
        yield store
    finally:
        await store.close()


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[StartEtcd]:
    """Starts clusters that end with the test: `own_etcd(size=3, arguments=[…], tls=…)`."""
    with ExitStack() as running:

        def start(*, size: int = 1, arguments: tuple[str, ...] = (), **more: Any) -> EtcdCluster:
            cluster = EtcdCluster(
                tmp_path / f"etcd-cluster-{next(number)}",
                size=size,
                arguments=(*(FAST if size == 1 else CALM), *arguments),
                **more,
            )
            running.callback(cluster.kill)
            return cluster.start()

        number = iter(range(1_000))
        yield start


@asynccontextmanager
async def store_of(url: str) -> AsyncIterator[EtcdStore]:
    """A connection of the test's own to the store at `url`."""
    store = await EtcdStore.connect([url.removeprefix("etcd://")])
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def either_store(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Store]:
    """A store with no keys in it, for a fixture whose parameter is "embedded" or "etcd"."""
    if request.param == "embedded":
        opened: Store = await EmbeddedStore.open(folder / "store.db")
    else:
        shared: EtcdCluster = request.getfixturevalue("shared_etcd")
        opened = await EtcdStore.connect(shared.endpoints)
    try:
        await opened.commit(Txn(then=[Delete(b"", prefix=True)]))
        yield opened
    finally:
        await opened.close()
