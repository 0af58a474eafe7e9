"""SharingRegistry: policies of feeds and consents of users, each changed in a transaction of the
decision worker.

So an event and what its user decides have an order: an event that is decided after a consent was
withdrawn is not shown. What rules and forecasts remember of a user who withdraws is forgotten in
the same transaction, and what they remember of a feed whose policy changes: at the keys of the user
(`UserForgetting`), else as a whole, dead by another seal; what is much is deleted after it
(`Forgetting`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from control_plane.errors import Conflict, NotFound, Refused
from control_plane.printable import quoted
from data_sharing.database import Database
from data_sharing.decisions import sharing_tables
from data_sharing.decisions.consent_reach import reached
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.feeds.log_tables import bounds
from data_sharing.rules.cell_cache import CellId
from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.event_view import EventExpression
from data_sharing.rules.fields_read import feeds_of, key_expressions
from data_sharing.sharing.consent import MOST_OF_SUBJECT, Consent
from data_sharing.sharing.fields import path_of
from data_sharing.sharing.masks import Pseudonyms, masked
from data_sharing.sharing.policies import MOST_AUDIENCES, GovernedFeed, Memory
from data_sharing.sharing.policy import FeedPolicy

MOST_POLICIES = 2_000  # of a tenant


class SharingRegistry:
    """new_id: of a consent, new at each call; new_secret: 32 bytes; wall_ms: Unix ms. suspended:
    of a tenant, memories whose rules and forecasts do not decide, but may again."""

    def __init__(
        self,
        database: Database,
        worker: DecisionWorker,
        *,
        wall_ms: Callable[[], int],
        new_id: Callable[[], str],
        new_secret: Callable[[], bytes],
        suspended: Callable[[str], list[Memory]] = lambda tenant: [],
    ) -> None:
        self._database, self._worker = database, worker
        self._wall_ms, self._new_id, self._new_secret = wall_ms, new_id, new_secret
        self._suspended = suspended
        self._worker.use_policies(database.read(sharing_tables.policies))

    # -- policies ----------------------------------------------------------------------

    async def apply(self, tenant: str, policies: Sequence[FeedPolicy]) -> None:
        """These are in force from the next event on, all of them. Raises Refused."""

        def work(db: sqlite3.Connection) -> None:
            before = {one.policy.feed for one in sharing_tables.policies_of_tenant(db, tenant)}
            if len(before | {one.feed for one in policies}) > MOST_POLICIES:
                raise Refused(f"tenant {tenant} may have {MOST_POLICIES:,} policies of feeds")
            for one in policies:
                self._check_audiences(tenant, one.feed)
                sharing_tables.put_policy(
                    db, tenant, one, now_ms=self._wall_ms(), secret=self._new_secret()
                )
            self._use(db)

        await self._database.transact(work)

    async def remove(self, tenant: str, feed: str) -> FeedPolicy:
        """The feed is as open as its producer's manifest makes it. Raises NotFound."""

        def work(db: sqlite3.Connection) -> FeedPolicy:
            found = self._worker.rules.policies.get(tenant, feed)
            if found is None:
                raise NotFound(f"tenant {tenant} has no sharing policy for {quoted(feed)}")
            sharing_tables.delete_policy(db, tenant, feed)
            self._use(db)
            return found.policy

        return await self._database.transact(work)

    def _use(self, db: sqlite3.Connection) -> None:
        """In the transaction that changed them: whatever comes after it in there goes by them."""
        self._worker.join_transaction(db)
        policies = sharing_tables.policies(db)
        rules = self._worker.rules
        changed = set(rules.policies.changed(policies))
        memories = [
            Memory(rule.tenant, "rule", rule.state)
            for rule in rules.rules.values()
            if any((rule.tenant, feed) in changed for feed in feeds_of(rule))
        ]
        memories += [
            Memory(one.tenant, "forecast", one.spec.forecast)
            for one in rules.forecasts.values()
            if (one.tenant, one.spec.feed) in changed
        ]
        for tenant in sorted({tenant for tenant, _ in changed}):
            memories += self._suspended(tenant)
        self._worker.use_policies(policies.with_resets(sharing_tables.reset(db, memories)))

    def _check_audiences(self, tenant: str, feed: str) -> None:
        rules = self._worker.rules
        found = {
            rule.audience
            for rule in rules.rules.values()
            if rule.tenant == tenant and feed in feeds_of(rule)
        }
        if len(found) > MOST_AUDIENCES:
            raise Refused(
                f"rules of {len(found)} audiences read {quoted(feed)}; at most {MOST_AUDIENCES} "
                "of a feed with a policy: give them the same purpose, or have them invoke the same"
            )

    # -- consents ----------------------------------------------------------------------

    async def give(
        self,
        tenant: str,
        *,
        subject: str,
        consumer: str,
        purpose: str,
        feed: str = "",
        fields: Sequence[str] = (),
        evidence: str = "",
    ) -> Consent:
        """It holds from the next event on; the same once more is what is there. Raises Refused;
        Conflict where another one has the new one's id."""
        new_id = self._new_id()

        def work(db: sqlite3.Connection) -> Consent:
            self._worker.join_transaction(db)
            held = sharing_tables.consents_of(db, tenant, subject)
            what = (consumer, purpose, feed, tuple(sorted(set(fields))))
            for one in held:
                if (one.consumer, one.purpose, one.feed, one.fields) == what:
                    return one
            if len(held) >= MOST_OF_SUBJECT:
                raise Refused(f"{quoted(subject)} has {len(held)} consents; withdraw some first")
            if sharing_tables.consent(db, tenant, new_id) is not None:
                raise Conflict(f"tenant {tenant} has another consent {quoted(new_id)}")
            made = Consent(
                id=new_id, tenant=tenant, subject=subject, consumer=consumer,
                purpose=purpose, feed=feed, fields=what[3], given_ms=self._wall_ms(),
                given_position=bounds(db, tenant).last, evidence=evidence,
            )  # fmt: skip
            sharing_tables.put_consent(db, made)
            self._worker.consents.drop(tenant, subject)
            return made

        return await self._database.transact(work)

    async def withdraw(self, tenant: str, subject: str, consent_id: str) -> Consent:
        """It holds no more from the next event on, and what was kept under it is forgotten.
        Doing it twice does it once. Raises NotFound."""

        def work(db: sqlite3.Connection) -> Consent:
            self._worker.join_transaction(db)
            found = sharing_tables.consent(db, tenant, consent_id)
            if found is None or found.subject != subject:
                raise NotFound(f"{quoted(subject)} has no consent {quoted(consent_id)}")
            if found.withdrawn_ms is not None:
                return found
            ended = replace(
                found,
                withdrawn_ms=self._wall_ms(),
                withdrawn_position=bounds(db, tenant).last,
            )
            sharing_tables.put_consent(db, ended)
            if not ended.held_at_none:  # else nothing was shown by it, and nobody loses anything
                self._forget(db, ended)
            self._worker.consents.drop(tenant, subject)
            return ended

        return await self._database.transact(work)

    def _forget(self, db: sqlite3.Connection, consent: Consent) -> None:
        """What is remembered of the user where the consent may have shown it: at the user's keys,
        or all of a memory that is not kept by the user, or that nobody knows enough of."""
        rules, tenant = self._worker.rules, consent.tenant
        memories = self._suspended(tenant)
        of_user: dict[Memory, set[str]] = {}
        names: dict[tuple[str, str], set[str]] = {}
        for memory, (one, feeds) in reached(rules, consent).items():
            keys = self._keys(one, feeds, consent, names)
            if keys is None:
                memories.append(memory)
            else:
                of_user.setdefault(memory, set()).update(keys)
        self._worker.state.forgotten.begin(db, tenant, of_user)
        self._worker.drop_cells(
            CellId(*memory, key) for memory, keys in of_user.items() for key in keys
        )
        if memories:
            made = sharing_tables.reset(db, memories)
            self._worker.use_policies(rules.policies.with_resets(made))

    def _keys(
        self,
        of: CompiledRule | CompiledForecast,
        feeds: set[str],
        consent: Consent,
        names: dict[tuple[str, str], set[str]],
    ) -> set[str] | None:
        """Where it keeps what is the user's; None: not at a key of the user's alone. names: what
        the user is called, by feed and purpose, as far as it was asked for."""
        policies, keys = self._worker.rules.policies, set[str]()
        for feed, expression in key_expressions(of):
            if feed not in feeds:
                continue
            governed = policies.get(of.tenant, feed)
            if governed is None or _path(expression) != path_of(governed.policy.subject):
                return None
            named = feed, of.audience.purpose
            if named not in names:
                names[named] = _shown_as(consent.subject, governed, of.audience.purpose)
            keys |= names[named]
        return keys


def _shown_as(subject: str, governed: GovernedFeed, purpose: str) -> set[str]:
    """What a user is called at a key: the name, its pseudonym, or what a mask leaves of it."""
    masks = [mask for grant in governed.policy.grants for mask in grant.masks.values()]
    pseudonyms = Pseudonyms(governed.secret, purpose)
    left = [masked(subject, mask, pseudonyms) for mask in masks]
    return {
        subject,
        pseudonyms.of(subject),
        *(one for one in left if isinstance(one, str)),
    }


def _path(expression: EventExpression) -> tuple[str, ...]:
    """Of a plain one, below the event."""
    return tuple((expression.expression.path or ())[1:])
