"""Request checks: by table what means nothing and how it is named, by property that what protobuf
itself can read as a time or a duration passes and nothing else does."""

from __future__ import annotations

import math

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.serving.request_check import check_request, duration_fault, time_fault
from homeport.api.datasharing.v1 import decision_pb2, feed_pb2, plan_pb2, platform_pb2, rule_pb2
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.tenancy.v1 import tenancy_pb2

NAN, INFINITY = math.nan, math.inf


@pytest.mark.parametrize(
    ("message", "field"),
    [
        pytest.param(rule_pb2.GetRuleRequest(version=2**63), "version", id="beyond-63-bits"),
        pytest.param(decision_pb2.ListInstructionsRequest(state=99), "state", id="no-such-state"),
        pytest.param(decision_pb2.ListInstructionsRequest(state=-1), "state", id="below-all"),
        pytest.param(
            plan_pb2.ChangePlanRequest(occurrence_time=Timestamp(seconds=2**62)),
            "occurrence_time", id="a-time-beyond-the-calendar",
        ),
        pytest.param(
            plan_pb2.ChangePlanRequest(shift=Duration(seconds=1, nanos=-1)), "shift",
            id="two-signs",
        ),
        pytest.param(
            feed_pb2.TailRequest(from_accept_time=Timestamp(nanos=-1)), "from_accept_time",
            id="in-a-oneof",
        ),
        pytest.param(
            platform_pb2.ConnectRequest(hello=platform_pb2.Hello(ttl=Duration(seconds=2**60))),
            "hello.ttl", id="within-a-message",
        ),
        pytest.param(
            platform_pb2.ConnectRequest(
                reports=[
                    platform_pb2.Report(),
                    platform_pb2.Report(outcome=decision_pb2.Outcome(status=77)),
                ]
            ),
            "reports[1].outcome.status", id="within-a-list",
        ),
        pytest.param(
            fleet_pb2.HeartbeatRequest(
                admissions=[fleet_pb2.Admission(), fleet_pb2.Admission(epoch=2**64 - 1)]
            ),
            "admissions[1].epoch", id="a-number-within-a-list",
        ),
        pytest.param(
            tenancy_pb2.ApplyTenantRequest(tenant=tenancy_pb2.Tenant(reprovision=9)),
            "tenant.reprovision", id="a-choice-nobody-knows",
        ),
    ],
)  # fmt: skip
def test_what_means_nothing_is_named_by_its_path(message, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_request(message)
    assert refused.value.field == field
    assert field in refused.value.message


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(rule_pb2.GetRuleRequest(version=2**63 - 1), id="63-bits"),
        pytest.param(decision_pb2.ListInstructionsRequest(state=0), id="unspecified"),
        pytest.param(decision_pb2.ListInstructionsRequest(state=5), id="the-last-state"),
        pytest.param(plan_pb2.ChangePlanRequest(config_json={"brew": "{}"}), id="a-map"),
        pytest.param(plan_pb2.ChangePlanRequest(shift=Duration(nanos=-1)), id="a-little-earlier"),
        pytest.param(feed_pb2.TailRequest(after_position=-(2**63)), id="signed-64-bits"),
        pytest.param(fleet_pb2.ListUnitsRequest(), id="nothing"),
    ],
)
def test_what_means_something_passes(message) -> None:
    check_request(message)


numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-400_000_000_000, 400_000_000_000)
nanos = st.integers(-(2**31), 2**31 - 1) | st.integers(-(10**9) - 1, 10**9 + 1)


def readable(message) -> bool:
    """Whether protobuf itself can say it in JSON."""
    try:
        message.ToJsonString()
    except (ValueError, OverflowError):
        return False
    return True


@given(numbers, nanos)
def test_a_time_passes_where_protobuf_can_say_it(seconds: int, nano: int) -> None:
    message = Timestamp(seconds=seconds, nanos=nano)
    assert (not time_fault(message)) == readable(message)


@given(numbers, nanos)
def test_a_duration_passes_where_protobuf_can_say_it(seconds: int, nano: int) -> None:
    message = Duration(seconds=seconds, nanos=nano)
    assert (not duration_fault(message)) == readable(message)
