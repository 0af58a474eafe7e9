"""Calls to the data-sharing service: applications, feeds, rules and plans.

Unary calls have the deadline of all commands; a submission has longer, because artifacts are
compiled; streams of events last as long as there are events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from console.cli.calls.channel import Calls
from console.cli.calls.responses import responses
from homeport.api.datasharing.v1 import feed_pb2 as feeds
from homeport.api.datasharing.v1 import feed_pb2_grpc as feeds_grpc
from homeport.api.datasharing.v1 import plan_pb2 as plans
from homeport.api.datasharing.v1 import plan_pb2_grpc as plans_grpc
from homeport.api.datasharing.v1 import registry_pb2 as registry
from homeport.api.datasharing.v1 import registry_pb2_grpc as registry_grpc
from homeport.api.datasharing.v1 import rule_pb2 as rules
from homeport.api.datasharing.v1 import rule_pb2_grpc as rules_grpc
from homeport.errors import error_of
from homeport.status_details import failure_of

SUBMIT_S = 300.0
APPLY_S = 120.0  # thousands of rules take seconds to compile
PAGE = 1_000
PIECE_BYTES = 256 * 1024


class DataSharingCalls(Calls):
    """The data-sharing side. A context manager, like all of them."""

    def submit_application(
        self, tenant: str, manifest: str, artifact: bytes, *, dry_run: bool
    ) -> registry.SubmitApplicationResponse:
        """The verdict."""

        def messages() -> Iterator[registry.SubmitApplicationRequest]:
            head = registry.SubmissionHead(tenant=tenant, manifest=manifest, dry_run=dry_run)
            yield registry.SubmitApplicationRequest(head=head)
            for start in range(0, len(artifact), PIECE_BYTES):
                piece = artifact[start : start + PIECE_BYTES]
                yield registry.SubmitApplicationRequest(artifact=piece)

        verdict: registry.SubmitApplicationResponse
        verdict = self._call(
            registry_grpc.ApplicationRegistryStub, "SubmitApplication", messages, SUBMIT_S
        )
        return verdict

    def list_applications(self, tenant: str) -> list[registry.Application]:
        """The current versions, by name."""
        request = registry.ListApplicationsRequest(tenant=tenant)
        answer = self._call(registry_grpc.ApplicationRegistryStub, "ListApplications", request)
        return list(answer.applications)

    def addresses(self, tenant: str) -> list[registry.ApplicationAddress]:
        """Which accounts answer for applications, by application."""
        request = registry.ListAddressesRequest(tenant=tenant)
        answer = self._call(registry_grpc.ApplicationRegistryStub, "ListAddresses", request)
        return list(answer.addresses)

    def address_application(self, tenant: str, name: str, account: str) -> None:
        """account: that answers for it from now on; empty: none."""
        request = registry.AddressApplicationRequest(
            tenant=tenant, application=name, account=account
        )
        self._call(registry_grpc.ApplicationRegistryStub, "AddressApplication", request)

    def get_application(
        self, tenant: str, name: str, version: str
    ) -> registry.GetApplicationResponse:
        request = registry.GetApplicationRequest(tenant=tenant, application=name, version=version)
        answer: registry.GetApplicationResponse
        answer = self._call(registry_grpc.ApplicationRegistryStub, "GetApplication", request)
        return answer

    def rollback_application(self, tenant: str, name: str, version: str) -> registry.Application:
        request = registry.RollbackApplicationRequest(
            tenant=tenant, application=name, version=version
        )
        done: registry.Application
        done = self._call(registry_grpc.ApplicationRegistryStub, "RollbackApplication", request)
        return done

    def deprecate_application(
        self, tenant: str, name: str, version: str, reason: str
    ) -> registry.Application:
        request = registry.DeprecateApplicationRequest(
            tenant=tenant, application=name, version=version, reason=reason
        )
        done: registry.Application
        done = self._call(registry_grpc.ApplicationRegistryStub, "DeprecateApplication", request)
        return done

    def publish_events(
        self, batches: Iterable[feeds.PublishBatchRequest]
    ) -> Iterator[feeds.PublishBatchResponse]:
        """An answer for each batch, in order, while batches still come."""
        yield from self._stream(feeds_grpc.FeedServiceStub(self._channel).PublishEvents, batches)

    def tail(self, request: feeds.TailRequest) -> Iterator[feeds.TailResponse]:
        """Until the end of the log, or for ever where the request follows it."""
        yield from self._stream(feeds_grpc.FeedServiceStub(self._channel).Tail, request)

    def apply_rules(self, tenant: str, document: str, *, dry_run: bool) -> rules.ApplyRulesResponse:
        request = rules.ApplyRulesRequest(tenant=tenant, document=document, dry_run=dry_run)
        answer: rules.ApplyRulesResponse
        answer = self._call(rules_grpc.RuleServiceStub, "ApplyRules", request, APPLY_S)
        return answer

    def list_rules(self, tenant: str, *, with_retired: bool) -> list[rules.Rule]:
        """All of them, by id."""
        request = rules.ListRulesRequest(tenant=tenant, with_retired=with_retired)
        request.page_size = PAGE
        found: list[rules.Rule] = []
        while True:
            page = self._call(rules_grpc.RuleServiceStub, "ListRules", request)
            found += page.rules
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    def list_forecasts(self, tenant: str) -> list[rules.Forecast]:
        """All of them, by name."""
        request = rules.ListForecastsRequest(tenant=tenant, page_size=PAGE)
        found: list[rules.Forecast] = []
        while True:
            page = self._call(rules_grpc.RuleServiceStub, "ListForecasts", request)
            found += page.forecasts
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    def get_memory(self, tenant: str, source: str) -> rules.GetMemoryResponse:
        """source: of events, to be told what they have made; empty: none."""
        request = rules.GetMemoryRequest(tenant=tenant, source=source)
        found: rules.GetMemoryResponse = self._call(
            rules_grpc.RuleServiceStub, "GetMemory", request
        )
        return found

    def list_feeds(self, tenant: str) -> list[feeds.Feed]:
        """All of the tenant, by type."""
        request = feeds.ListFeedsRequest(tenant=tenant)
        answer = self._call(feeds_grpc.FeedServiceStub, "ListFeeds", request)
        return list(answer.feeds)

    def get_rule(self, tenant: str, rule: str, version: int) -> rules.Rule:
        request = rules.GetRuleRequest(tenant=tenant, rule_id=rule, version=version)
        found: rules.Rule = self._call(rules_grpc.RuleServiceStub, "GetRule", request)
        return found

    def retry_rule(
        self, tenant: str, rule: str, *, key: str, source: str
    ) -> rules.RetryRuleResponse:
        """What is parked of it is run again; of a key or producer alone where one is given."""
        request = rules.RetryRuleRequest(tenant=tenant, rule_id=rule, key=key, source=source)
        answer: rules.RetryRuleResponse
        answer = self._call(rules_grpc.RuleServiceStub, "RetryRule", request)
        return answer

    def retire_rule(self, tenant: str, rule: str) -> rules.Rule:
        request = rules.RetireRuleRequest(tenant=tenant, rule_id=rule)
        found: rules.Rule = self._call(rules_grpc.RuleServiceStub, "RetireRule", request)
        return found

    def get_rollout(self, tenant: str, rule: str) -> rules.Rollout:
        return self._rollout("GetRollout", rules.GetRolloutRequest(tenant=tenant, rule_id=rule))

    def promote_rollout(
        self, tenant: str, rule: str, *, from_step: int, full: bool
    ) -> rules.Rollout:
        """One step further, or all; only from that step, so that a repeated call moves it once."""
        request = rules.PromoteRolloutRequest(
            tenant=tenant, rule_id=rule, from_step=from_step, full=full
        )
        return self._rollout("PromoteRollout", request)

    def hold_rollout(self, tenant: str, rule: str, reason: str) -> rules.Rollout:
        request = rules.HoldRolloutRequest(tenant=tenant, rule_id=rule, reason=reason)
        return self._rollout("HoldRollout", request)

    def abort_rollout(self, tenant: str, rule: str, reason: str) -> rules.Rollout:
        request = rules.AbortRolloutRequest(tenant=tenant, rule_id=rule, reason=reason)
        return self._rollout("AbortRollout", request)

    def rollback_rule(
        self, tenant: str, rule: str, *, from_version: int, to_version: int
    ) -> rules.Rule:
        """to_version 0: the one before; from_version: that is in force."""
        request = rules.RollbackRuleRequest(
            tenant=tenant, rule_id=rule, from_version=from_version, to_version=to_version
        )
        found: rules.Rule = self._call(rules_grpc.RuleServiceStub, "RollbackRule", request)
        return found

    def pause_rule(self, tenant: str, rule: str, reason: str) -> rules.Rule:
        request = rules.PauseRuleRequest(tenant=tenant, rule_id=rule, reason=reason)
        found: rules.Rule = self._call(rules_grpc.RuleServiceStub, "PauseRule", request)
        return found

    def resume_rule(self, tenant: str, rule: str, *, skip_backlog: bool) -> rules.Rule:
        request = rules.ResumeRuleRequest(tenant=tenant, rule_id=rule, skip_backlog=skip_backlog)
        found: rules.Rule = self._call(rules_grpc.RuleServiceStub, "ResumeRule", request)
        return found

    def _rollout(self, method: str, request: Message) -> rules.Rollout:
        found: rules.Rollout = self._call(rules_grpc.RuleServiceStub, method, request)
        return found

    def create_plan(self, tenant: str, spec: str) -> plans.Plan:
        return self._plan("CreatePlan", plans.CreatePlanRequest(tenant=tenant, spec=spec))

    def get_plan(self, tenant: str, plan: str) -> plans.Plan:
        return self._plan("GetPlan", plans.GetPlanRequest(tenant=tenant, plan_id=plan))

    def list_plans(self, tenant: str, owner: str) -> list[plans.Plan]:
        """All of them, by id; of one owner where one is given."""
        request = plans.ListPlansRequest(tenant=tenant, owner=owner, page_size=PAGE)
        found: list[plans.Plan] = []
        while True:
            page = self._call(plans_grpc.PlanServiceStub, "ListPlans", request)
            found += page.plans
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    def change_plan(self, request: plans.ChangePlanRequest) -> plans.Plan:
        return self._plan("ChangePlan", request)

    def undo_change(self, tenant: str, plan: str, change: str) -> plans.Plan:
        request = plans.UndoChangeRequest(tenant=tenant, plan_id=plan, change_id=change)
        return self._plan("UndoChange", request)

    def cancel_plan(self, tenant: str, plan: str) -> plans.Plan:
        return self._plan("CancelPlan", plans.CancelPlanRequest(tenant=tenant, plan_id=plan))

    def plan_history(self, tenant: str, plan: str) -> list[plans.PlanChange]:
        """Every change, the newest first."""
        request = plans.GetPlanHistoryRequest(tenant=tenant, plan_id=plan, page_size=PAGE)
        found: list[plans.PlanChange] = []
        while True:
            page = self._call(plans_grpc.PlanServiceStub, "GetPlanHistory", request)
            found += page.changes
            request.page_token = page.next_page_token
            if not request.page_token:
                return found

    def _plan(self, method: str, request: Any) -> plans.Plan:
        plan: plans.Plan = self._call(plans_grpc.PlanServiceStub, method, request)
        return plan

    def _stream(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        try:
            yield from responses(
                lambda: method(request, metadata=self._metadata, wait_for_ready=False)
            )
        except grpc.RpcError as error:
            raise error_of(failure_of(error), servers=[self._servers[0]], attempts=1) from error
