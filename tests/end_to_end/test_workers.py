"""Several processes on one port: each a provisioner of its own, replaced when it dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import ExitStack

import grpc

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support import servers
from tests.support.etcd import store_of
from tests.support.judge.recorder import replay

WAIT_S = 30.0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def provision(address: str, names: list[str]) -> set[str]:
    """Each client over a connection of its own, so that every worker gets some."""

    async def one(name: str) -> str:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            stub = pb_grpc.ProvisioningServiceStub(channel)
            answer = await stub.Provision(
                pb.ProvisionRequest(client_id=name), wait_for_ready=True, timeout=WAIT_S
            )
            unit: str = answer.assignment.unit_id
            return unit

    return set(await asyncio.gather(*(one(name) for name in names)))


async def test_workers_share_a_port_and_a_dead_one_is_replaced(own_etcd, tmp_path):
    url = own_etcd().url
    with ExitStack() as stack:
        (parent,) = servers.start(stack, tmp_path, url, 1, "--workers=2")
        ready = json.loads((tmp_path / "server-0.json").read_text())
        pids = [worker["pid"] for worker in ready["workers"]]
        assert len(set(pids)) == 2
        assert {worker["grpc"] for worker in ready["workers"]} == {parent.address}
        await servers.apply(parent.address, servers.units(dublin=30, virginia=30))
        await asyncio.sleep(1.0)  # both workers hear of the fleet
        await provision(parent.address, [f"a{n}" for n in range(30)])
        os.kill(pids[0], signal.SIGKILL)
        assert await provision(parent.address, [f"b{n}" for n in range(20)])
        parent.process.send_signal(signal.SIGTERM)
        assert parent.process.wait(WAIT_S) == 0, parent.log()
        end = time.monotonic() + WAIT_S
        while any(alive(pid) for pid in pids):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
    async with store_of(url) as store:
        history = await replay(store, tmp_path / "judge.db")
    assert history.violations == []
    assert len(history.assigned) == 50


def test_the_embedded_store_serves_one_process_and_says_so(tmp_path):
    one = servers.Server(tmp_path, "two", f"embedded:{tmp_path / 'store.db'}", "--workers=2")
    assert one.process.wait(WAIT_S) == 2
    assert "use --workers 1, or etcd" in one.log()
