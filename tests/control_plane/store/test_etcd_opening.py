"""Store URLs, and what is told of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.local.etcd_process import EtcdCluster
from control_plane.errors import InvalidInput
from control_plane.store.etcd import EtcdStore
from control_plane.store.etcd.connection import check_endpoint
from control_plane.store.opening import EtcdAccess, StoreUrl, open_store


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(
            "embedded:/var/lib/homeport/store.db",
            StoreUrl(scheme="embedded", path=Path("/var/lib/homeport/store.db")),
            id="embedded",
        ),
        pytest.param(
            "etcd://10.0.0.1:2379,etcd-2.example.net:2379",
            StoreUrl(scheme="etcd", endpoints=("10.0.0.1:2379", "etcd-2.example.net:2379")),
            id="two-endpoints",
        ),
        pytest.param(
            "etcds://[2001:db8::1]:2379/",
            StoreUrl(scheme="etcds", endpoints=("[2001:db8::1]:2379",)),
            id="tls-over-ipv6-with-a-last-slash",
        ),
        pytest.param(
            "etcd://a:1, b:2,",
            StoreUrl(scheme="etcd", endpoints=("a:1", "b:2")),
            id="blanks-and-a-last-comma",
        ),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: StoreUrl) -> None:
    assert StoreUrl.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("", "names no store", id="empty"),
        pytest.param("localhost:2379", "names no store", id="no-scheme"),
        pytest.param("http://a:2379", "names no store", id="http"),
        pytest.param("embedded:", "has no path", id="embedded-nowhere"),
        pytest.param("etcd:a:2379", "write etcd://a:2379", id="no-slashes"),
        pytest.param("etcd://", "names no endpoint", id="no-endpoint"),
        pytest.param("etcd://a:2379/prefix", "more than endpoints", id="a-path"),
        pytest.param("etcd://a:2379?tls=1", "more than endpoints", id="a-query"),
        pytest.param("etcd://root:hunter2@a:2379", "settings of their own", id="a-password"),
    ],
)
def test_a_wrong_url_says_how_to_write_it(url: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as error:
        StoreUrl.parse(url)
    assert error.value.field == "store"
    assert "hunter2" not in error.value.message


@pytest.mark.parametrize(
    "endpoint",
    [
        pytest.param("a", id="no-port"),
        pytest.param("a:", id="empty-port"),
        pytest.param("a:0", id="port-0"),
        pytest.param("a:65536", id="port-65536"),
        pytest.param(":2379", id="no-host"),
        pytest.param("http://a:2379", id="a-url"),
        pytest.param("2001:db8::1:2379", id="ipv6-without-brackets"),
        pytest.param("ipv4:127.0.0.1:2379", id="a-grpc-target"),
    ],
)
def test_a_wrong_endpoint_says_how_to_write_it(endpoint: str) -> None:
    with pytest.raises(InvalidInput, match="write host:port"):
        check_endpoint(endpoint)


async def test_certificates_with_an_url_without_tls_are_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="etcds://"):
        await open_store("etcd://a:2379", access=EtcdAccess(ca_file=tmp_path / "ca.pem"))


async def test_a_certificate_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"missing\.pem"):
        await open_store("etcds://a:2379", access=EtcdAccess(ca_file=tmp_path / "missing.pem"))


async def test_an_etcd_is_opened(shared_etcd: EtcdCluster) -> None:
    store = await open_store(shared_etcd.url)
    assert isinstance(store, EtcdStore)
    assert store.health.connected
    await store.close()


async def test_a_store_that_is_not_required_opens_without_an_etcd() -> None:
    store = await open_store("etcd://127.0.0.1:1", access=EtcdAccess(required=False))
    assert isinstance(store, EtcdStore)
    assert not store.health.connected
    await store.close()
