"""Calls about a tenant's policy, as an operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

from console.cli.calls.channel import Calls
from console.cli.calls.responses import responses
from console.cli.profile import Target
from homeport.api.policy.v1 import policy_pb2 as pb
from homeport.api.policy.v1 import policy_pb2_grpc
from homeport.errors import error_of
from homeport.status_details import failure_of

TEST_S = 180.0
PLAN_S = 300.0  # a plan looks at every client
SIMULATE_S = 3_600.0  # with those that wait before it


class Simulated(NamedTuple):
    """What a server's simulation says. report: JSON; page, picture: empty where not asked for."""

    report: bytes
    page: bytes
    picture: bytes
    hooks_away: list[str]


class PolicyCalls(Calls):
    """For the target's tenant. A context manager, like all of them."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._tenant = target.tenant

    def get(self, version: int = 0) -> pb.Policy:
        """The policy in force, or a kept version."""
        request = pb.GetPolicyRequest(tenant=self._tenant, version=version)
        found: pb.Policy = self._ask("GetPolicy", request)
        return found

    def apply(
        self, document: str, *, base_version: int, dry_run: bool, allow_unmatched: bool
    ) -> pb.ApplyPolicyResponse:
        request = pb.ApplyPolicyRequest(
            tenant=self._tenant,
            document=document,
            base_version=base_version,
            dry_run=dry_run,
            allow_unmatched=allow_unmatched,
        )
        answer: pb.ApplyPolicyResponse = self._ask("ApplyPolicy", request)
        return answer

    def test(
        self, document: str, cases: str, hook_answers: str, latencies: str
    ) -> pb.TestPolicyResponse:
        """Clients of cases, placed by the server's units."""
        request = pb.TestPolicyRequest(
            tenant=self._tenant,
            document=document,
            cases=cases,
            hook_answers=hook_answers,
            latencies=latencies,
        )
        stub = policy_pb2_grpc.PolicyServiceStub
        answer: pb.TestPolicyResponse = self._call(stub, "TestPolicy", request, TEST_S)
        return answer

    def simulate(
        self, request: pb.SimulatePolicyRequest, told: Callable[[pb.SimulationProgress], None]
    ) -> Simulated:
        """told: hears how far it is."""
        request.tenant = self._tenant
        method = policy_pb2_grpc.PolicyServiceStub(self._channel).SimulatePolicy
        parts: dict[str, bytearray] = {name: bytearray() for name in ("report", "page", "picture")}
        away: list[str] = []
        try:
            for one in responses(
                lambda: method(request, metadata=self._metadata, timeout=SIMULATE_S)
            ):
                part = one.WhichOneof("part")
                if part == "progress":
                    told(one.progress)
                elif part is not None:
                    parts[part] += getattr(one, part)
                away += one.hooks_away
        except grpc.RpcError as error:
            raise error_of(failure_of(error), servers=[self._servers[0]], attempts=1) from error
        return Simulated(
            report=bytes(parts["report"]),
            page=bytes(parts["page"]),
            picture=bytes(parts["picture"]),
            hooks_away=away,
        )

    def move(self, request: pb.MoveByPolicyRequest) -> pb.MoveByPolicyResponse:
        """A job, or with dry_run what it would come to."""
        request.tenant = self._tenant
        stub = policy_pb2_grpc.PolicyServiceStub
        answer: pb.MoveByPolicyResponse = self._call(stub, "MoveByPolicy", request, PLAN_S)
        return answer

    def _ask(self, method: str, request: object) -> Any:
        return self._call(policy_pb2_grpc.PolicyServiceStub, method, request, None)
