"""ActionUsers: which rules and plans use actions of an application, so that who takes one away is
told. It hinders nobody: what is used and gone is a warning of the rule or plan, and a dead letter
when due.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from data_sharing.database import Database
from data_sharing.decisions import plan_store
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.rules.compiled import Invocation

MOST_NAMED = 10  # rules, or plans, of one action


class ActionUsers:
    """Of the rules in force, and of plans of which something is to come."""

    def __init__(self, database: Database, worker: DecisionWorker) -> None:
        self._database = database
        self._worker = worker

    async def of(self, tenant: str, application: str, actions: Collection[str]) -> tuple[str, ...]:
        """A sentence for each action that is used. Raises StoreUnavailable."""
        rules: dict[str, list[str]] = {action: [] for action in actions}
        for rule in self._worker.rules.rules.values():
            used = {
                effect.action
                for effect in (rule.effects if rule.tenant == tenant else ())
                if isinstance(effect, Invocation) and effect.application == application
            }
            for action in used & rules.keys():
                rules[action].append(rule.id)

        def read(db: sqlite3.Connection) -> dict[str, list[str]]:
            return plan_store.users(db, tenant, application, actions)

        plans = await self._database.transact(read) if actions else {}
        return tuple(
            f"{application} {action} is used by " + " and ".join(said)
            for action in sorted(actions)
            if (said := [*_named("rule", rules[action]), *_named("plan", plans[action])])
        )


def _named(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = len(names) - MOST_NAMED
    listed = ", ".join(sorted(names)[:MOST_NAMED]) + f" and {more:,} more" * (more > 0)
    return [f"{what}{'s' * (len(names) > 1)} {listed}"]
