"""The half of a server that decides and delivers: rules and plans, the worker that follows the
feed log, the dispatcher with its platforms, and the services of all of these.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from control_plane.errors import Conflict, NotFound
from control_plane.identity.key_wrapping import Wrapping
from control_plane.offloading.port import Offload
from control_plane.serving.server import Service
from control_plane.supervision import Supervisor
from data_sharing.api.approval_service import ApprovalService
from data_sharing.api.callers import Callers
from data_sharing.api.decision_service import DecisionService
from data_sharing.api.partition_calls import MADE_ID
from data_sharing.api.plan_service import PlanService
from data_sharing.api.platform_service import PlatformService
from data_sharing.api.read_turns import ReadTurns
from data_sharing.api.redaction import Redaction
from data_sharing.api.rule_service import RuleService
from data_sharing.api.sharing_service import SharingService
from data_sharing.database import Database
from data_sharing.decisions import outbox, rule_tables
from data_sharing.decisions.action_users import ActionUsers
from data_sharing.decisions.ancestry_tables import NamedCauses
from data_sharing.decisions.disclosure import Disclosure, FindSpec
from data_sharing.decisions.forgetting import Forgetting
from data_sharing.decisions.instruction_factory import FindVersion, InstructionFactory
from data_sharing.decisions.memory_counting import MemoryCounting
from data_sharing.decisions.pauses import Pauses
from data_sharing.decisions.retention import DecisionRetention
from data_sharing.decisions.rollouts import Rollouts
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.decisions.sharing_registry import SharingRegistry
from data_sharing.decisions.suspended_memories import suspended_memories
from data_sharing.decisions.worker import PARTITION, DecisionWorker
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_events import OutcomeEvents
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.delivery.output_check import OutputCheck
from data_sharing.feeds.sqlite_log import SqliteFeedLog
from data_sharing.management.approvals import Approvals
from data_sharing.management.operator_actions import OperatorActions
from data_sharing.management.planning import Planning
from data_sharing.management.shown_records import ShownRecords
from data_sharing.management.waiting_approvals import WaitingApprovals
from data_sharing.memory_limits import TenantLimits
from data_sharing.registry.access import origin
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.registry import Registry
from data_sharing.replication.partition_map import PartitionMap
from data_sharing.rules.spec import RuleSpec
from data_sharing.signing_key_file import key_of_file
from data_sharing.wiring.plan_places import plan_check


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """What a server runs and serves of it."""

    worker: DecisionWorker
    feed_log: SqliteFeedLog
    dispatcher: Dispatcher
    retention: DecisionRetention
    rollouts: Rollouts
    pauses: Pauses
    forgetting: Forgetting
    memory_counting: MemoryCounting
    waiting_approvals: WaitingApprovals
    platforms: PlatformService
    rules: RuleService
    plans: PlanService
    decisions: DecisionService
    sharing: SharingService
    shown: ShownRecords
    turns: ReadTurns
    approvals: ApprovalService

    @property
    def services(self) -> Sequence[Service]:
        """What it serves."""
        served = (
            self.rules, self.plans, self.decisions, self.approvals, self.platforms, self.sharing,
        )  # fmt: skip
        return [one.service() for one in served]

    def run(self, group: asyncio.TaskGroup, supervisor: Supervisor) -> list[asyncio.Task[None]]:
        """Its tasks in the group, until they are cancelled. Another worker that has taken over
        ends the process: two must not decide."""
        keep = supervisor.keep
        return [
            group.create_task(keep("timers", self.worker.run, ends_on=(Conflict,))),
            group.create_task(keep("dispatcher", self.dispatcher.run)),
            group.create_task(keep("decision retention", self.retention.run)),
            group.create_task(keep("rollouts", self.rollouts.run)),
            group.create_task(keep("paused rules", self.pauses.run)),
            group.create_task(keep("waiting approvals", self.waiting_approvals.run)),
            group.create_task(keep("forgetting", self.forgetting.run, ends_on=(Conflict,))),
            group.create_task(keep("counts", self.memory_counting.run, ends_on=(Conflict,))),
        ]


async def build_deciding(
    database: Database,
    registry: Registry,
    callers: Callers,
    offload: Offload,
    *,
    signing_key: Path,
    wrapping: Wrapping,
    keep_decisions_s: float,
    keep_events_s: float,
    max_hops: int,
    memory: TenantLimits,
    weight_of: Callable[[str], float],
    wall_ms: Callable[[], int],
    partitions: PartitionMap | None = None,
) -> Deciding:
    """With a worker that has taken its partition over. weight_of: of a tenant, among those whose
    events wait; wall_ms: Unix ms. partitions: None: keys are not spread."""
    find_version = version_finder(registry)

    def find_origin(tenant: str, feed: str) -> str:
        return origin(registry.catalogue, tenant=tenant, feed=feed)

    worker = DecisionWorker(
        database, InstructionFactory(find_version, find_origin), wall_ms=wall_ms,
        most_hops=max_hops, memory=memory,
    )  # fmt: skip
    await worker.start()
    # The worker decides inside the transaction that keeps the events.
    feed_log = SqliteFeedLog(
        database,
        wall_ms=wall_ms,
        follower=worker.follow,
        ancestry=NamedCauses(find_origin),
        weight_of=weight_of,
    )
    rules = RuleRegistry(
        database, worker, lambda: registry.catalogue, offload, wall_ms=wall_ms,
        keep_events_ms=round(keep_events_s * 1_000), spread=partitions is not None,
    )  # fmt: skip
    rollouts = Rollouts(database, rules, worker, wall_ms=wall_ms)
    pauses = Pauses(database, rules, worker, wall_ms=wall_ms)

    sharing = SharingRegistry(
        database,
        worker,
        wall_ms=wall_ms,
        new_id=lambda: MADE_ID.get() or f"k-{secrets.token_hex(10)}",
        new_secret=lambda: secrets.token_bytes(32),
        suspended=lambda tenant: suspended_memories(database, rules.suspended, tenant),
    )
    disclosure = Disclosure(lambda: worker.rules, spec_finder(database))
    redaction, turns = Redaction(disclosure), ReadTurns(time.monotonic)
    shown = ShownRecords(database, lambda: worker.rules.policies, wall_ms=wall_ms)

    key = await asyncio.to_thread(  # a passphrase takes a tenth of a second
        key_of_file, signing_key, wrapping, random=secrets.token_bytes
    )
    recorder = OutcomeRecorder(
        OutcomeEvents(feed_log, disclosure.governed).record,
        check=OutputCheck(find_version).checked,
        wall_ms=wall_ms,
    )
    dispatcher = Dispatcher(
        database,
        key,
        recorder,
        partition=PARTITION if partitions is None else partitions.name,
        fence=worker.fence,
        wall_ms=wall_ms,
        jitter=random.Random(secrets.randbits(64)).random,
    )
    operator_actions = OperatorActions(database, worker, dispatcher, wall_ms=wall_ms)
    approvals = Approvals(database, dispatcher, recorder, wall_ms=wall_ms)
    planning = Planning(
        database, worker, lambda: registry.catalogue, offload, wall_ms=wall_ms,
        new_id=lambda: f"u-{secrets.token_hex(10)}", check_place=plan_check(partitions),
    )  # fmt: skip

    platforms = PlatformService(
        dispatcher,
        key,
        find_version,
        tenant_of=lambda context, tenant: callers.of_context(context, tenant).tenant,
        turns=turns,
        needed=lambda tenant: database.read(lambda db: outbox.open_applications(db, tenant)),
        wall_ms=wall_ms,
        partitions=partitions,
    )

    def catalogue_changed(catalogue: Catalogue) -> None:
        """What may be read, and what there is to host, may be something else now."""
        rules.in_force.follow(catalogue)
        platforms.catalogue_changed()

    registry.on_change.append(catalogue_changed)
    registry.users = ActionUsers(database, worker).of
    return Deciding(
        worker=worker,
        feed_log=feed_log,
        dispatcher=dispatcher,
        retention=DecisionRetention(database, worker, keep_s=keep_decisions_s, wall_ms=wall_ms),
        platforms=platforms,
        rollouts=rollouts,
        pauses=pauses,
        forgetting=Forgetting(database, worker),
        memory_counting=MemoryCounting(database, worker),
        waiting_approvals=WaitingApprovals(database, wall_ms=wall_ms),
        rules=RuleService(rules, rollouts, pauses, worker, offload, callers, redaction, turns),
        plans=PlanService(planning, database, callers, turns, wall_ms=wall_ms),
        decisions=DecisionService(
            database,
            worker,
            dispatcher,
            operator_actions,
            approvals,
            callers,
            shown,
            redaction,
            turns,
        ),
        approvals=ApprovalService(approvals, dispatcher, callers, shown, redaction, turns),
        sharing=SharingService(
            sharing, database, lambda: registry.catalogue, offload, callers, turns
        ),
        shown=shown,
        turns=turns,
    )


def spec_finder(database: Database) -> FindSpec:
    """Versions of rules as they were applied."""

    def find(tenant: str, rule: str, version: int) -> RuleSpec | None:
        found = database.read(lambda db: rule_tables.get(db, tenant, rule, version))
        return None if found is None else found.spec

    return find


def version_finder(registry: Registry) -> FindVersion:
    """Versions by name; the current ones without a read of the database."""

    def find(tenant: str, application: str, version: str) -> Version | None:
        current = registry.catalogue.application(tenant, application)
        if not version or (current is not None and current.manifest.version == version):
            return current
        try:
            return registry.version(tenant, application, version)
        except NotFound:
            return None

    return find
