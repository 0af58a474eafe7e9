"""Applications over the wire, on both transports: tried, accepted, listed, fetched, refused."""

from __future__ import annotations

import json

import grpc
import pytest

from homeport.api.datasharing.v1 import registry_pb2
from tests.support.data_sharing_server import submission
from tests.support.submissions import COFFEE, SPEED, coffee, text, traffic


async def test_an_application_is_tried_accepted_listed_and_fetched(registry, tenant):
    answer = await registry.SubmitApplication(
        submission(text(coffee()), COFFEE, tenant=tenant), timeout=60
    )
    assert answer.accepted.version == "1.0.0", answer
    assert not answer.existing
    again = await registry.SubmitApplication(submission(text(coffee()), tenant=tenant), timeout=60)
    assert again.existing
    listed = await registry.ListApplications(
        registry_pb2.ListApplicationsRequest(tenant=tenant), timeout=10
    )
    assert [one.application for one in listed.applications] == ["coffee", "traffic"]
    content = b""
    request = registry_pb2.FetchArtifactRequest(tenant=tenant, application="coffee")
    async for piece in registry.FetchArtifact(request, timeout=30):
        content += piece.content
    assert content == COFFEE
    shown = await registry.GetApplication(
        registry_pb2.GetApplicationRequest(tenant=tenant, application="coffee"), timeout=10
    )
    assert json.loads(shown.manifest) == coffee()


async def test_a_refused_submission_tells_all_its_faults(registry, tenant):
    bad = coffee(
        application="Coffee!", version="one", action_input={"type": "objekt"}, extra=1,
        consumes=[{"feed": SPEED}],
    )  # fmt: skip
    answer = await registry.SubmitApplication(
        submission(text(bad), COFFEE, tenant=tenant), timeout=60
    )
    paths = {one.path for one in answer.refused.faults}
    assert paths >= {"", "/application", "/version", "/consumes/0"}


async def test_a_dry_run_changes_nothing(registry, tenant):
    messages = submission(text(coffee()), COFFEE, tenant=tenant, dry_run=True)
    answer = await registry.SubmitApplication(messages, timeout=60)
    assert answer.WhichOneof("result") == "accepted"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await registry.GetApplication(
            registry_pb2.GetApplicationRequest(tenant=tenant, application="coffee"), timeout=10
        )
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_change_that_breaks_a_consumer_is_refused_and_rolled_back_to_nowhere(
    registry, tenant
):
    await registry.SubmitApplication(submission(text(coffee()), COFFEE, tenant=tenant), timeout=60)
    narrower = traffic(version="1.1.0")
    narrower["produces"][0]["schema"]["properties"]["speed_kmh"]["maximum"] = 300
    wider = traffic(version="2.0.0")
    wider["produces"][0]["schema"]["properties"]["speed_kmh"]["maximum"] = 900
    taken = await registry.SubmitApplication(submission(text(narrower), tenant=tenant), timeout=60)
    assert taken.accepted.version == "1.1.0", taken
    answer = await registry.SubmitApplication(submission(text(wider), tenant=tenant), timeout=60)
    (fault,) = answer.refused.faults
    assert (fault.consumer, fault.field, fault.path) == (
        "coffee", "/speed_kmh", "/produces/0/schema",
    )  # fmt: skip
    # Going back to 1.0.0 would widen the range again.
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await registry.RollbackApplication(
            registry_pb2.RollbackApplicationRequest(tenant=tenant, application="traffic"),
            timeout=10,
        )
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "coffee" in refused.value.details()


async def test_a_submission_without_head_is_refused(registry):
    piece = registry_pb2.SubmitApplicationRequest(artifact=b"x")
    for messages in ([], [piece]):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await registry.SubmitApplication(iter(messages), timeout=10)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
