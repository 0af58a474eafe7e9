"""What the data-sharing methods change, for the audit log: applications, rules, plans,
instructions, dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from control_plane.audit.entry import Transactions
from control_plane.audit.objects import AuditedObject, Context
from data_sharing.api import (
    approval_service,
    decision_service,
    plan_service,
    registry_service,
    rule_service,
    sharing_service,
)
from data_sharing.api.decision_service import DecisionService
from data_sharing.api.plan_service import PlanService
from data_sharing.api.registry_service import RegistryService
from data_sharing.api.rule_service import RuleService
from data_sharing.api.sharing_service import SharingService
from homeport.api.datasharing.v1 import decision_pb2 as decisions
from homeport.api.datasharing.v1 import plan_pb2 as plans
from homeport.api.datasharing.v1 import registry_pb2 as registry
from homeport.api.datasharing.v1 import rule_pb2 as rules
from homeport.api.datasharing.v1 import sharing_pb2 as sharing

MOST_VERSIONS = 200  # of applications or rules, where what a document names is not known yet


def audited_objects(
    applications: RegistryService,
    rule_service_: RuleService,
    planning: PlanService,
    deciding: DecisionService,
    sharing_: SharingService,
) -> Mapping[str, AuditedObject]:
    """By full method path. Objects are read as those methods show them that are for reading."""

    async def application(request: Any, context: Context) -> Message:
        asked = registry.GetApplicationRequest(
            tenant=request.tenant, application=request.application
        )
        return (await applications.GetApplication(asked, context)).application

    async def current_versions(
        request: registry.SubmitApplicationRequest, context: Context
    ) -> Message:
        found = await applications.ListApplications(
            registry.ListApplicationsRequest(tenant=request.head.tenant), context
        )
        return registry.ListApplicationsResponse(
            applications=[
                registry.Application(application=one.application, version=one.version)
                for one in found.applications[:MOST_VERSIONS]
            ]
        )

    async def address(request: registry.AddressApplicationRequest, context: Context) -> Message:
        return applications.address_of(context, request.tenant, request.application)

    async def rule(request: Any, context: Context) -> Message:
        asked = rules.GetRuleRequest(tenant=request.tenant, rule_id=request.rule_id)
        return await rule_service_.GetRule(asked, context)

    async def rollout(request: Any, context: Context) -> Message | None:
        return rule_service_.rollout(context, request.tenant, request.rule_id)

    async def rule_versions(request: rules.ApplyRulesRequest, context: Context) -> Message:
        """Which versions counts: what one says can be read at any time."""
        found = await rule_service_.ListRules(
            rules.ListRulesRequest(tenant=request.tenant, page_size=MOST_VERSIONS), context
        )
        return rules.ListRulesResponse(
            rules=[rules.Rule(rule_id=one.rule_id, version=one.version) for one in found.rules],
            next_page_token=found.next_page_token,
        )

    async def plan(request: Any, context: Context) -> Message:
        asked = plans.GetPlanRequest(tenant=request.tenant, plan_id=request.plan_id)
        return await planning.GetPlan(asked, context)

    async def instruction(request: Any, context: Context) -> Message | None:
        return deciding.instruction(context, request.tenant, request.instruction_id)

    async def letter(request: decisions.RedriveDeadLetterRequest, context: Context) -> Message:
        asked = decisions.GetDeadLetterRequest(
            tenant=request.tenant, dead_letter_id=request.dead_letter_id
        )
        return await deciding.GetDeadLetter(asked, context)

    async def policies(request: Any, context: Context) -> Message:
        return sharing.ListSharingResponse(policies=sharing_.policies(context, request.tenant))

    async def policy(request: Any, context: Context) -> Message | None:
        found = sharing_.policies(context, request.tenant)
        return next((one for one in found if one.feed == request.feed), None)

    async def consent(request: Any, context: Context) -> Message | None:
        return sharing_.consent(context, request.tenant, request.consent_id)

    async def own_consent(request: Any, context: Context) -> Message | None:
        return sharing_.own_consent(context, request.tenant, request.consent_id)

    by_name = AuditedObject(
        kind="application",
        transactions=Transactions.ONE,
        target=lambda request: request.application,
        before=application,
    )
    one_rule = AuditedObject(
        kind="rule",
        transactions=Transactions.ONE,
        target=lambda request: request.rule_id,
        before=rule,
    )
    one_rollout = AuditedObject(
        kind="rollout",
        transactions=Transactions.ONE,
        target=lambda request: request.rule_id,
        before=rollout,
    )
    one_plan = AuditedObject(
        kind="plan",
        transactions=Transactions.ONE,
        target=lambda request: request.plan_id,
        before=plan,
    )
    one_instruction = AuditedObject(
        kind="instruction",
        transactions=Transactions.ONE,
        target=lambda request: request.instruction_id,
        before=instruction,
    )
    table = {
        registry_service.NAME: {
            "SubmitApplication": AuditedObject(
                kind="application",
                transactions=Transactions.ONE,
                target=lambda request: "",
                before=current_versions,
                named=lambda response: (
                    response.accepted.tenant,
                    response.accepted.application,
                ),
                refused=lambda response: response.HasField("refused"),
            ),
            "RollbackApplication": by_name,
            "DeprecateApplication": by_name,
            "AddressApplication": AuditedObject(
                kind="address",
                transactions=Transactions.ONE,
                target=lambda request: request.application,
                before=address,
            ),
        },
        rule_service.NAME: {
            "ApplyRules": AuditedObject(
                kind="rules",
                transactions=Transactions.ONE,
                target=lambda request: "",
                before=rule_versions,
            ),
            "RetryRule": AuditedObject(
                kind="rule",
                transactions=Transactions.ONE,
                target=lambda request: request.rule_id,
                before=rule,
                after=lambda response: response.rule,
            ),
            "RetireRule": one_rule,
            "RollbackRule": one_rule,
            "PauseRule": one_rule,
            "ResumeRule": one_rule,
            "PromoteRollout": one_rollout,
            "HoldRollout": one_rollout,
            "AbortRollout": one_rollout,
        },
        plan_service.NAME: {
            "CreatePlan": AuditedObject(
                kind="plan",
                transactions=Transactions.ONE,
                target=lambda request: "",
                named=lambda response: (response.tenant, response.plan_id),
            ),
            "ChangePlan": one_plan,
            "UndoChange": one_plan,
            "CancelPlan": one_plan,
        },
        sharing_service.NAME: {
            "ApplySharing": AuditedObject(
                kind="sharing policies",
                transactions=Transactions.ONE,
                target=lambda request: "",
                before=policies,
            ),
            "RemoveSharing": AuditedObject(
                kind="sharing policy",
                transactions=Transactions.ONE,
                target=lambda request: request.feed,
                before=policy,
            ),
            "GiveConsent": AuditedObject(
                kind="consent",
                transactions=Transactions.ONE,
                target=lambda request: "",
                named=lambda response: (response.tenant, response.consent_id),
            ),
            "GiveOwnConsent": AuditedObject(
                kind="consent",
                transactions=Transactions.ONE,
                target=lambda request: "",
                named=lambda response: (response.tenant, response.consent_id),
            ),
            "WithdrawOwnConsent": AuditedObject(
                kind="consent",
                transactions=Transactions.ONE,
                target=lambda request: request.consent_id,
                before=own_consent,
            ),
            "WithdrawConsent": AuditedObject(
                kind="consent",
                transactions=Transactions.ONE,
                target=lambda request: request.consent_id,
                before=consent,
            ),
        },
        approval_service.NAME: {
            "ApproveApproval": one_instruction,
            "RejectApproval": one_instruction,
        },
        decision_service.NAME: {
            "ApproveInstruction": one_instruction,
            "DenyInstruction": one_instruction,
            "RedriveDeadLetter": AuditedObject(
                kind="dead letter",
                transactions=Transactions.ONE,
                target=lambda request: request.dead_letter_id,
                before=letter,
            ),
        },
    }
    return {
        f"/{service}/{method}": found
        for service, methods in table.items()
        for method, found in methods.items()
    }
