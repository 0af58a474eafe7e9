"""What becomes of each method where keys are spread over partitions.

A method that stands in none of these is answered by the server that is asked, of its own partition:
what documents say is the same in all; streams of events and platforms are of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Any, NamedTuple

from google.protobuf import message_factory

from homeport.api.datasharing.v1 import (
    approval_pb2,
    decision_pb2,
    plan_pb2,
    platform_pb2,
    registry_pb2,
    rule_pb2,
    sharing_pb2,
)

PACKAGE = "homeport.api.datasharing.v1"


class Reach(Enum):
    """In which partitions a call is done."""

    ALL = auto()  # in each, by the server of the first one: documents
    FIND = auto()  # where what it names is: in the first that knows it
    LIST = auto()  # in each, and the answers are one
    CREATE = auto()  # where its key is, if no other partition has one of its name


class Listing(NamedTuple):
    """items: the repeated field of the answer; order: what rises from one to the next."""

    items: str
    order: Callable[[Any], Any]


class Method(NamedTuple):
    """One that reaches beyond the partition of whoever is asked."""

    reach: Reach
    request: Any  # message classes
    response: Any
    listing: Listing | None = None


def _newest(field: str) -> Callable[[Any], Any]:
    def order(item: Any) -> Any:
        time = getattr(item, field)
        return (-time.seconds, -time.nanos)

    return order


_ALL = {
    "ApplicationRegistry": (
        "SubmitApplication", "RollbackApplication", "DeprecateApplication", "AddressApplication",
    ),
    "RuleService": (
        "ApplyRules", "RetryRule", "PromoteRollout", "HoldRollout", "AbortRollout", "RollbackRule",
        "PauseRule", "ResumeRule", "RetireRule",
    ),
    "SharingService": (
        "ApplySharing", "RemoveSharing", "GiveConsent", "WithdrawConsent", "GiveOwnConsent",
        "WithdrawOwnConsent",
    ),
}  # fmt: skip
_FIND = {
    "DecisionService": (
        "ExplainDecision", "GetAncestry", "ApproveInstruction", "DenyInstruction", "GetDeadLetter",
        "RedriveDeadLetter",
    ),
    "ApprovalService": ("GetApproval", "ApproveApproval", "RejectApproval"),
    "PlanService": ("GetPlan", "ChangePlan", "UndoChange", "GetPlanHistory", "CancelPlan"),
}  # fmt: skip
_LISTS = {
    ("DecisionService", "ListDecisions"): Listing("decisions", _newest("decide_time")),
    ("DecisionService", "ListInstructions"): Listing("instructions", _newest("decide_time")),
    ("DecisionService", "ListDeadLetters"): Listing("dead_letters", _newest("create_time")),
    ("ApprovalService", "ListApprovals"): Listing("approvals", _newest("ask_time")),
    ("PlanService", "ListPlans"): Listing("plans", lambda one: one.plan_id),
    ("PlatformService", "ListPlatforms"): Listing("platforms", lambda one: one.platform),
    ("SharingService", "ListSharedReads"): Listing("reads", lambda one: one.day.seconds),
}
_FILES = (
    approval_pb2, decision_pb2, plan_pb2, platform_pb2, registry_pb2, rule_pb2, sharing_pb2,
)  # fmt: skip


def _methods() -> dict[str, Method]:
    services = {
        name: service
        for file in _FILES
        for name, service in file.DESCRIPTOR.services_by_name.items()
    }

    def made(
        service: str, name: str, reach: Reach, listing: Listing | None = None
    ) -> tuple[str, Method]:
        found = services[service].methods_by_name[name]
        of = message_factory.GetMessageClass
        method = Method(reach, of(found.input_type), of(found.output_type), listing)
        return f"/{PACKAGE}.{service}/{name}", method

    def all_of(table: dict[str, tuple[str, ...]], reach: Reach) -> Iterable[tuple[str, Method]]:
        return (made(service, name, reach) for service in table for name in table[service])

    return dict(
        [
            *all_of(_ALL, Reach.ALL),
            *all_of(_FIND, Reach.FIND),
            *(made(*which, Reach.LIST, listing) for which, listing in _LISTS.items()),
            made("PlanService", "CreatePlan", Reach.CREATE),
        ]
    )


METHODS = _methods()
"""By full path."""
