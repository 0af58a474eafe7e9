"""InstructionFactory: makes an instruction of what was decided, and says what is wrong with it if
anything is: no such application or action, or a configuration that breaks its schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Any, NamedTuple

from data_sharing.correlation import UNKNOWN, Correlation
from data_sharing.decisions import plan_store
from data_sharing.decisions.action_schemas import compiled_schema
from data_sharing.feeds.log_tables import type_named
from data_sharing.instruction import NO_TERMS, ApprovalTerms, Cause, Instruction, stricter
from data_sharing.plans.due_actions import DueAction
from data_sharing.plans.plan import EventPlan
from data_sharing.registry.catalogue import Version
from data_sharing.registry.manifest import Action
from data_sharing.rules.effects import EventRef, Invoke

FindVersion = Callable[[str, str, str], Version | None]
"""(tenant, application, version or "" for the current one)."""
FindOrigin = Callable[[str, str], str]
"""(tenant, feed) to the application that its events come from; empty: none."""

MOST_CAUSES = 32  # named in an instruction; the history has all


def cause_of(ref: EventRef) -> Cause:
    """An event as an instruction names it."""
    return Cause(source=ref.source, id=ref.id, position=ref.position)


def planned_id(due: DueAction) -> str:
    """Of the decision that an action of a plan is."""
    return f"c-{due.id}"


class NewInstruction(NamedTuple):
    """An instruction to be kept. fault: why it cannot be carried out; empty: it can."""

    instruction: Instruction
    needs_approval: bool
    fault: str
    terms: ApprovalTerms = NO_TERMS  # of its approval
    read: Mapping[str, Any] = MappingProxyType({})  # values that its rule read, for who approves


class InstructionFactory:
    """Makes instructions from what the registry knows of applications."""

    def __init__(
        self, find: FindVersion, find_origin: FindOrigin = lambda tenant, feed: ""
    ) -> None:
        self._find = find
        self._find_origin = find_origin

    def origins(
        self,
        db: sqlite3.Connection,
        tenant: str,
        events: Iterable[tuple[str, str]],
        known: Cause | None = None,
    ) -> tuple[str, ...]:
        """The applications that events come from, by name: (source, id) of each. Of one that the
        log no longer keeps that is not known. known: one whose type need not be looked up."""
        found = set()
        for source, name in events:
            if known is not None and (source, name) == (known.source, known.id):
                feed = known.type
            else:
                feed = type_named(db, tenant, source, name)
            found.add(self._find_origin(tenant, feed) if feed else "")
        return tuple(sorted(found - {""}))

    def of_effect(
        self,
        effect: Invoke,
        now_ms: int,
        trace: str = "",
        *,
        caused_by: tuple[str, ...] = (),
        decision: str = "",
    ) -> NewInstruction:
        """A rule has an application perform something now. trace: of its decision. caused_by:
        the origins of its events. decision: its id."""
        return self._new(
            id=f"i-{effect.id}",
            tenant=effect.tenant,
            application=effect.application,
            action=effect.action,
            configuration=effect.config,
            deadline_ms=effect.deadline_ms,
            decided_at_ms=now_ms,
            rule=effect.cause.rule,
            rule_version=effect.cause.rule_version,
            plan=effect.plan_id,
            occurrence_ms=effect.occurrence_ms or 0,
            causes=tuple(map(cause_of, effect.cause.events[:MOST_CAUSES])),
            caused_by=caused_by,
            trace=trace,
            asked=effect.approval,
            decision=decision,
            correlation=effect.cause.correlation or decision,
            hops=effect.cause.hops + 1,
        )

    def of_plan(
        self, db: sqlite3.Connection, plan: EventPlan, due: DueAction, now_ms: int
    ) -> NewInstruction:
        """An action of a plan fell due. Its causes are the events that had changed the plan."""
        modification, causes, flow = _modification(db, plan, due.occurrence_ms)
        return self._new(
            id=f"i-{due.id}",
            tenant=due.tenant,
            application=due.application,
            action=due.action,
            configuration=due.config,
            deadline_ms=due.deadline_ms,
            decided_at_ms=now_ms,
            plan=due.plan_id,
            occurrence_ms=due.occurrence_ms,
            modification=modification,
            causes=causes[:MOST_CAUSES],
            caused_by=self.origins(db, due.tenant, [(one.source, one.id) for one in causes]),
            decision=planned_id(due),
            correlation=flow.correlation or planned_id(due),
            hops=flow.hops + 1,
        )

    def _new(
        self,
        *,
        id: str,
        tenant: str,
        application: str,
        action: str,
        configuration: Mapping[str, Any],
        deadline_ms: int,
        decided_at_ms: int,
        plan: str,
        occurrence_ms: int,
        causes: tuple[Cause, ...],
        caused_by: tuple[str, ...],
        rule: str = "",
        rule_version: int = 0,
        modification: Mapping[str, Any] | None = None,
        trace: str = "",
        asked: ApprovalTerms | None = None,
        decision: str = "",
        correlation: str = "",
        hops: int = 0,
    ) -> NewInstruction:
        """asked: the terms of an approval that the rule asks for."""
        version = self._find(tenant, application, "")
        found = version.manifest.action(action) if version is not None else None
        fault = _fault(tenant, application, action, version, found, configuration)
        instruction = Instruction(
            id=id,
            tenant=tenant,
            application=application,
            version=version.manifest.version if version is not None else "",
            artifact=version.artifact_sha256 if version is not None else "",
            action=action,
            configuration=configuration,
            deadline_ms=deadline_ms,
            idempotent=found is not None and found.idempotent,
            decided_at_ms=decided_at_ms,
            rule=rule,
            rule_version=rule_version,
            plan=plan,
            occurrence_ms=occurrence_ms,
            modification=modification,
            causes=causes,
            trace=trace,
            caused_by=caused_by,
            decision=decision,
            correlation=correlation,
            hops=hops,
        )
        terms = [] if asked is None else [asked]
        terms += [found.approval] if found is not None and found.needs_approval else []
        return NewInstruction(instruction, bool(terms), fault, reduce(stricter, terms, NO_TERMS))


def _fault(
    tenant: str,
    application: str,
    action: str,
    version: Version | None,
    found: Action | None,
    configuration: Mapping[str, Any],
) -> str:
    """Why it cannot be carried out; empty: it can."""
    if version is None:
        return f"tenant {tenant} has no application {application}"
    if found is None:
        return f"{application} {version.manifest.version} has no action {action}"
    breach = compiled_schema(found.input).breach_within_bounds(configuration)
    if breach is not None:
        return (
            f"the configuration breaks the input schema of {application} {action} at "
            f"{breach.pointer or '/'}: {breach.message}"
        )
    return ""


def _modification(
    db: sqlite3.Connection, plan: EventPlan, planned_ms: int
) -> tuple[dict[str, Any] | None, tuple[Cause, ...], Correlation]:
    """How the occurrence had been changed by now, because of which events, and the flow of the
    newest change by a rule, with the most decisions that led to any."""
    fields: dict[str, Any] = {}
    causes: dict[tuple[str, str], Cause] = {}
    newest_ms, flow = 0, UNKNOWN
    for field, setting in sorted(plan.effective(planned_ms).items()):
        fields[field] = {"value": setting.value, "by": setting.by, "change": setting.change}
        record = plan_store.change(db, plan.tenant, plan.id, setting.change)
        for ref in record.cause.refs if record is not None else ():
            causes[ref.source, ref.id] = cause_of(ref)
        if record is not None and record.cause.rule:
            newer = record.at_ms >= newest_ms
            newest_ms = max(newest_ms, record.at_ms)
            flow = Correlation(
                record.cause.correlation if newer else flow.correlation,
                hops=max(flow.hops, record.cause.hops + 1),
            )
    return fields or None, tuple(causes.values()), flow
