"""HookedPolicies: policies of clients with what their hooks said. A PolicySource.

Whoever places a client asks twice: `ask` first, which has the hook asked where its answer is not
known yet, and once that is over `of`, which never waits. Answers are kept for each policy and cell
of locations, or each client, and for what the hook was told of the client, for as long as the
policy says. So nothing waits for a hook where clients are recorded, and without an answer the
policy says what holds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from control_plane.supervision import Supervisor
from provisioner.geo.location import Location
from provisioner.placement.attributes import attributes_of
from provisioner.placement.filters import CurrentPolicies, PlacementPolicy, Stamp
from provisioner.placement.hook_answers import answered, unanswered
from provisioner.placement.hook_candidates import HookCandidates
from provisioner.placement.hooks import (
    NOTHING_TOLD,
    HookAnswer,
    HookUse,
    ToldOfClient,
    told_to,
)
from provisioner.placement_hooks.asked_hook import AskedHook
from provisioner.placement_hooks.port import HookQuestion
from provisioner.policy.compiled import client_of

MOST_ANSWERS = 20_000  # that are kept
MOST_POLICIES = 1_024  # that are kept of what answers came to
AWAY_S = 1.0  # so long a place without answer is not asked about again
FULL_S = 1.0  # so long an answer counts at least where all units that it left are full

# The client where each is asked about.
Key: TypeAlias = tuple[PlacementPolicy, str, bytes, ToldOfClient]


@dataclass(slots=True)
class KeptAnswer:
    """policy: what holds; until: on the clock; answer None: the hook gave none."""

    policy: PlacementPolicy
    answer: HookAnswer | None
    since: float
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidByHook:
    """answer None: none that counts; age_s: since it came; told: of the client."""

    name: str
    answer: HookAnswer | None
    age_s: float
    told: ToldOfClient = NOTHING_TOLD


def _no_groups(tenant: str, client_key: bytes) -> Sequence[str]:
    return ()


class HookedPolicies:
    """One per server; use from its event loop while `run`, a task of the owner's, is at work.
    hooks: by name; supervisor: of questions; clock: monotonic seconds; groups_of: of its tenant's
    policy those that a client, by its key, is in."""

    def __init__(
        self,
        policies: CurrentPolicies,
        hooks: Mapping[str, AskedHook],
        *,
        supervisor: Supervisor,
        clock: Callable[[], float],
        groups_of: Callable[[str, bytes], Sequence[str]] = _no_groups,
        most_answers: int = MOST_ANSWERS,
    ) -> None:
        self._groups_of = groups_of
        self._policies = policies
        self.hooks = hooks
        self._supervisor = supervisor
        self._clock = clock
        self._most_answers = most_answers
        self._kept: OrderedDict[Key, KeptAnswer] = OrderedDict()
        self._alike: OrderedDict[tuple[PlacementPolicy, HookAnswer | None], PlacementPolicy]
        self._alike = OrderedDict()
        self._asking: dict[Key, asyncio.Future[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    @property
    def answers(self) -> int:
        """Answers that are kept."""
        return len(self._kept)

    # -- as a PolicySource -------------------------------------------------------------

    @property
    def default(self) -> PlacementPolicy:
        """That of clients of tenants without a policy."""
        return self._policies.default

    def of(self, tenant: str, location: Location, client_key: bytes) -> PlacementPolicy:
        """By what a client is placed, as far as hooks have answered."""
        policy = self._policies.of(tenant, location, client_key)
        if policy.hook is None:
            return policy
        kept = self._valid(self._key(tenant, policy.hook, policy, location, client_key))
        return self._after(policy, None) if kept is None else kept.policy

    def revision_of(self, tenant: str) -> int:
        """The version of a tenant's policy that counts here now."""
        return self._policies.revision_of(tenant)

    def stamp_of(self, tenant: str) -> Stamp:
        """As CurrentPolicies."""
        return self._policies.stamp_of(tenant)

    # -- asking ------------------------------------------------------------------------

    def wants(self, tenant: str, location: Location, client_key: bytes) -> bool:
        """Whether a hook is to be asked before the client is placed."""
        if not self.hooks:
            return False
        policy = self._policies.of(tenant, location, client_key)
        use = policy.hook
        return use is not None and not self._valid(
            self._key(tenant, use, policy, location, client_key)
        )

    def ask(
        self,
        tenant: str,
        location: Location,
        client_key: bytes,
        candidates: HookCandidates,
    ) -> asyncio.Future[None] | None:
        """Has the hook of a client asked; done when it is over, whatever came of it, and no later
        than the policy allows. None: there is nothing to ask. How long its caller waits does not
        count: a caller in a hurry would have the hook taken for slow."""
        if not self.wants(tenant, location, client_key):
            return None
        policy = self._policies.of(tenant, location, client_key)
        use = policy.hook
        if use is None:
            return None
        key = self._key(tenant, use, policy, location, client_key)
        under_way = self._asking.get(key)
        if under_way is not None:
            return under_way
        hook = self.hooks.get(use.name)
        if hook is None or not hook.serves(tenant) or self._group is None:
            return None
        question = HookQuestion(
            tenant=tenant,
            client_id=client_of(client_key) if use.by_client else "",
            location=location,
            candidates=candidates.of(policy, location, tenant, most=use.units),
            told=key[3],
        )
        if not question.candidates:  # no unit may take it, whatever the hook says
            self._keep(key, HookAnswer(asked=frozenset()), AWAY_S)
            return None
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asking[key] = done
        work = self._answer(key, hook, question, use, done)
        self._group.create_task(self._supervisor.attempt("asking a hook", work))
        return done

    async def _answer(
        self,
        key: Key,
        hook: AskedHook,
        question: HookQuestion,
        use: HookUse,
        done: asyncio.Future[None],
    ) -> None:
        try:
            answer = await hook.ask(question, timeout_s=use.deadline_ms / 1000.0)
            self._keep(key, answer, AWAY_S if answer is None else use.keep_s)
        finally:
            self._asking.pop(key, None)
            if not done.done():
                done.set_result(None)

    def forget_full(self, tenant: str, location: Location, client_key: bytes) -> None:
        """No unit that an answer left has room: it is asked anew, about others, but not at once."""
        policy = self._policies.of(tenant, location, client_key)
        if policy.hook is None:
            return
        kept = self._kept.get(self._key(tenant, policy.hook, policy, location, client_key))
        if kept is not None:
            kept.until = min(kept.until, kept.since + FULL_S)

    def said(self, tenant: str, location: Location, client_key: bytes) -> SaidByHook | None:
        """What is known of a client's hook, for explanations; None: its policy has none."""
        policy = self._policies.of(tenant, location, client_key)
        if policy.hook is None:
            return None
        key = self._key(tenant, policy.hook, policy, location, client_key)
        kept = self._valid(key)
        answer = None if kept is None else kept.answer
        age_s = 0.0 if kept is None else self._clock() - kept.since
        return SaidByHook(name=policy.hook.name, answer=answer, age_s=age_s, told=key[3])

    async def run(self) -> None:
        """Owns the questions under way, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await asyncio.Event().wait()
        finally:
            self._group = None

    # -- what is kept ------------------------------------------------------------------

    def _key(
        self,
        tenant: str,
        use: HookUse,
        policy: PlacementPolicy,
        location: Location,
        client_key: bytes,
    ) -> Key:
        told = NOTHING_TOLD
        if use.attributes or use.groups:
            groups = self._groups_of(tenant, client_key) if use.groups else ()
            told = told_to(use, attributes_of(client_key), groups)
        return policy, location.cell, bytes(client_key) if use.by_client else b"", told

    def _valid(self, key: Key) -> KeptAnswer | None:
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._clock():
            return None
        return kept

    def _keep(self, key: Key, answer: HookAnswer | None, keep_s: float) -> None:
        now = self._clock()
        self._kept[key] = KeptAnswer(self._after(key[0], answer), answer, now, now + keep_s)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most_answers:
            self._kept.popitem(last=False)

    def _after(self, policy: PlacementPolicy, answer: HookAnswer | None) -> PlacementPolicy:
        """The same object for the same answer: who keeps what follows of one finds it again."""
        key = (policy, answer)
        found = self._alike.get(key)
        if found is None:
            found = unanswered(policy) if answer is None else answered(policy, answer)
            self._alike[key] = found
            if len(self._alike) > MOST_POLICIES:
                self._alike.popitem(last=False)
        else:
            self._alike.move_to_end(key)
        return found
