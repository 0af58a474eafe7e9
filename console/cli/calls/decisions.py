"""Calls to the deciding half of the data-sharing service: rules, plans, decisions, dead letters
and platforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from console.cli.calls.channel import Calls
from homeport.api.datasharing.v1 import approval_pb2 as approval
from homeport.api.datasharing.v1 import approval_pb2_grpc as approval_grpc
from homeport.api.datasharing.v1 import decision_pb2 as decision
from homeport.api.datasharing.v1 import decision_pb2_grpc as decision_grpc
from homeport.api.datasharing.v1 import plan_pb2 as plan
from homeport.api.datasharing.v1 import plan_pb2_grpc as plan_grpc
from homeport.api.datasharing.v1 import platform_pb2 as platform
from homeport.api.datasharing.v1 import platform_pb2_grpc as platform_grpc
from homeport.api.datasharing.v1 import rule_pb2 as rule
from homeport.api.datasharing.v1 import rule_pb2_grpc as rule_grpc

PAGE = 500


class DecisionCalls(Calls):
    """A context manager, like all of them."""

    def apply_rules(self, tenant: str, document: str) -> rule.ApplyRulesResponse:
        request = rule.ApplyRulesRequest(tenant=tenant, document=document)
        answer: rule.ApplyRulesResponse
        answer = self._call(rule_grpc.RuleServiceStub, "ApplyRules", request)
        return answer

    def create_plan(self, tenant: str, spec: str) -> plan.Plan:
        request = plan.CreatePlanRequest(tenant=tenant, spec=spec)
        made: plan.Plan = self._call(plan_grpc.PlanServiceStub, "CreatePlan", request)
        return made

    def get_plan(self, tenant: str, plan_id: str) -> plan.Plan:
        request = plan.GetPlanRequest(tenant=tenant, plan_id=plan_id)
        found: plan.Plan = self._call(plan_grpc.PlanServiceStub, "GetPlan", request)
        return found

    def plan_history(self, tenant: str, plan_id: str) -> list[plan.PlanChange]:
        """Newest first."""
        request = plan.GetPlanHistoryRequest(tenant=tenant, plan_id=plan_id)
        return list(self._call(plan_grpc.PlanServiceStub, "GetPlanHistory", request).changes)

    def list_decisions(
        self, tenant: str, *, plan_id: str = "", rule_id: str = "", limit: int = PAGE
    ) -> list[decision.Decision]:
        """Newest first."""

        def page(token: str, size: int) -> Any:
            request = decision.ListDecisionsRequest(
                tenant=tenant, plan_id=plan_id, rule_id=rule_id, page_size=size, page_token=token
            )
            return self._call(decision_grpc.DecisionServiceStub, "ListDecisions", request)

        return _gathered(page, "decisions", limit)

    def explain(
        self,
        tenant: str,
        *,
        decision_id: str = "",
        event: decision.EventName | None = None,
        purpose: str = "",
    ) -> decision.ExplainDecisionResponse:
        request = decision.ExplainDecisionRequest(
            tenant=tenant, decision_id=decision_id, event=event, purpose=purpose
        )
        answer: decision.ExplainDecisionResponse
        answer = self._call(decision_grpc.DecisionServiceStub, "ExplainDecision", request)
        return answer

    def ancestry(
        self, tenant: str, *, node_id: str = "", event: decision.EventName | None = None,
        purpose: str = "", max_depth: int = 0, max_nodes: int = 0,
    ) -> decision.GetAncestryResponse:  # fmt: skip
        request = decision.GetAncestryRequest(
            tenant=tenant, node_id=node_id, event=event, purpose=purpose, max_depth=max_depth,
            max_nodes=max_nodes,
        )  # fmt: skip
        answer: decision.GetAncestryResponse
        answer = self._call(decision_grpc.DecisionServiceStub, "GetAncestry", request)
        return answer

    def list_instructions(
        self, tenant: str, *, state: int = 0, limit: int = PAGE
    ) -> list[decision.Instruction]:
        """Newest first."""

        def page(token: str, size: int) -> Any:
            request = decision.ListInstructionsRequest(
                tenant=tenant,
                state=decision.InstructionState.ValueType(state),
                page_size=size,
                page_token=token,
            )
            return self._call(decision_grpc.DecisionServiceStub, "ListInstructions", request)

        return _gathered(page, "instructions", limit)

    def approve(self, tenant: str, instruction_id: str) -> decision.Instruction:
        request = decision.ApproveInstructionRequest(tenant=tenant, instruction_id=instruction_id)
        done: decision.Instruction
        done = self._call(decision_grpc.DecisionServiceStub, "ApproveInstruction", request)
        return done

    def deny(self, tenant: str, instruction_id: str, reason: str) -> decision.Instruction:
        request = decision.DenyInstructionRequest(
            tenant=tenant, instruction_id=instruction_id, reason=reason
        )
        done: decision.Instruction
        done = self._call(decision_grpc.DecisionServiceStub, "DenyInstruction", request)
        return done

    def list_approvals(
        self, tenant: str, *, verdict: int = 0, limit: int = PAGE
    ) -> list[approval.Approval]:
        """Newest first."""

        def page(token: str, size: int) -> Any:
            request = approval.ListApprovalsRequest(
                tenant=tenant,
                verdict=approval.ApprovalVerdict.ValueType(verdict),
                page_size=size,
                page_token=token,
            )
            return self._call(approval_grpc.ApprovalServiceStub, "ListApprovals", request)

        return _gathered(page, "approvals", limit)

    def get_approval(
        self, tenant: str, instruction_id: str, *, purpose: str = ""
    ) -> approval.Approval:
        """purpose: what for, where an event's feed has a sharing policy."""
        request = approval.GetApprovalRequest(
            tenant=tenant, instruction_id=instruction_id, purpose=purpose
        )
        found: approval.Approval
        found = self._call(approval_grpc.ApprovalServiceStub, "GetApproval", request)
        return found

    def approve_approval(
        self, tenant: str, instruction_id: str, *, revision: str
    ) -> approval.Approval:
        """revision: of the rule as it was shown; empty: as it decided."""
        request = approval.ApproveApprovalRequest(
            tenant=tenant, instruction_id=instruction_id, revision=revision
        )
        done: approval.Approval
        done = self._call(approval_grpc.ApprovalServiceStub, "ApproveApproval", request)
        return done

    def reject_approval(
        self, tenant: str, instruction_id: str, reason: str, *, revision: str
    ) -> approval.Approval:
        request = approval.RejectApprovalRequest(
            tenant=tenant, instruction_id=instruction_id, reason=reason, revision=revision
        )
        done: approval.Approval
        done = self._call(approval_grpc.ApprovalServiceStub, "RejectApproval", request)
        return done

    def list_dead_letters(
        self, tenant: str, *, with_redriven: bool = False, limit: int = PAGE
    ) -> list[decision.DeadLetter]:
        """Newest first."""

        def page(token: str, size: int) -> Any:
            request = decision.ListDeadLettersRequest(
                tenant=tenant, page_size=size, page_token=token, with_redriven=with_redriven
            )
            return self._call(decision_grpc.DecisionServiceStub, "ListDeadLetters", request)

        return _gathered(page, "dead_letters", limit)

    def get_dead_letter(self, tenant: str, letter_id: str) -> decision.DeadLetter:
        request = decision.GetDeadLetterRequest(tenant=tenant, dead_letter_id=letter_id)
        found: decision.DeadLetter
        found = self._call(decision_grpc.DecisionServiceStub, "GetDeadLetter", request)
        return found

    def redrive(self, tenant: str, letter_id: str, *, force: bool) -> decision.DeadLetter:
        request = decision.RedriveDeadLetterRequest(
            tenant=tenant, dead_letter_id=letter_id, force=force
        )
        done: decision.DeadLetter
        done = self._call(decision_grpc.DecisionServiceStub, "RedriveDeadLetter", request)
        return done

    def list_platforms(self, tenant: str) -> list[platform.Platform]:
        """By name."""
        request = platform.ListPlatformsRequest(tenant=tenant)
        return list(
            self._call(platform_grpc.PlatformServiceStub, "ListPlatforms", request).platforms
        )


def _gathered(page: Callable[[str, int], Any], field: str, limit: int) -> list[Any]:
    """Page by page, up to the limit."""
    found: list[Any] = []
    token = ""
    while len(found) < limit:
        answer = page(token, min(PAGE, limit - len(found)))
        found += getattr(answer, field)
        token = answer.next_page_token
        if not token:
            break
    return found
