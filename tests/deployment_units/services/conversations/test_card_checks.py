"""Cards are checked one at a time, tenants in turn, and of each tenant its accounts."""

from __future__ import annotations

import asyncio
import threading

from deployment_units.services.conversations.card_checks import Bringer, CardChecks

WITHIN_S = 20.0


async def test_who_sends_a_thousand_cards_makes_another_wait_for_one() -> None:
    checks, order, end = CardChecks(), list[str](), threading.Event()

    def brings(tenant: str, account: str) -> asyncio.Task[None]:
        return asyncio.create_task(
            checks.run(Bringer(tenant, account), lambda: order.append(account))
        )

    async with asyncio.timeout(WITHIN_S):
        try:
            first = asyncio.create_task(
                checks.run(Bringer("talk", "first"), lambda: end.wait(WITHIN_S))
            )
            await asyncio.sleep(0)
            flood = [brings("talk", "mallory") for _ in range(1_000)]
            await asyncio.sleep(0)
            beside, elsewhere = brings("talk", "anna"), brings("rival", "ben")
            await asyncio.sleep(0)
        finally:
            end.set()
        await asyncio.gather(first, beside, elsewhere, *flood)
    # One of mallory's, then the other tenant's, and anna before the second of mallory's.
    assert order[:3] == ["mallory", "ben", "anna"]


async def test_a_flood_of_one_tenant_s_accounts_is_one_tenant_s() -> None:
    checks, order, end = CardChecks(), list[str](), threading.Event()
    async with asyncio.timeout(WITHIN_S):
        first = asyncio.create_task(checks.run(Bringer("a", "a"), lambda: end.wait(WITHIN_S)))
        await asyncio.sleep(0)
        tasks = [
            asyncio.create_task(
                checks.run(Bringer(tenant, account), lambda t=tenant: order.append(t))
            )  # type: ignore[misc]
            for tenant, account in [*(("flood", str(n)) for n in range(100)), ("one", "ben")]
        ]
        await asyncio.sleep(0)
        end.set()
        await asyncio.gather(first, *tasks)
    assert order.index("one") == 1
