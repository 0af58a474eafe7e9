"""Quotas as options give them."""

from __future__ import annotations

import pytest
import typer

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
