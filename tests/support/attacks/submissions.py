"""Attacks by what is submitted: all of `costly_inputs`, by an admin of another tenant, four at a
time."""

from __future__ import annotations

import asyncio
import itertools

import grpc

from tests.support import costly_inputs
from tests.support.attacks.credentials import bearer
from tests.support.attacks.target import BANK, Attack, Attempts, Target
from tests.support.costly_calls import PACKAGE, encoded

AT_ONCE = 4
CALL_S = 30.0


async def everything_costly(target: Target, attempts: Attempts) -> None:
    """Each costly input in turn, and again."""
    goes_on = target.until()
    more = bearer(target.tokens["bank-admin"])
    ready = [(one, encoded(one, BANK)) for one in costly_inputs.ATTACKS]
    turns = itertools.cycle(ready)

    async def send_in_turn(channel: grpc.aio.Channel) -> None:
        while goes_on():
            attack, messages = next(turns)
            path = PACKAGE + attack.method
            options = {"metadata": more, "timeout": CALL_S}
            try:
                if attack.method == costly_inputs.SUBMIT:
                    await channel.stream_unary(path)(iter(messages), **options)
                else:
                    await channel.unary_unary(path)(messages[0], **options)
            except grpc.aio.AioRpcError as error:
                attempts.told(error.code().name)
            else:
                attempts.told("OK")

    async with grpc.aio.insecure_channel(target.address) as channel:
        sound = [one.SerializeToString() for one in costly_inputs.sound(BANK)]
        submit = channel.stream_unary(PACKAGE + costly_inputs.SUBMIT)
        await submit(iter(sound), metadata=more, timeout=CALL_S)
        await asyncio.gather(*(send_in_turn(channel) for _ in range(AT_ONCE)))


DATA_SHARING = (
    Attack(
        name="everything costly is submitted",
        what="schemas, manifests, rules, plans and events that are cheap to send and were costly "
        "to look at, four at a time",
        run=everything_costly,
    ),
)
