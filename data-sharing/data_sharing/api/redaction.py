"""Redaction: messages about decisions without the values that operators may not see.

That something was decided, by which rule and because of which event, is told; what was read and
what was made of it is not."""

from __future__ import annotations

from typing import Any

import msgspec

from control_plane.errors import Refused
from data_sharing.decisions.disclosure import Disclosure
from homeport.api.datasharing.v1 import approval_pb2 as approvals_pb
from homeport.api.datasharing.v1 import decision_pb2 as pb
from homeport.api.datasharing.v1 import rule_pb2 as rules_pb

NOT_SHOWN = "not shown: a sharing policy hides from operators what the rule reads"


class Redaction:
    """Each method changes its message where it must, and gives it back."""

    def __init__(self, disclosure: Disclosure) -> None:
        self._disclosure = disclosure

    def decision(self, message: pb.Decision) -> pb.Decision:
        if self._hides(message.tenant, message.rule_id, message.rule_version):
            effects: list[dict[str, Any]] = msgspec.json.decode(message.effects_json)
            kept = [one | {"to": {}, "reason": ""} for one in effects]
            message.effects_json = msgspec.json.encode(kept).decode()
            message.timer_id = "…" if message.timer_id else ""  # its name has its key
            message.values_hidden = True
        return message

    def instruction(self, message: pb.Instruction) -> pb.Instruction:
        if self._hides(message.tenant, message.rule_id, message.rule_version):
            message.config_json = "{}"
            message.reason = NOT_SHOWN if message.reason else ""
            if message.HasField("outcome"):
                message.outcome.output_json = message.outcome.message = ""
            message.values_hidden = True
        return message

    def approval(self, message: approvals_pb.Approval) -> approvals_pb.Approval:
        """Its events are shown by their own policies."""
        if self.instruction(message.instruction).values_hidden:
            message.read.clear()
            message.values_hidden = True
        return message

    def letter(self, message: pb.DeadLetter) -> pb.DeadLetter:
        hidden = self._hides(message.tenant, message.rule_id, message.rule_version)
        if message.HasField("instruction"):
            hidden |= self.instruction(message.instruction).values_hidden
        if hidden:
            message.reason = NOT_SHOWN
            message.values_hidden = True
        return message

    def ancestry(self, tenant: str, message: pb.GetAncestryResponse) -> pb.GetAncestryResponse:
        """Reasons of dead letters quote values."""
        for one in message.nodes:
            if one.rule_id and self._hides(tenant, one.rule_id, one.rule_version):
                one.values_hidden = True
                if one.kind == pb.ANCESTRY_KIND_DEAD_LETTER:
                    one.title = NOT_SHOWN
        return message

    def explanation(
        self, tenant: str, message: pb.ExplainDecisionResponse
    ) -> pb.ExplainDecisionResponse:
        for one in message.decisions:
            self.decision(one)
        for each in message.instructions:
            self.instruction(each)
        for rule in message.rules:
            if self._hides(tenant, rule.rule_id, rule.rule_version):
                rule.detail = NOT_SHOWN if rule.detail else ""
                for clause in rule.clauses:
                    _without_values(clause)
                rule.key = ""
                del rule.kept[:]
                rule.values_hidden = True
        return message

    def rule(self, message: rules_pb.Rule) -> rules_pb.Rule:
        """How it fares: errors quote values, and keys may be of users."""
        if self._hides(message.tenant, message.rule_id, message.version):
            health = message.health
            health.last_error = NOT_SHOWN if health.last_error else ""
            for scope in health.parked_scopes:
                scope.last_error = NOT_SHOWN
                scope.key = "…" if scope.key else ""
        return message

    def check_key(self, tenant: str, rule: str, key: str) -> None:
        """Whether operators may ask for what a rule keeps at a key: by the answer they would learn
        whether there is any. Raises Refused."""
        if key and self._hides(tenant, rule, 0):
            raise Refused(
                f"a sharing policy hides from operators by which keys rule {rule} is parked; "
                "retry it for a producer, or as a whole"
            )

    def rollout(self, tenant: str, rule: str, message: rules_pb.Rollout) -> rules_pb.Rollout:
        """What its versions would have done."""
        if self._hides(tenant, rule, 0):
            for one in message.differences:
                one.key = "…" if one.key else ""
                one.cause = one.cause if one.position else "…"  # a timer's name has its key
                del one.stable_effects[:]
                del one.candidate_effects[:]
        return message

    def _hides(self, tenant: str, rule: str, version: int) -> bool:
        return not self._disclosure.shows(tenant, rule, version)


def _without_values(clause: rules_pb.Clause) -> None:
    clause.read.clear()
    clause.outcome = clause.outcome.partition(":")[0]
    for part in clause.parts:
        _without_values(part)
