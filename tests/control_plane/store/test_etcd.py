"""The etcd adapter keeps the contract, over a real etcd."""

import pytest

from tests.support.contracts.store_contract import StoreContract


@pytest.fixture
def store(etcd_store):
    return etcd_store


class TestEtcd(StoreContract):
    """See StoreContract."""
