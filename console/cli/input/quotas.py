"""Quotas of a tenant, as options give them: QUOTA[/BY]=RATE[:BURST].

>>> parse_quota("provisions/client=5:20")
('provisions', 'client', 5.0, 20.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import typer

OPTION = "--quota"
NONE = "none"
MOST_DIGITS = 18


class GivenQuota(NamedTuple):
    """burst 0: the server's to say."""

    quota: str
    counted_by: str
    per_s: float
    burst: float


def parse_quotas(given: list[str]) -> list[GivenQuota]:
    """Of all options; `none` alone: no quotas. Which quotas there are, and how large they may be,
    the service says. Raises typer.BadParameter."""
    if NONE in given:
        if len(given) > 1:
            raise typer.BadParameter("`none` stands alone", param_hint=OPTION)
        return []
    return [parse_quota(one) for one in given]


def parse_quota(text: str) -> GivenQuota:
    """Raises typer.BadParameter."""
    name, equals, value = text.partition("=")
    quota, slash, counted_by = name.partition("/")
    rate, colon, burst = value.partition(":")
    if not equals or not quota or (slash and not counted_by):
        raise typer.BadParameter(
            f"{text} is not QUOTA=RATE, QUOTA/client=RATE or QUOTA/address=RATE:BURST",
            param_hint=OPTION,
        )
    return GivenQuota(
        quota, counted_by or "tenant", _number(rate, text), _number(burst, text) if colon else 0.0
    )


def _number(text: str, whole: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise typer.BadParameter(
            f"{whole}: {text or 'nothing'} is no number above 0", param_hint=OPTION
        )
    return found


def parse_max_clients(text: str) -> int:
    """How many clients a tenant may have at once; 0: as many as it likes. How many may be said,
    the service says. Raises typer.BadParameter."""
    if text == NONE:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS and int(text)):
        raise typer.BadParameter(
            f"{text or 'nothing'} is no whole number above 0, nor none", param_hint="--max-clients"
        )
    return int(text)
