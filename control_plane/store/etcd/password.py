"""Has an etcd ask for a password: the user root is given it, and authentication is switched on.

Whoever reaches an etcd without authentication reads every key and may write any. May be done again
and by several at once: each step is either done or was done before, and an etcd that asks for this
password already is left as it is. Never changes a password that etcd asks for; `etcdctl user
passwd` does. etcd 3.4 logs a request that takes long with all that is in it, the password too;
later ones do not.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from control_plane.errors import InvalidInput
from control_plane.store.etcd.calls import AuthenticationOff, Calls
from control_plane.store.etcd.connection import Member, Members, Tls
from control_plane.store.etcd.failures import CALL_ERRORS, StoreRefused, failure_of
from control_plane.store.port import Health, StoreUnavailable

USER = "root"  # etcd switches authentication on for a user and a role of this name alone
_TRY_S = 5.0  # etcd hashes the password with bcrypt, and three members write it
_KEEPALIVE_S = 10.0

Step = Callable[[Member, float], Awaitable[Any]]  # (member, deadline of this try in s)


async def require_password(
    endpoints: Sequence[str],
    *,
    tls: Tls | None,
    password: str,
    timeout_s: float,
    rng: random.Random | None = None,
) -> bool:
    """Waits for the etcd behind `endpoints` (host:port) for `timeout_s` at most; True: from now on
    it asks for the password of root, False: it did before. Raises StoreRefused where it asks for
    another one, StoreUnavailable where it is not done in time, InvalidInput."""
    if not password:
        raise InvalidInput("store_password", "etcd takes no empty password; give one")
    members = Members(endpoints, tls=tls, keepalive_s=_KEEPALIVE_S)
    calls = Calls(
        members,
        credentials=None,
        health=Health(),
        try_timeout_s=_TRY_S,
        rng=rng or random.Random(),
    )
    try:
        async with asyncio.timeout(timeout_s):
            if await _asks_for(calls, password, timeout_s):
                return False
            try:
                await _switch_on(calls, password, timeout_s)
            except StoreRefused:  # somebody else was quicker, perhaps with our password
                if not await _asks_for(calls, password, timeout_s):
                    raise
                return False
            return True
    except TimeoutError:
        raise StoreUnavailable(
            f"etcd ({members.addresses}) does not ask for a password within {timeout_s:g} s"
        ) from None
    finally:
        await members.close()


async def _asks_for(calls: Calls, password: str, timeout_s: float) -> bool:
    """False: for none. Raises StoreRefused where it asks for another one."""
    try:
        await calls.read(
            f"log in as {USER}",
            lambda member, try_s: member.auth.authenticate(USER, password, timeout=try_s),
            timeout_s,
        )
    except AuthenticationOff:
        return False
    return True


async def _switch_on(calls: Calls, password: str, timeout_s: float) -> None:
    async def new(what: str, step: Step) -> bool:
        """Whether it was not there yet."""
        return await calls.read(what, lambda member, try_s: _made(step, member, try_s), timeout_s)

    is_new = await new(
        f"make the user {USER}",
        lambda member, try_s: member.auth.user_add(USER, password, timeout=try_s),
    )
    if not is_new:  # of a run that was cut short
        await calls.read(
            f"give {USER} its password",
            lambda member, try_s: member.auth.user_change_password(USER, password, timeout=try_s),
            timeout_s,
        )
    await new(
        f"make the role {USER}", lambda member, try_s: member.auth.role_add(USER, timeout=try_s)
    )
    await new(
        f"give {USER} its role",
        lambda member, try_s: member.auth.user_grant_role(USER, USER, timeout=try_s),
    )
    await calls.read(
        "switch authentication on",
        lambda member, try_s: member.auth.auth_enable(timeout=try_s),
        timeout_s,
    )


async def _made(step: Step, member: Member, try_s: float) -> bool:
    try:
        await step(member, try_s)
    except CALL_ERRORS as error:
        if "already exists" not in failure_of(error).detail:
            raise
        return False
    return True
