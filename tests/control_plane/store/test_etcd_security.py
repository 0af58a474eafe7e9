"""A guarded etcd: users with tokens that expire, TLS, mutual TLS."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from etcd3aio import PermissionType
from etcd3aio.auth import AuthService

from console.local.etcd_process import EtcdCluster, EtcdTls
from control_plane.errors import InvalidInput
from control_plane.keys import prefix_end
from control_plane.store.etcd import EtcdStore, StoreRefused, Tls
from control_plane.store.opening import EtcdAccess, open_store
from control_plane.store.port import Get, Put, StoreUnavailable, Txn
from tests.support.etcd import StartEtcd
from tests.support.fakes.tcp_proxy import TcpProxy

PREFIX = b"/homeport/"


async def guard(cluster: EtcdCluster) -> None:
    """Turns authentication on: root, and `homeport` which may use its prefix alone."""
    async with grpc.aio.insecure_channel(cluster.endpoints[0]) as channel:
        auth = AuthService(channel)
        await auth.user_add("root", "secret")
        await auth.user_grant_role("root", "root")
        await auth.user_add("homeport", "harbour")
        await auth.role_add("writer")
        await auth.role_grant_permission(
            "writer", PREFIX, prefix_end(PREFIX), perm_type=PermissionType.READWRITE
        )
        await auth.user_grant_role("homeport", "writer")
        await auth.auth_enable()


@pytest.fixture
async def guarded(own_etcd: StartEtcd) -> EtcdCluster:
    """An etcd whose tokens live one second after their last use."""
    cluster = own_etcd(arguments=("--auth-token-ttl=1", "--bcrypt-cost=4"))
    await guard(cluster)
    return cluster


async def forget_tokens(cluster: EtcdCluster) -> None:
    """Makes etcd forget the tokens of `homeport`, as a new password does at once."""
    async with grpc.aio.insecure_channel(cluster.endpoints[0]) as channel:
        auth = AuthService(channel)
        auth.set_token((await auth.authenticate("root", "secret")).token)
        await auth.user_change_password("homeport", "harbour")


async def test_a_user_reads_writes_and_keeps_a_lease(guarded: EtcdCluster) -> None:
    store = await EtcdStore.connect(guarded.endpoints, user="homeport", password="harbour")
    lease = await store.lease_grant(60)
    await store.commit(Txn(then=[Put(PREFIX + b"a", b"1", lease)]))
    assert await store.lease_keep_alive(lease) > 0
    kv = await store.get(PREFIX + b"a")
    assert kv is not None
    assert kv.lease == lease
    await store.lease_revoke(lease)
    assert await store.get(PREFIX + b"a") is None
    await store.close()


async def test_a_forgotten_token_is_replaced_without_the_caller_noticing(
    guarded: EtcdCluster,
) -> None:
    store = await EtcdStore.connect(guarded.endpoints, user="homeport", password="harbour")
    await store.commit(Txn(then=[Put(PREFIX + b"a", b"1")]))
    await forget_tokens(guarded)
    await store.commit(Txn(then=[Put(PREFIX + b"a", b"2")]))
    kv = await store.get(PREFIX + b"a")
    assert kv is not None
    assert (kv.value, kv.version) == (b"2", 2)
    assert store.health.errors == {"token-expired": 1}
    await store.close()


async def test_a_token_that_expired_of_age_is_replaced(guarded: EtcdCluster) -> None:
    """The one real wait: etcd's own clock has to pass the TTL of one second."""
    store = await EtcdStore.connect(guarded.endpoints, user="homeport", password="harbour")
    await asyncio.sleep(2.5)  # the TTL, and etcd looks for expired ones every second
    await store.commit(Txn(then=[Put(PREFIX + b"a", b"1")]))
    assert store.health.errors == {"token-expired": 1}
    await store.close()


async def test_a_watch_that_must_be_made_again_gets_a_token_again(guarded: EtcdCluster) -> None:

    async def connect(endpoint: str) -> EtcdStore:
        return await EtcdStore.connect([endpoint], user="homeport", password="harbour")

    async with TcpProxy(guarded.endpoints[0]) as proxy:
        store = await connect(proxy.endpoint)
        watch = store.watch(PREFIX, from_revision=1)
        await store.commit(Txn(then=[Put(PREFIX + b"a", b"1")]))
        assert (await anext(watch)).events[0].kv.value == b"1"
        await forget_tokens(guarded)
        proxy.hang_up()
        second = asyncio.ensure_future(anext(watch))
        writer = await connect(guarded.endpoints[0])
        await writer.commit(Txn(then=[Put(PREFIX + b"a", b"2")]))
        assert (await second).events[0].kv.value == b"2"
        await writer.close()
        await store.close()


@pytest.mark.parametrize(
    ("user", "password"),
    [
        pytest.param("homeport", "wrong", id="wrong-password"),
        pytest.param("nobody", "harbour", id="unknown-user"),
        pytest.param(None, None, id="no-credentials"),
    ],
)
async def test_who_cannot_prove_who_it_is_is_refused_at_once(
    guarded: EtcdCluster, user: str | None, password: str | None
) -> None:
    with pytest.raises(StoreRefused, match="etcd"):
        await EtcdStore.connect(guarded.endpoints, user=user, password=password, timeout_s=30.0)


async def test_what_no_role_allows_is_refused(guarded: EtcdCluster) -> None:
    store = await EtcdStore.connect(guarded.endpoints, user="homeport", password="harbour")
    with pytest.raises(StoreRefused, match="permission denied"):
        await store.commit(Txn(then=[Put(b"/elsewhere", b"")]))
    with pytest.raises(StoreRefused, match="permission denied"):
        await store.get(b"/elsewhere")
    with pytest.raises(StoreRefused, match="permission denied"):
        await anext(store.watch(b"/elsewhere", from_revision=1))
    await store.close()


async def test_a_user_without_a_password_is_a_mistake() -> None:
    with pytest.raises(InvalidInput, match="both"):
        await EtcdStore.connect(["127.0.0.1:1"], user="homeport")


# TLS.


@dataclass(frozen=True, slots=True, kw_only=True)
class Pki:
    """Certificates of one authority, as files: etcd's, and a client's."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_pki(folder: Path, *, server_name: str = "127.0.0.1") -> Pki:
    """An authority and two certificates; `server_name` is an address or a DNS name."""
    folder.mkdir()
    now = datetime.datetime.now(datetime.UTC)

    def issue(
        name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None
    ) -> tuple[Path, Path, x509.Name, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer, signer_key = issuer or (subject, key)
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(server_name))
        except ValueError:
            alternative = x509.DNSName(server_name)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
            .add_extension(x509.SubjectAlternativeName([alternative]), False)
            .sign(signer_key, hashes.SHA256())
        )
        pem, key_pem = folder / f"{name}.pem", folder / f"{name}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pem, key_pem, subject, key

    ca, _, ca_name, ca_key = issue("authority", None)
    server, server_key, _, _ = issue("etcd", (ca_name, ca_key))
    client, client_key, _, _ = issue("homeport", (ca_name, ca_key))
    return Pki(ca=ca, server=server, server_key=server_key, client=client, client_key=client_key)


def mutual(pki: Pki) -> EtcdTls:
    return EtcdTls(certificate=pki.server, key=pki.server_key, client_ca=pki.ca)


async def test_mutual_tls_opens_by_url(own_etcd: StartEtcd, tmp_path: Path) -> None:
    pki = make_pki(tmp_path / "pki")
    cluster = own_etcd(tls=mutual(pki))
    access = EtcdAccess(ca_file=pki.ca, certificate_file=pki.client, key_file=pki.client_key)
    store = await open_store(cluster.url, access=access)
    assert (await store.commit(Txn(then=[Put(b"a", b"1"), Get(b"a")]))).succeeded
    await store.close()


async def test_a_certificate_for_another_name_needs_that_name(
    own_etcd: StartEtcd, tmp_path: Path
) -> None:
    pki = make_pki(tmp_path / "pki", server_name="etcd.example.net")
    endpoints = own_etcd(tls=mutual(pki)).endpoints

    def tls(server_name: str | None) -> Tls:
        return Tls.from_files(
            ca=pki.ca, certificate=pki.client, key=pki.client_key, server_name=server_name
        )

    with pytest.raises(StoreUnavailable):
        await EtcdStore.connect(endpoints, tls=tls(None), timeout_s=0.3)
    store = await EtcdStore.connect(endpoints, tls=tls("etcd.example.net"))
    assert await store.get(b"a") is None
    await store.close()


@pytest.mark.parametrize("shown", ["no-certificate", "certificate-of-another-authority"])
async def test_a_client_that_etcd_does_not_know_gets_nowhere(
    own_etcd: StartEtcd, tmp_path: Path, shown: str
) -> None:
    pki, other = make_pki(tmp_path / "pki"), make_pki(tmp_path / "other")
    cluster = own_etcd(tls=mutual(pki))
    foreign = shown != "no-certificate"
    tls = Tls.from_files(
        ca=pki.ca,
        certificate=other.client if foreign else None,
        key=other.client_key if foreign else None,
    )
    with pytest.raises(StoreUnavailable):
        await EtcdStore.connect(cluster.endpoints, tls=tls, timeout_s=0.5)


async def test_an_etcd_that_we_do_not_trust_gets_nothing(
    own_etcd: StartEtcd, tmp_path: Path
) -> None:
    pki, other = make_pki(tmp_path / "pki"), make_pki(tmp_path / "other")
    cluster = own_etcd(tls=mutual(pki))
    tls = Tls.from_files(ca=other.ca, certificate=pki.client, key=pki.client_key)
    with pytest.raises(StoreUnavailable, match="no connection"):
        await EtcdStore.connect(cluster.endpoints, tls=tls, timeout_s=0.3)


def test_a_certificate_without_its_key_is_a_mistake() -> None:
    with pytest.raises(InvalidInput, match="needs its key"):
        Tls(certificate=b"PEM")
