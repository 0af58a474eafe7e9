"""Calls about a tenant's policy, as an operator."""

from __future__ import annotations

from typing import Any

from console.cli.calls.channel import Calls
from console.cli.profile import Target
from homeport.api.policy.v1 import policy_pb2 as pb
from homeport.api.policy.v1 import policy_pb2_grpc


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

    def _ask(self, method: str, request: object) -> Any:
        return self._call(policy_pb2_grpc.PolicyServiceStub, method, request, None)
