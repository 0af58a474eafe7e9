"""The agent of applications of one unit, built from its settings: nothing but handing presses on
where no data-sharing service is named."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.transport import connector
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.applications.agent import ApplicationAgent
from deployment_units.services.applications.data_sharing_calls import DataSharingCalls
from deployment_units.services.applications.outcome_follower import OutcomeFollower
from deployment_units.services.applications.publishing import Publishing
from deployment_units.services.applications.residents import Residents, Send
from deployment_units.services.conversations.arrivals import Arrivals
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.state.database import UnitDatabase


class Applications(NamedTuple):
    """tasks: what has to run for it, by name; close: ends it."""

    agent: ApplicationAgent
    residents: Residents
    tasks: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]
    close: Callable[[], Awaitable[None]]


def applications(
    settings: AgentSettings,
    database: UnitDatabase,
    accounts: Accounts,
    checks: CardChecks,
    arrivals: Arrivals,
    send: Send,
) -> Applications:
    """send: messages of replies, and of presses that were not taken. Raises InvalidInput for files
    of TLS."""
    servers = _parts(settings.data_sharing)
    token = settings.data_sharing_token
    calls = DataSharingCalls(servers or [""], connector(settings), lambda: token)
    residents = Residents(database)
    rng = random.Random(secrets.randbits(64))
    agent = ApplicationAgent(
        residents,
        calls,
        Publishing(accounts, residents, calls, checks, send),
        OutcomeFollower(accounts, residents, checks, send),
        arrivals,
        tenants=_parts(settings.data_sharing_tenants) if servers else [],
        monotonic=time.monotonic,
        jitter=rng.random,
    )
    tasks: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {"presses": agent.hand_on}
    if servers:
        tasks["applications"] = agent.run
    return Applications(agent=agent, residents=residents, tasks=tasks, close=calls.close)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
