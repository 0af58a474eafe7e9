"""Planning: what owners do with their plans, each in one transaction of the decision worker.

So a user's change and a rule's never cross: whichever comes second sees the first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from control_plane.errors import AlreadyExists, InvalidInput
from control_plane.offloading.port import Offload
from control_plane.printable import quoted
from data_sharing.database import Database
from data_sharing.decisions import action_check, plan_store
from data_sharing.decisions.action_check import ActionFindings
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.management import plan_task
from data_sharing.plans.changes import ChangedPlan, apply, cancel, undo, user_change
from data_sharing.plans.plan import EventPlan, Occurrence, created
from data_sharing.plans.spec import PlanSpec
from data_sharing.registry.catalogue import Catalogue


class Planning:
    """new_id: of a change, new at each call; wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        worker: DecisionWorker,
        catalogue: Callable[[], Catalogue],
        offload: Offload,
        *,
        wall_ms: Callable[[], int],
        new_id: Callable[[], str],
        check_place: Callable[[str, PlanSpec], None] = lambda tenant, spec: None,
    ) -> None:
        """check_place: raises where a plan belongs to another partition, or to several."""
        self._check_place = check_place
        self._database = database
        self._worker = worker
        self._catalogue = catalogue
        self._offload = offload
        self._wall_ms = wall_ms
        self._new_id = new_id

    async def create(self, tenant: str, text: str) -> EventPlan:
        """A new plan; the same once more is what is there. Raises InvalidInput, AlreadyExists;
        as `check_place`."""
        encoded, last_ms = await self._offload.offload(
            plan_task.READ, text, tenant=tenant, subject="plan"
        )
        spec = msgspec.json.decode(encoded, type=PlanSpec)
        self._check_place(tenant, spec)

        def work(db: sqlite3.Connection) -> EventPlan:
            self._worker.join_transaction(db)
            existing = self._worker.plans.get(tenant, spec.plan)
            if existing is not None:
                if existing.spec != spec:
                    raise AlreadyExists(
                        f"tenant {tenant} has another plan {quoted(spec.plan)}; change that one, "
                        "or give this one another id"
                    )
                return existing
            _refuse(action_check.of_plan(self._catalogue(), tenant, spec))
            now_ms = self._wall_ms()
            plan = created(tenant, spec, now_ms, last_ms)
            self._worker.plans.put(plan, None, now_ms=now_ms)
            return plan

        return await self._database.transact(work)

    async def change(
        self,
        tenant: str,
        plan_id: str,
        *,
        occurrence_ms: int | None,
        fields: Mapping[str, Any],
        user: str,
        note: str,
        expected_version: int,
    ) -> EventPlan:
        """A user's change. Raises InvalidInput, NotFound, Conflict, Refused."""
        change_id = self._new_id()

        def work(plan: EventPlan, now_ms: int, db: sqlite3.Connection) -> ChangedPlan:
            request = user_change(
                plan, change_id=change_id, occurrence_ms=occurrence_ms, fields=fields, user=user,
                note=note, expected_version=expected_version,
            )  # fmt: skip
            _refuse(action_check.of_change(self._catalogue(), plan, fields))
            return apply(plan, request, now_ms=now_ms)

        return await self._changed(tenant, plan_id, work)

    def warnings(self, plan: EventPlan, following: Occurrence | None) -> tuple[str, ...]:
        """What of a plan's actions is not there now, or would fail at its next occurrence."""
        if following is None:
            return ()
        return action_check.of_plan(self._catalogue(), plan.tenant, plan.spec, following).texts

    async def undo(self, tenant: str, plan_id: str, change_id: str, user: str) -> EventPlan:
        """Takes a change back. Raises NotFound, Refused."""
        undo_id = self._new_id()

        def work(plan: EventPlan, now_ms: int, db: sqlite3.Connection) -> ChangedPlan:
            history = plan_store.history(db, tenant, plan_id)
            return undo(plan, history, change_id, undo_id=undo_id, user=user, now_ms=now_ms)

        return await self._changed(tenant, plan_id, work)

    async def cancel(self, tenant: str, plan_id: str, user: str) -> EventPlan:
        """No action becomes due any more. Raises NotFound."""
        change_id = self._new_id()
        return await self._changed(
            tenant,
            plan_id,
            lambda plan, now_ms, db: cancel(plan, change_id=change_id, user=user, now_ms=now_ms),
        )

    async def _changed(
        self,
        tenant: str,
        plan_id: str,
        change: Callable[[EventPlan, int, sqlite3.Connection], ChangedPlan],
    ) -> EventPlan:
        def work(db: sqlite3.Connection) -> EventPlan:
            self._worker.join_transaction(db)
            now_ms = self._wall_ms()
            plan = plan_store.require(db, tenant, plan_id)
            changed = change(plan, now_ms, db)
            if changed.record is not None:
                self._worker.plans.put(changed.plan, changed.record, now_ms=now_ms)
            return changed.plan

        return await self._database.transact(work)


def _refuse(found: ActionFindings) -> None:
    """Raises InvalidInput where settings can never be taken."""
    if found.faults:
        message = "\n".join(f"{at}: {what}" for at, what in found.faults)
        raise InvalidInput(found.faults[0][0], message)


def spec_json(plan: EventPlan) -> str:
    """The plan as it was planned."""
    return msgspec.json.encode(plan.spec).decode()
