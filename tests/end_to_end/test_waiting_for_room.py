"""A client waits for room within a cap in latency, from one server to the next: real processes."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

import homeport
from homeport.api.policy.v1 import policy_pb2, policy_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support import servers

RELAXES_AFTER_S = 6
POLICY = f"""
policy: 1
rules:
  - name: in-time
    rank: {{latency: {{cap_ms: 50, relax: [{{after_s: {RELAXES_AFTER_S}, to_ms: 100}}]}}}}
"""
IN_DUBLIN = (53.3, -6.3)  # some 80 ms from Virginia


@pytest.mark.slow
async def test_a_client_waits_at_whichever_server_and_then_gets_what_is_farther(
    tmp_path: Path,
) -> None:
    store = f"embedded:{tmp_path}/store.db"
    with servers.Server(tmp_path, "before", store) as before:
        await servers.apply(before.address, servers.units(dublin=1, virginia=9))
        async with grpc.aio.insecure_channel(before.address) as channel:
            policies = policy_pb2_grpc.PolicyServiceStub(channel)
            await policies.ApplyPolicy(
                policy_pb2.ApplyPolicyRequest(tenant="default", document=POLICY), timeout=20
            )
        async with homeport.AsyncClient(before.address, timeout_s=20) as clients:
            first = await clients.provision("anna", position=IN_DUBLIN)
            assert first.unit_id == "dublin"
            with pytest.raises(homeport.WaitingForRoom) as caught:
                await clients.provision("ben", position=IN_DUBLIN, timeout_s=0.5)
            told = caught.value
            assert told.within_ms == 50.0
            explained = await clients.explain("ben", position=IN_DUBLIN)
            assert explained.cap is not None
            assert explained.cap.limit_ms == 50.0
            assert explained.cap.waits_since is not None, "the token was sent along"
            assert "it has waited for" in explained.sentence
            longer = await clients.explain("ben", position=IN_DUBLIN, waited_s=RELAXES_AFTER_S)
            assert longer.units[0].unit_id == "virginia"
    with servers.Server(tmp_path, "after", store) as after:
        async with grpc.aio.insecure_channel(after.address) as channel:
            stub = pb_grpc.ProvisioningServiceStub(channel)

            async def asked(client: str, token: str) -> pb.ClientError:
                one = pb.ClientOrigin(client_id=client, waiting_token=token)
                one.position.latitude, one.position.longitude = IN_DUBLIN
                async for answer in stub.ProvisionMany(
                    iter([pb.ProvisionManyRequest(clients=[one])]), timeout=20
                ):
                    error: pb.ClientError = answer.results[0].error
                    return error
                raise AssertionError("no answer")

            anew = await asked("carl", told.waiting_token)
            assert anew.code == "RESOURCE_EXHAUSTED", "another's token says nothing"
        client = homeport.ClientAt(
            client_id="ben", position=IN_DUBLIN, waiting_token=told.waiting_token
        )
        async with homeport.AsyncClient(after.address, timeout_s=60) as clients:
            async for result in clients.provision_many([client]):
                if result.assignment is not None:  # a machine this slow has let the time pass
                    assert result.assignment.unit_id == "virginia"
            home = await clients.provision("ben", position=IN_DUBLIN)
            assert home.unit_id == "virginia"
            kept = await clients.provision("anna", position=IN_DUBLIN)
            assert kept.unit_id == "dublin"
