"""The changelog on a real NATS server keeps the contract."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from console.cli.nats_monitoring import examine_nats
from console.local.nats_process import NatsCluster
from control_plane.errors import Refused, StoreUnavailable
from data_sharing.replication.jetstream import connection
from data_sharing.replication.jetstream.changelog import JetStreamChangeLog
from data_sharing.replication.jetstream.connection import JetStreamTarget
from data_sharing.replication.jetstream.leases import JetStreamCount, JetStreamLease
from data_sharing.replication.lease import Holder
from tests.support.contracts.changelog_contract import ChangeLogContract

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with NatsCluster(tmp_path_factory.mktemp("nats")) as cluster:
        yield cluster


@pytest.fixture
def target(servers) -> JetStreamTarget:
    (member,) = servers.members
    return JetStreamTarget(
        servers=servers.urls, replicas=1, allow_fewer=True, monitoring=[member.monitoring]
    )


@pytest.fixture
async def changelog(target):
    client = await connection.connected(target)
    opened = JetStreamChangeLog(client, target, f"p{next(_NUMBERS)}")
    await opened.open()
    yield opened
    await connection.close(client)


async def test_doctor_sees_the_server_and_its_streams(changelog, target):
    found = {one.check: one.outcome.value for one in examine_nats(target.monitoring, target.prefix)}
    assert found.pop("nats storage") in ("ok", "warn", "fail")  # of this machine's disk
    assert found.pop("nats replicas") == "warn"
    assert set(found.values()) == {"ok"}


class TestJetStream(ChangeLogContract):
    """See ChangeLogContract."""


async def test_a_changelog_that_is_there_is_the_same_one(changelog, target):
    client = await connection.connected(target)
    again = JetStreamChangeLog(client, target, changelog._stream.name.partition("-")[2])
    await again.open()
    assert again.identity == changelog.identity != ""
    await connection.close(client)


async def test_fewer_replicas_than_three_have_to_be_wanted(target):
    with pytest.raises(Refused, match="--feeds-allow-fewer"):
        await connection.connected(JetStreamTarget(servers=target.servers, replicas=1))


async def test_servers_that_do_not_say_how_they_sync_are_waited_for(target):
    for silent in (["http://127.0.0.1:1"], ["http://127.0.0.1:1"] * 2):
        with pytest.raises(StoreUnavailable, match="how it syncs"):
            await connection.connected(replace(target, monitoring=silent))
    both = replace(target, monitoring=["http://127.0.0.1:1", *target.monitoring])
    await connection.close(await connection.connected(both))


async def test_servers_that_do_not_sync_every_write_are_refused(target, tmp_path):
    with NatsCluster(tmp_path / "lazy", sync_always=False) as lazy:
        (member,) = lazy.members
        other = replace(target, servers=lazy.urls, monitoring=[member.monitoring])
        with pytest.raises(Refused, match="sync_interval"):
            await connection.connected(other)
        wanted = replace(other, allow_unsynced=True)
        await connection.close(await connection.connected(wanted))


async def test_servers_whose_sync_was_not_asked_have_to_be_wanted(target):
    with pytest.raises(Refused, match="--feeds-allow-unsynced"):
        await connection.connected(
            JetStreamTarget(servers=target.servers, replicas=1, allow_fewer=True)
        )


@pytest.fixture
async def client(target):
    connected = await connection.connected(target)
    yield connected
    await connection.close(connected)


async def count_of(client, target, prefix: str) -> JetStreamCount:
    found = JetStreamCount(client, replace(target, prefix=prefix))
    await found.open()
    return found


async def test_how_many_partitions_there_are_is_fixed_with_the_first_that_says_so(client, target):
    count = await count_of(client, target, "spread")
    await count.agree(4)
    await count.agree(4)
    for other in (1, 2, 8):
        with pytest.raises(Refused, match=f"have 4 partitions, not {other}"):
            await count.agree(other)


async def test_feeds_that_were_begun_with_one_partition_are_not_spread(client, target):
    count = await count_of(client, target, "single")
    await count.agree(1)
    lease = JetStreamLease(client, replace(target, prefix="single"), "0")
    await lease.write(Holder("a"), after=0)
    with pytest.raises(Refused, match="have 1 partition, not 2"):
        await count.agree(2)
    await count.agree(1)
