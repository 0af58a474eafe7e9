"""GetAncestry: bounds, and nothing of an event that a sharing policy hides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from control_plane.errors import InvalidInput, NotFound, PermissionDenied
from data_sharing.feeds import log_tables
from homeport.api.datasharing.v1 import decision_pb2 as pb
from tests.support.datasharing_callers import OPERATOR
from tests.support.decisions_harness import event
from tests.support.governed_feed import Governed, governed_feed
from tests.support.rule_harness import TENANT

SECRET = "patient-of-ward-7"


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Governed]:
    async with governed_feed(tmp_path) as governed:
        yield governed


async def test_a_flow_that_a_hidden_event_began_is_told_without_what_it_is_called(
    made: Governed,
) -> None:
    hidden = event({"minutes": 50, "note": SECRET}, id="e1", key=SECRET)
    await made.harness.publish(replace(hidden, correlation=SECRET))
    answer = await made.decisions.GetAncestry(
        pb.GetAncestryRequest(event=pb.EventName(position=1)), OPERATOR
    )
    (root,) = [one for one in answer.nodes if one.node_id == answer.root_id]
    assert (root.hidden, root.title, root.correlation_id, root.event.id) == (True, "", "e1", "e1")
    assert len(answer.nodes) > 1
    assert SECRET not in str(answer)
    for one in made.harness.instructions():
        assert one.instruction.correlation == "e1"
    letters = await made.decisions.ListDeadLetters(pb.ListDeadLettersRequest(), OPERATOR)
    assert SECRET not in str(letters)


async def test_what_a_hidden_event_calls_its_flow_goes_to_no_other_feed(made: Governed) -> None:
    hidden = replace(event({"minutes": 50}, id="e1"), correlation=SECRET, hops=2)
    caused = replace(event(id="e2", feed="roadworks"), causation="e1")
    await made.harness.publish(hidden, event(id="between", feed="other"))
    await made.harness.publish(caused)
    record = made.harness.read(lambda db: log_tables.record_at(db, TENANT, 3))
    assert record is not None
    assert (record.event().correlation, record.event().hops) == ("e1", 2)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (pb.GetAncestryRequest(node_id="c-1", max_nodes=1_001), InvalidInput),
        (pb.GetAncestryRequest(node_id="c-1", max_depth=1_001), InvalidInput),
        (pb.GetAncestryRequest(), InvalidInput),
        (pb.GetAncestryRequest(node_id="c-1"), NotFound),
        (pb.GetAncestryRequest(event=pb.EventName(source="/road", id="none")), NotFound),
        (pb.GetAncestryRequest(tenant="other", node_id="c-1"), PermissionDenied),
    ],
    ids=["nodes", "depth", "nothing", "no-decision", "no-event", "another-tenant"],
)
async def test_what_cannot_be_told(
    made: Governed, request_: pb.GetAncestryRequest, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await made.decisions.GetAncestry(request_, OPERATOR)
