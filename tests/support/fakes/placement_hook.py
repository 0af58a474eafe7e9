"""A hook that says what a test has it say, and what it was asked."""

from __future__ import annotations

import asyncio

from provisioner.placement.hooks import HookAnswer
from provisioner.placement_hooks.port import HookFailed


class FakeHook:
    """order, vetoed: its next answers; down: it fails; open: cleared, it answers nobody until it is
    set again."""

    def __init__(self, *order, vetoed=()):
        self.order = order
        self.vetoed = frozenset(vetoed)
        self.down = False
        self.open = asyncio.Event()
        self.open.set()
        self.asked = []
        self.at_once = self.most_at_once = 0

    async def rank(self, question, *, timeout_s):
        self.asked.append(question)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            async with asyncio.timeout(timeout_s):
                await self.open.wait()
            if self.down:
                raise HookFailed("UNAVAILABLE it is away")
            return HookAnswer(
                order=tuple(self.order),
                vetoed=self.vetoed,
                asked=frozenset(one.unit for one in question.candidates),
            )
        finally:
            self.at_once -= 1

    async def close(self):
        pass
