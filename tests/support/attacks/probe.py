"""A steady probe: calls of a tenant that does nothing wrong, at an even rate, while others do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc

LATE_S = 5.0


@dataclass(kw_only=True)
class Probed:
    """What became of its calls; times in ms."""

    took: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0

    @property
    def answered(self) -> float:
        """The share of calls that were answered, 0 to 1."""
        asked = len(self.took) + len(self.failures)
        return len(self.took) / asked if asked else 0.0


async def probe(
    ask: Callable[[int], Awaitable[object]], *, rate_per_s: float, while_: Callable[[], bool]
) -> Probed:
    """Asks at an even rate whatever becomes of earlier calls, so that a server which stands still
    is not spared. ask(n): the n-th call; raises AioRpcError or OSError where it
    fails."""
    probed = Probed()
    under_way: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(LATE_S):
                await ask(number)
        except grpc.aio.AioRpcError as error:
            probed.failures.append(f"{error.code().name}: {error.details()}")
        except TimeoutError:
            probed.failures.append("no answer in time")
        except OSError as error:
            probed.failures.append(str(error))
        else:
            probed.took.append((time.perf_counter() - began) * 1000)

    number, due = 0, time.monotonic()
    while while_():
        task = asyncio.create_task(one(number))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        number += 1
        due += 1 / rate_per_s
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    if under_way:
        await asyncio.wait(under_way, timeout=2 * LATE_S)
    return probed
