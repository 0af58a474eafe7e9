"""The page of a run: it holds the run, and nothing of it gets out of its place."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.load.counts import LoadSecond, together
from simulation.load.latencies import Latencies
from simulation.load.limits import Limit, limit_of
from simulation.load.report.page import held_result, report_page, summary
from simulation.load.report.plots import Curve, plot, thinned
from simulation.load.result import result_document
from simulation.load.settings import LoadSettings, Scenario, settings_of
from simulation.load.user_kinds import parse_mix

HELD = 'type="application/json" id="homeport-load"'


def held(*seconds: float) -> bytes:
    made = Latencies()
    made.record(seconds)
    return made.encoded()


def second(number: int, **given: Any) -> LoadSecond:
    one = LoadSecond(second=number, asked=100, late=held(0.001))
    one.arrived.update(known=100)
    one.good.update(known=given.pop("good", 100))
    one.latencies["known"] = held(0.01, 0.02)
    one.refused.update(given.pop("refused", {}))
    one.failed.update(given.pop("failed", {}))
    for name, value in given.items():
        setattr(one, name, value)
    return one


def result(*seconds: LoadSecond, **about: Any) -> dict[str, Any]:
    settings = LoadSettings(scenario=Scenario.HERD, users=500, duration_s=20.0, seed=7)
    return result_document(settings, seconds, prepared=500, homeless=2, about=about)


class Tags(HTMLParser):
    """What a page opens and closes, and what it asks others for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "i", "line", "polyline", "polygon", "circle", "rect", "path"):
            self.open.append(tag)
        self.asked += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("i", "line", "polyline", "polygon", "circle", "rect", "path"):
            assert self.open.pop() == tag


def test_a_report_gives_back_what_it_holds_and_asks_nobody() -> None:
    nasty = "</script><script>alert(1)</script><b>"
    made = result(second(0), second(1, failed={nasty: 50}, good=50), servers=[nasty], began=nasty)
    made["thresholds"] = [{"threshold": nasty, "held": False, "sentence": nasty, "value": 1.0}]
    page = report_page(made)
    assert held_result(page) == json.loads(json.dumps(made))
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.asked == []
    assert page.count("<script") == 1
    assert "alert(1)</script>" not in page


def test_units_are_on_a_map_and_how_they_filled_is_drawn() -> None:
    unit = {"unit": "<eu>", "latitude": 53.3, "longitude": -6.3, "capacity": 200, "clients": 150}
    made = result(
        second(0), second(1), units=[{**unit, "clients_before": 20}],
        filling=[{"at": 0.4, "clients": {"<eu>": 20}}, {"at": 1.6, "clients": {"<eu>": 150}}],
    )  # fmt: skip
    made["thresholds"] = []
    page = report_page(made)
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "<eu>" not in page
    assert "&lt;eu&gt;" in page
    assert "75%" in page
    assert "&lt;eu&gt;: 150 clients" in page  # on the map
    assert "How full units were" in page


def test_the_settings_of_a_report_are_those_of_its_run() -> None:
    settings = LoadSettings(
        scenario=Scenario.DAY, users=77, rate_per_s=3.5, duration_s=90.0, seed=9, retries=2,
        mix=parse_mix("new=1,roaming=2"), processes=3,
    )  # fmt: skip
    made = result_document(settings, [second(0)], prepared=0, homeless=0, about={})
    assert settings_of(held_result(report_page(made))["settings"]) == settings


@pytest.mark.parametrize(
    "page",
    [
        "", "<html>", '<script type="application/json" id="homeport-load">[]</script>',
        f'<script type="application/json" id="homeport-load">{"[" * 100_000}</script>',
    ],
    ids=["empty", "another-page", "no-object", "deep"],
)  # fmt: skip
def test_what_is_no_report_is_told(page: str) -> None:
    with pytest.raises(ValueError, match="no report"):
        held_result(page)


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ({}, Limit.NOTHING),
        ({"late": held(0.5), "refused": {"OVERLOADED": 50}}, Limit.GENERATOR),
        ({"late": held(0.5), "held": 3}, Limit.CONNECTIONS),
        ({"cpu_s": 0.99, "failed": {"no answer in time": 9}}, Limit.GENERATOR),
        ({"late": held(0.5), "failed": {"not connected": 9}}, Limit.UNREACHABLE),
        ({"failed": {"connection lost": 9}}, Limit.UNREACHABLE),
        ({"refused": {"STORE_UNAVAILABLE": 9, "OVERLOADED": 90}}, Limit.STORE_AWAY),
        ({"refused": {"EXHAUSTED": 9}}, Limit.UNITS_FULL),
        ({"refused": {"QUOTA": 9}}, Limit.QUOTA),
        ({"refused": {"OVERLOADED": 9}}, Limit.SHEDDING),
        ({"failed": {"no answer in time": 9}}, Limit.SLOW),
        ({"failed": {"grpc-status 13": 9}}, Limit.ERRORS),
        ({"server_cpu": 0.95, "refused": {"OVERLOADED": 9}}, Limit.PROCESSOR),
        ({"server_cpu": 0.95, "failed": {"no answer in time": 9}}, Limit.PROCESSOR),
        ({"server_cpu": 0.95, "refused": {"EXHAUSTED": 9}}, Limit.UNITS_FULL),
        ({"good": 1_000, "failed": {"grpc-status 13": 9}}, Limit.NOTHING),
    ],
)
def test_what_limits_a_second(given: dict[str, Any], limit: Limit) -> None:
    assert limit_of(second(0, **given)) is limit


def test_a_summary_says_what_limited_it_and_who_gave_up() -> None:
    made = result(second(0), second(1, refused={"EXHAUSTED": 40}, good=60, lost=40))
    said = " ".join(summary(made))
    assert "80.0% of 200 calls" in said
    assert "40 times a user gave up" in said
    assert "2 of 500 users found no home" in said
    assert "no room for all users" in said


def test_seconds_of_processes_add_up() -> None:
    one, other = second(3, refused={"A": 1}, cpu_s=0.2), second(3, refused={"A": 2}, cpu_s=0.7)
    both = together([one, other], 3)
    assert (both.asked, both.good["known"], both.refused["A"], both.cpu_s) == (200, 200, 3, 0.7)
    assert Latencies(both.latencies["known"]).count == 4


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=2_000))
def test_no_peak_is_lost_where_points_are_left_out(values: list[float | None]) -> None:
    found = thinned(values)
    assert len(found) <= 460
    there = [value for value in values if value is not None]
    assert max((value for _, value in found), default=None) == max(there, default=None)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=200), st.booleans())
def test_every_point_of_a_plot_is_inside_it(values: list[float | None], log: bool) -> None:
    drawn = plot([Curve(name="a", colour="#fff", values=values, filled=True)], title="t", log=log)
    for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", drawn):
        assert 61 <= float(x) <= 909
        assert 9 <= float(y) <= 193


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": 1.5}, {"users": True}, {"processes": 1.5}, {"retries": 0.5}, {"seed": 1.5},
        {"mix": {"known": -1, "new": 2}}, {"mix": {"known": 0}}, {"mix": {"known": 10**400}},
        {"mix": {"known": float("nan")}},
    ],
)  # fmt: skip
def test_a_report_that_was_spoiled_is_refused_before_anybody_is_asked(
    wrong: dict[str, object],
) -> None:
    good = LoadSettings(mix=parse_mix("known=1")).document()
    with pytest.raises(ValueError, match=r"whole number|from 0 on|above 0|no settings of a load"):
        settings_of({**good, **wrong})
