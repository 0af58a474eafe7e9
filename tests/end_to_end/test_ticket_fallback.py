"""The store is away: who shows a ticket is answered, on both transports; nobody else is.

A real etcd that is frozen or killed under a real server. What must hold is counted, not timed.
"""

from __future__ import annotations

import asyncio
import urllib.request
from contextlib import ExitStack

import grpc
import pytest

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support import servers

CLIENTS = 40
NOT_YET = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE)  # no unit, no room
DEADLINE_S = 4.0  # less than the provisioner's own: only a ticket brings an answer within it


def stale_answers(server: servers.Server) -> float:
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10) as page:
        text: str = page.read().decode()
    (line,) = [
        line
        for line in text.splitlines()
        if line.startswith("homeport_provisioner_ticket_fallback_answers_total ")
    ]
    return float(line.split()[1])


async def placed(stub: pb_grpc.ProvisioningServiceStub, name: str) -> pb.ProvisionResponse:
    """Of a client that comes again until the server has heard of its fleet and has a session."""
    async with asyncio.timeout(30):
        while True:
            try:
                answer: pb.ProvisionResponse = await stub.Provision(
                    pb.ProvisionRequest(client_id=name), timeout=10
                )
            except grpc.aio.AioRpcError as error:
                if error.code() not in NOT_YET:
                    raise
                await asyncio.sleep(0.02)
            else:
                return answer


@pytest.mark.parametrize(
    ("transport", "outage"),
    [
        ("native", "frozen"),
        pytest.param("grpcio", "killed", marks=pytest.mark.slow),
        pytest.param("native", "killed", marks=pytest.mark.slow),
        pytest.param("grpcio", "frozen", marks=pytest.mark.slow),
    ],
)
async def test_who_shows_a_ticket_is_answered_while_the_store_is_away(
    own_etcd, tmp_path, transport, outage
):
    cluster = own_etcd()
    with ExitStack() as stack:
        (server,) = servers.start(
            stack, tmp_path, cluster.url, 1, f"--transport={transport}", "--drain-s=0"
        )
        await servers.apply(server.address, servers.units(dublin=500, virginia=500))
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = pb_grpc.ProvisioningServiceStub(channel)
            names = [f"c{n}" for n in range(CLIENTS)]

            async def ask(name: str, ticket: str) -> pb.ProvisionResponse:
                request = pb.ProvisionRequest(client_id=name, ticket=ticket)
                answer: pb.ProvisionResponse = await stub.Provision(request, timeout=DEADLINE_S)
                return answer

            homes = {name: await placed(stub, name) for name in names}
            again = await ask("c0", homes["c0"].ticket)
            assert not again.stale, "the store answers: its word counts"
            assert stale_answers(server) == 0

            member = cluster.members[0]
            if outage == "frozen":
                member.freeze()
            else:
                member.kill()
            try:
                for _ in range(3):
                    answers = await asyncio.gather(*(ask(n, homes[n].ticket) for n in names))
                    for name, answer in zip(names, answers, strict=True):
                        was = homes[name].assignment
                        now = answer.assignment
                        assert answer.stale
                        assert answer.existing
                        assert answer.ticket
                        assert (now.unit_id, now.endpoint, now.epoch) == (
                            was.unit_id, was.endpoint, was.epoch
                        )  # fmt: skip
                        homes[name].ticket = answer.ticket  # the fresh one is as good
                found = await stub.GetAssignment(
                    pb.GetAssignmentRequest(client_id="c1", ticket=homes["c1"].ticket),
                    timeout=DEADLINE_S,
                )
                assert found.stale
                assert found.assignment.unit_id == homes["c1"].assignment.unit_id
                assert stale_answers(server) == 3 * CLIENTS + 1

                head, body, signature = homes["c2"].ticket.split(".")
                flipped = "B" if signature[0] == "A" else "A"
                forged = f"{head}.{body}.{flipped}{signature[1:]}"
                for name, ticket in (("c2", forged), ("c2", homes["c3"].ticket), ("new", "")):
                    with pytest.raises(grpc.aio.AioRpcError) as refused:
                        await ask(name, ticket)
                    assert refused.value.code() in (
                        grpc.StatusCode.UNAVAILABLE,
                        grpc.StatusCode.DEADLINE_EXCEEDED,
                    )
                assert stale_answers(server) == 3 * CLIENTS + 1
            finally:
                if outage == "frozen":
                    member.thaw()
