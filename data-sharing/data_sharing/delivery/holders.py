"""Holders: which platforms were given an instruction, and so may say what became of it.

An outcome counts from a platform of the instruction's tenant that it was sent to: the one that the
outbox names, in whatever run it is by now, because its journal outlives its runs; and others that
had it before, where it went elsewhere while they were away. It is idempotent then, all of them may
have run it, and the outcome that comes first is the one that is recorded. What a platform has
refused was taken back from it.
"""

from __future__ import annotations

from collections import OrderedDict

from data_sharing.decisions.outbox import StoredInstruction


class Holders:
    """most: instructions remembered here; of older ones the outbox alone tells."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._given: OrderedDict[str, dict[str, int]] = OrderedDict()  # name to attempt, by id

    def give(self, instruction_id: str, platform: str, attempt: int) -> None:
        """It is sent to this platform."""
        self._given.setdefault(instruction_id, {})[platform] = attempt
        self._given.move_to_end(instruction_id)
        if len(self._given) > self._most:
            self._given.popitem(last=False)

    def take_back(self, instruction_id: str, platform: str) -> None:
        """This platform has refused it."""
        self._given.get(instruction_id, {}).pop(platform, None)

    def may_report(
        self, stored: StoredInstruction, *, tenant: str, platform: str, attempt: int
    ) -> bool:
        """Whether an outcome of this attempt counts from that platform. attempt: from 1."""
        if tenant != stored.instruction.tenant or not 1 <= attempt <= stored.attempt:
            return False
        if platform == stored.platform:
            return True
        return attempt <= self._given.get(stored.instruction.id, {}).get(platform, 0)
