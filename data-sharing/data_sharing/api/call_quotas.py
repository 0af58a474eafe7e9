"""What calls of data sharing count as, and how events are counted: by number and by bytes."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.quotas.limits import Quota
from control_plane.quotas.quotas import Quotas

_API = "homeport.api.datasharing.v1"
METHOD_QUOTAS: Mapping[str, Quota] = {
    f"/{_API}.ApplicationRegistry/SubmitApplication": Quota.SUBMISSIONS,
    f"/{_API}.RuleService/TestRules": Quota.RULE_TESTS,
    f"/{_API}.RuleService/ApplyRules": Quota.RULE_TESTS,
    f"/{_API}.SharingService/ApplySharing": Quota.RULE_TESTS,
    f"/{_API}.SharingService/GiveConsent": Quota.PLAN_WRITES,
    f"/{_API}.SharingService/WithdrawConsent": Quota.PLAN_WRITES,
    f"/{_API}.SharingService/GiveOwnConsent": Quota.OWN_CONSENTS,
    f"/{_API}.SharingService/WithdrawOwnConsent": Quota.OWN_CONSENTS,
    f"/{_API}.SharingService/ListOwnConsents": Quota.OWN_CONSENTS,
    f"/{_API}.PlanService/CreatePlan": Quota.PLAN_WRITES,
    f"/{_API}.PlanService/ChangePlan": Quota.PLAN_WRITES,
    f"/{_API}.PlanService/UndoChange": Quota.PLAN_WRITES,
    f"/{_API}.PlanService/CancelPlan": Quota.PLAN_WRITES,
    f"/{_API}.FeedService/Tail": Quota.TAILS,
}
"""What methods count as that do not count themselves."""

QUOTAS = frozenset({Quota.EVENTS, Quota.EVENT_BYTES, *METHOD_QUOTAS.values()})


def count_events(quotas: Quotas, tenant: str, events: int, size: int, address: str | None) -> None:
    """Events that came together, in so many bytes. Raises QuotaExceeded."""
    quotas.take(Quota.EVENTS, tenant, address=address, cost=float(events))
    quotas.take(Quota.EVENT_BYTES, tenant, address=address, cost=float(size))
