"""Quotas and bounds of memory as options give them."""

from __future__ import annotations

import pytest
import typer

from console.cli.input.memory_bounds import parse_memory
from console.cli.input.quotas import parse_quotas


def test_what_options_say():
    assert parse_quotas(["provisions=5", "lookups/client=0.5:10", "watches/address=1e3"]) == [
        ("provisions", "tenant", 5.0, 0.0),
        ("lookups", "client", 0.5, 10.0),
        ("watches", "address", 1_000.0, 0.0),
    ]
    assert parse_quotas(["none"]) == []


@pytest.mark.parametrize(
    "text",
    ["", "provisions", "=5", "provisions=", "provisions=x", "provisions=0", "provisions=-1",
     "provisions=nan", "provisions=inf", "provisions=1:", "provisions=1:x", "provisions/=1",
     "provisions=1:0", "provisions=1:2:3"],
)  # fmt: skip
def test_what_is_none_is_refused(text):
    with pytest.raises(typer.BadParameter):
        parse_quotas([text])


def test_none_stands_alone():
    with pytest.raises(typer.BadParameter, match="alone"):
        parse_quotas(["none", "provisions=5"])


def test_what_options_say_of_memory():
    assert parse_memory(["rule_keys=10", "producer_bytes=1"]) == {
        "rule_keys": 10,
        "producer_bytes": 1,
    }
    assert parse_memory(["none"]) == {}


@pytest.mark.parametrize(
    "given",
    [["rule_keys"], ["rule_keys=0"], ["rule_keys=-1"], ["rule_keys=1.5"], ["keys=1"], ["=1"],
     ["rule_keys=1", "rule_keys=2"], ["none", "rule_keys=1"], ["rule_keys=1125899906842625"],
     ["rule_keys=99999999999999999999999"]],
)  # fmt: skip
def test_memory_that_is_none_is_refused(given):
    with pytest.raises(typer.BadParameter):
        parse_memory(given)
