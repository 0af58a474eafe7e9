"""ChannelHealth: which channels of a unit are down, by what came of sending over them. Pure.

A channel that was not there several times in a row counts as down for a minute, then, where the
next try fails as well, for twice as long each time up to half an hour. One answer that is about the
message, whatever it says, and it is up; what says nothing of the channel itself changes nothing, so
that nobody takes it from all by writing where nobody answers. In memory: a unit that starts knows
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from deployment_units.services.channels.channel import Channel

FAILURES = 3  # in a row, of whichever messages
FIRST_MS = 60_000
LONGEST_MS = 30 * 60_000


class ChannelHealth:
    """Of one unit."""

    def __init__(self) -> None:
        self._failures: dict[Channel, int] = {}
        self._down_until: dict[Channel, int] = {}

    def note(self, channel: Channel, channel_up: bool | None, now_ms: int) -> None:
        """What one attempt says of it, as SendResult does. now_ms: Unix ms."""
        if channel_up is None:
            return
        if channel_up:
            self._failures.pop(channel, None)
            self._down_until.pop(channel, None)
            return
        failures = self._failures[channel] = self._failures.get(channel, 0) + 1
        if failures >= FAILURES and self._down_until.get(channel, 0) <= now_ms:
            # Those that were under way when it went down say nothing new.
            times = min(failures - FAILURES, 10)
            self._failures[channel] = min(failures, FAILURES + 10)
            self._down_until[channel] = now_ms + min(LONGEST_MS, FIRST_MS << times)
        elif failures > FAILURES:
            self._failures[channel] = failures - 1

    def down(self) -> Mapping[Channel, int]:
        """Until when channels are down at the least, Unix ms; some may be up by now."""
        return self._down_until
