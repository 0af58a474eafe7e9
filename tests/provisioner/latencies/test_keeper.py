"""Reports are taken within bounds, and placement hears of what changed enough to matter."""

from __future__ import annotations

import pytest

from provisioner.latencies.keeper import NETWORK_REPORTS, REPORT_AFTER_S, LatencyKeeper
from provisioner.placement.latency import Latencies
from tests.support.fleets import at, fleet

BERLIN = at(52.5, 13.4, country="DE", uncertainty_km=20.0)
UNITS = {str(unit.id): unit for unit in fleet("frankfurt", "dublin", "oregon").units}


class Heard:
    """What placement was told, and a clock."""

    def __init__(self) -> None:
        self.told: list[Latencies] = []
        self.now = 1_000.0
        self.keeper = LatencyKeeper(self.told.append, clock=lambda: self.now)

    def report(self, network: str, ms: float, unit: str = "frankfurt") -> dict[str, str]:
        return self.keeper.report(BERLIN, network, f"c-{network}", {unit: ms}, UNITS)


def counted(heard: Heard) -> dict[str, int]:
    """Outcomes that there were."""
    return {one.value: count for one, count in heard.keeper.outcomes.items() if count}


@pytest.fixture
def heard() -> Heard:
    return Heard()


async def test_placement_hears_of_a_figure_once_enough_networks_told(heard: Heard) -> None:
    heard.report("n1", 20.0)
    heard.report("n2", 21.0)
    await heard.keeper.refresh()
    assert heard.told == []
    heard.report("n3", 22.0)
    await heard.keeper.refresh()
    (told,) = heard.told
    assert told.of(BERLIN.cell, "DE", "EU") == {"frankfurt": 21.0}
    await heard.keeper.refresh()
    assert len(heard.told) == 1


async def test_small_changes_are_kept_from_placement_also_when_they_add_up(heard: Heard) -> None:
    for network in ("n1", "n2", "n3"):
        heard.report(network, 100.0)
    await heard.keeper.refresh()
    for ms in (106.0, 109.0, 115.0):
        for network in ("n1", "n2", "n3"):
            heard.report(network, ms)
        await heard.keeper.refresh()
    assert [one.of(BERLIN.cell, "", "")["frankfurt"] for one in heard.told] == [100.0, 115.0]
    assert heard.keeper.believed.estimates[BERLIN.cell]["frankfurt"].ms == 115.0


async def test_what_was_not_offered_or_cannot_be_is_refused_and_changes_nothing(
    heard: Heard,
) -> None:
    for network in ("n1", "n2", "n3", "n4"):
        assert "not offered" in heard.report(network, 20.0, unit="virginia")["virginia"]
        assert "light needs" in heard.report(network, 30.0, unit="oregon")["oregon"]
    await heard.keeper.refresh()
    assert heard.told == []
    assert counted(heard) == {"not_offered": 4, "faster_than_light": 4}


def test_a_client_reports_once_in_a_while(heard: Heard) -> None:
    assert heard.keeper.wait_s("t/a", "n1") == 0.0
    heard.now += 10.0
    assert heard.keeper.wait_s("t/a", "n1") == REPORT_AFTER_S - 10.0
    assert heard.keeper.wait_s("t/b", "n1") == 0.0
    assert counted(heard) == {"client_too_early": 1}
    heard.now += REPORT_AFTER_S
    assert heard.keeper.wait_s("t/a", "n1") == 0.0


def test_a_network_reports_so_often_and_others_are_not_held_up(heard: Heard) -> None:
    for number in range(NETWORK_REPORTS):
        assert heard.keeper.wait_s(f"t/{number}", "n1") == 0.0
    assert heard.keeper.wait_s("t/another", "n1") == REPORT_AFTER_S
    assert counted(heard) == {"network_too_often": 1}
    assert heard.keeper.wait_s("t/another", "n2") == 0.0
    heard.now += REPORT_AFTER_S
    assert heard.keeper.wait_s("t/more", "n1") == 0.0
