"""What `homeport doctor` makes of what it sees."""

from __future__ import annotations

import pytest

from console.cli import health_checks as checks
from console.cli.health_checks import CheckOutcome, Finding, ObservedUnit

DAY_S = 86_400.0


def unit(
    name: str, *, live: bool = True, clients: int = 0, capacity: int = 100, taking: bool = True
) -> ObservedUnit:
    return ObservedUnit(id=name, live=live, clients=clients, capacity=capacity, taking=taking)


@pytest.mark.parametrize(
    ("finding", "outcome", "words"),
    [
        pytest.param(
            checks.check_versions("0.1.0", "0.1.7"), "ok", "0.1.7", id="patch releases mix"
        ),
        pytest.param(
            checks.check_versions("0.1.0", "0.2.0"), "warn", "0.2.0", id="minor releases do not"
        ),
        pytest.param(checks.check_versions("0.1.0", None), "warn", "not say", id="silent server"),
        pytest.param(checks.check_store(1.0, True), "ok", "connected", id="store there"),
        pytest.param(checks.check_store(0.0, True), "fail", "lost", id="store away"),
        pytest.param(
            checks.check_store(1.0, False), "fail", "cannot place", id="store there, no session"
        ),
        pytest.param(checks.check_store(None, True), "ok", "can place", id="an older server"),
        pytest.param(checks.check_tasks(()), "ok", "nothing fails", id="tasks are well"),
        pytest.param(checks.check_records(()), "ok", "can be read", id="records are well"),
        pytest.param(
            checks.check_records(("jobs/a", "units/b")),
            "fail",
            "jobs/a, units/b",
            id="records are damaged",
        ),
        pytest.param(checks.check_policies(0.0, ()), "ok", "can be read", id="policies are well"),
        pytest.param(checks.check_policies(None, ()), "ok", "can be read", id="no policies told"),
        pytest.param(
            checks.check_policies(2.0, ("latency",)), "fail", "2 tenants", id="policies behind"
        ),
        pytest.param(
            checks.check_policies(0.0, ("latency",)), "warn", "latency", id="a hook is left alone"
        ),
        pytest.param(checks.check_tasks(("a", "b")), "fail", "a, b", id="tasks fail"),
        pytest.param(checks.check_clock(0.0), "ok", "agrees", id="same second"),
        pytest.param(checks.check_clock(-3.0), "warn", "3 s behind", id="a little behind"),
        pytest.param(checks.check_clock(3600.0), "fail", "3600 s ahead", id="an hour ahead"),
        pytest.param(checks.check_geo(0.0, 1e9), "warn", "not say", id="no build date"),
        pytest.param(
            checks.check_geo(1e9, 1e9 + 20 * DAY_S), "ok", "20 days", id="last month's database"
        ),
        pytest.param(
            checks.check_geo(1e9, 1e9 + 400 * DAY_S), "warn", "400 days", id="last year's database"
        ),
        pytest.param(checks.check_geo(1e9, 1e9 - 10), "ok", "0 days", id="built in our future"),
        pytest.param(checks.check_agents([]), "fail", "no units", id="an empty fleet"),
        pytest.param(checks.check_agents([unit("a"), unit("b")]), "ok", "all 2", id="all live"),
        pytest.param(
            checks.check_agents([unit("a"), unit("b", live=False)]), "warn", "at b", id="one away"
        ),
        pytest.param(
            checks.check_agents([unit("a", live=False)]), "fail", "none of 1", id="all away"
        ),
        pytest.param(
            checks.check_agents([unit("z"), *(unit(f"u{i}", live=False) for i in range(7))]),
            "warn",
            "u0, u1, u2, u3 and 3 more",
            id="many away are not all named",
        ),
        pytest.param(
            checks.check_room([unit("a", clients=10)]), "ok", "90 of 100", id="room enough"
        ),
        pytest.param(
            checks.check_room([unit("a", clients=95), unit("b")]),
            "warn",
            "nearly full: a",
            id="one nearly full",
        ),
        pytest.param(
            checks.check_room([unit("a", clients=100)]), "fail", "none left", id="all full"
        ),
        pytest.param(
            checks.check_room([unit("a", clients=40), unit("lost", taking=False)]),
            "ok",
            "60 of 100 clients; 1 other unit takes none",
            id="a lost unit has no room",
        ),
        pytest.param(
            checks.check_room([unit("lost", taking=False)]),
            "fail",
            "no unit of 1 takes new clients",
            id="no unit takes clients",
        ),
        pytest.param(
            checks.check_geo(1.79e12, 1.79e9),
            "warn",
            "in the future",
            id="built in the year 58,000",
        ),
        pytest.param(
            checks.check_room([unit("a", clients=120), unit("b", clients=40)]),
            "warn",
            "60 of 200",
            id="a unit over its lowered capacity lends nobody negative room",
        ),
    ],
)
def test_a_finding_says_what_was_seen(finding: Finding, outcome: str, words: str) -> None:
    assert finding.outcome == outcome
    assert words in finding.seen


@pytest.mark.parametrize(
    "finding",
    [
        checks.check_versions("0.1.0", "1.0.0"),
        checks.check_store(0.0, False),
        checks.check_clock(60.0),
        checks.check_geo(None, 0.0),
        checks.check_agents([]),
        checks.check_room([unit("a", clients=100)]),
    ],
    ids=lambda finding: finding.check,
)
def test_whatever_is_not_ok_comes_with_a_next_step(finding: Finding) -> None:
    assert finding.outcome is not CheckOutcome.OK
    assert finding.next_step


@pytest.mark.parametrize(
    ("count", "agents", "room"),
    [
        (1, "live at the one unit", "for 90 of 100 clients; 1 other unit takes none"),
        (2, "live at all 2 units", "for 180 of 200 clients; 1 other unit takes none"),
    ],
)
def test_words_agree_with_their_numbers(count: int, agents: str, room: str) -> None:
    units = [unit(f"u{number}", clients=10) for number in range(count)]
    assert checks.check_agents(units).seen == agents
    assert room in checks.check_room([*units, unit("away", taking=False)]).seen
