"""LatencyKeeper: takes what clients report, within bounds, and tells placement what to believe.

Nothing waits for it. What is believed changes every `REFRESH_S`, where figures changed enough to
matter, for each change has decisions made anew; it is what this server's clients and those of
other servers told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from provisioner.geo.location import Location
from provisioner.latencies.estimates import LatencyEstimates, MeasuredCells
from provisioner.latencies.plausible import ReportOutcome, why_implausible
from provisioner.latencies.shared_voices import OthersVoices, chunk_of, digest_of
from provisioner.latencies.voices import Estimate, Pair, Voice, joined
from provisioner.placement.fleet import PlacementUnit
from provisioner.placement.latency import Latencies

REFRESH_S = 15.0
REPORT_AFTER_S = 60.0  # between two reports of one client
NETWORK_REPORTS = 120  # in that time
MOST_CLIENTS = 100_000  # of whom it is known when they reported
MOST_NETWORKS = 20_000
CHANGED = 0.1  # less is no change
PAIRS_A_PASS = 500  # of the event loop

T = TypeVar("T")


class LatencyKeeper:
    """One per server. tell: has placement go by what it is told; clock: monotonic seconds. changed:
    how much was reported, since they were written, of the chunks of this server's pairs, those
    that wait longest first."""

    def __init__(self, tell: Callable[[Latencies], None], *, clock: Callable[[], float]) -> None:
        self._tell = tell
        self._clock = clock
        self._estimates = LatencyEstimates()
        self._clients: OrderedDict[str, float] = OrderedDict()
        self._networks: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self.others = OthersVoices()
        self.changed: dict[int, int] = {}
        self.believed = self._told = MeasuredCells({})
        self.outcomes = dict.fromkeys(ReportOutcome, 0)

    def wait_s(self, client: str, network: str) -> float:
        """How long until a client may report again; 0.0: it may now, and this counts as a report.
        client: its tenant and id."""
        now = self._clock()
        since = now - self._clients.get(client, -REPORT_AFTER_S)
        begun, count = self._networks.get(network, (now, 0))
        if now - begun >= REPORT_AFTER_S:
            begun, count = now, 0
        wait = max(0.0, REPORT_AFTER_S - since)
        if count >= NETWORK_REPORTS:
            wait = max(wait, begun + REPORT_AFTER_S - now)
        if wait > 0.0:
            early = since < REPORT_AFTER_S
            self.outcomes[
                ReportOutcome.CLIENT_TOO_EARLY if early else ReportOutcome.NETWORK_TOO_OFTEN
            ] += 1
            return wait
        _keep(self._clients, client, now, MOST_CLIENTS)
        _keep(self._networks, network, (begun, count + 1), MOST_NETWORKS)
        return 0.0

    def report(
        self,
        location: Location,
        network: str,
        client: str,
        measured: Mapping[str, float],
        offered: Mapping[str, PlacementUnit],
    ) -> dict[str, str]:
        """Takes ms by unit; by unit why one was not taken. offered: those that it may measure."""
        refused = {}
        voice = digest_of(network)
        for name, ms in measured.items():
            unit = offered.get(name)
            if unit is None:
                refused[name] = "the client was not offered this unit"
                self.outcomes[ReportOutcome.NOT_OFFERED] += 1
                continue
            if why := why_implausible(ms, location, unit.latitude, unit.longitude):
                outcome, refused[name] = why
                self.outcomes[outcome] += 1
                continue
            self._estimates.record(location.cell, name, voice, client, ms, self._clock())
            chunk = chunk_of(location.cell)
            self.changed[chunk] = self.changed.get(chunk, 0) + 1
            self.outcomes[ReportOutcome.ACCEPTED] += 1
        return refused

    async def voices_of(self, chunks: Collection[int]) -> dict[int, dict[Pair, list[Voice]]]:
        """What this server's own clients told, of each of these chunks."""
        found: dict[int, dict[Pair, list[Voice]]] = {chunk: {} for chunk in chunks}
        for at, pair in enumerate(self._estimates.pairs()):
            if at % PAIRS_A_PASS == PAIRS_A_PASS - 1:
                await asyncio.sleep(0)
            if (chunk := chunk_of(pair[0])) in found:
                found[chunk][pair] = self._estimates.voices(*pair, self._clock())
        return found

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self.refresh()

    async def refresh(self) -> None:
        """Believes what is known now."""
        found: dict[str, dict[str, Estimate]] = {}
        pairs = dict.fromkeys([*self._estimates.pairs(), *self.others.pairs()])
        for at, pair in enumerate(pairs):
            if at % PAIRS_A_PASS == PAIRS_A_PASS - 1:
                await asyncio.sleep(0)
            (cell, unit), now = pair, self._clock()
            voices = (*self._estimates.voices(cell, unit, now), *self.others.of(pair))
            estimate = joined(voices, now)
            if estimate is not None:
                found.setdefault(cell, {})[unit] = estimate
        believed = MeasuredCells(found)
        changed = believed.differs_from(self._told, by=CHANGED)
        self.believed = believed
        if changed:
            self._told = believed
            self._tell(believed)


def _keep(kept: OrderedDict[str, T], key: str, value: T, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
