"""What must hold of a run: how it is written, and when it does."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from simulation.load.counts import LoadSecond
from simulation.load.junit import junit_text
from simulation.load.latencies import Latencies
from simulation.load.result import result_document
from simulation.load.settings import LoadSettings
from simulation.load.thresholds import parse_threshold


def result() -> dict[str, Any]:
    """100 calls: 90 good in 1 to 90 ms, 80 of them of known users, 6 refused, 4 failed."""
    second = LoadSecond(second=0, asked=100, lost=10)
    second.arrived.update(known=80, new=20)
    for kind, held in (("known", range(1, 81)), ("new", range(81, 91))):
        latencies = Latencies()
        latencies.record([one / 1e3 for one in held])
        second.latencies[kind] = latencies.encoded()
        second.good[kind] = len(held)
    second.refused.update(OVERLOADED=6)
    second.failed.update({"no answer in time": 4})
    return result_document(
        LoadSettings(duration_s=1.0), [second], prepared=10, homeless=3, about={}
    )


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("p99<50ms", False), ("p(99)<0.1s", True), ("p50 <= 45.1ms", True), ("max>89ms", True),
        ("p99{known}<81ms", True), ("p99{kind:new}<81ms", False), ("p99<90000us", True),
        ("mean<46ms", True), ("errors<10%", False), ("errors<=0.1", True), ("refused<6.1%", True),
        ("failed<=4%", True), ("lost<=10%", True), ("goodput>=90", True), ("goodput>90", False),
        ("arrivals>99", True), ("late<1ms", True), ("homeless<3", False),
        ("p99{roaming}<1s", False),
    ],
)  # fmt: skip
def test_a_threshold_holds_or_not(text: str, holds: bool) -> None:
    assert parse_threshold(text).held_against(result()).holds is holds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("p99", "write one such as"), ("p98<1ms", "there is no p98"), ("errors<5ms", "not in ms"),
        ("goodput<5%", "not in %"), ("errors{new}<1%", "not told by kind"),
        ("p99<1.2.3ms", "no number"),
        ("p99<50%", "not in %"), ("", "write one such as"), ("p99=5ms", "write one such as"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_what_there_is(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_threshold(text)


def test_sentences_say_what_was_wanted_and_what_was() -> None:
    held = parse_threshold("errors<1%").held_against(result())
    assert held.sentence == "errors<1%: it was 10.00%"
    none = parse_threshold("p99{roaming}<1s").held_against(result())
    assert none.sentence == "p99{roaming}<1s: nothing of the kind was measured"


def test_junit_has_a_case_for_each_and_nothing_breaks_out_of_it() -> None:
    document = result()
    document["thresholds"] = [
        {"threshold": "p99<50ms", "held": False, "sentence": 'p99<50ms: "90" & more'},
        {"threshold": "errors<1%", "held": True, "sentence": ""},
    ]
    suite = ElementTree.fromstring(junit_text(document))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["p99<50ms", "errors<1%"]
    failure = cases[0].find("failure")
    assert failure is not None
    assert failure.text == 'p99<50ms: "90" & more'
    assert cases[1].find("failure") is None
