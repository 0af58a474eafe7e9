"""Selectors of units in a policy document, read strictly. Pure."""

from __future__ import annotations

import re

from control_plane.printable import quoted
from provisioner.geo.countries import countries
from provisioner.placement.selectors import UnitSelector
from provisioner.policy.conditions import nearest
from provisioner.policy.fields import Fields

CONTINENTS = ("AF", "AN", "AS", "EU", "NA", "OC", "SA")
MOST_VALUES = 1_000
MOST_SELECTORS = 200
SELECTOR_FIELDS = ("units", "countries", "continents", "labels")
_USUAL = {"UK": "GB", "EL": "GR", "USA": "US"}  # what people write for ISO codes
_SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


def read_selector(fields: Fields, *, may_be_empty: bool = False) -> UnitSelector:
    """Of an object that has a selector's fields, and maybe others."""
    wanted = fields.texts("countries", most=MOST_VALUES)
    for code in wanted:
        _check_country(fields, "countries", code)
    continents = fields.texts("continents", most=len(CONTINENTS))
    for code in continents:
        if code not in CONTINENTS:
            known = f"known are {', '.join(CONTINENTS)}"
            fields.problem("continents", f"there is no continent {quoted(code)}; {known}")
    labels = {}
    said = fields.list_object("labels")
    inner = fields.inner("labels", said)
    for name in said:
        values = inner.texts(name, most=MOST_VALUES)
        if not values and not inner.has_problems:
            inner.problem(name, "give the value, or a list of values, that units may have")
        labels[name] = frozenset(values)
    selector = UnitSelector(
        units=frozenset(fields.texts("units", most=MOST_VALUES)),
        countries=frozenset(wanted),
        continents=frozenset(continents),
        labels=labels,
    )
    says = selector.units or wanted or continents or labels
    if not (says or may_be_empty or fields.has_problems):
        fields.problem("", f"says nothing; give it one of {', '.join(SELECTOR_FIELDS)}")
    return selector


def read_selectors(fields: Fields, name: str) -> tuple[UnitSelector, ...]:
    """Of a list of them."""
    made = []
    for at, one in enumerate(fields.entries(name, most=MOST_SELECTORS)):
        entry = fields.inner(f"{name}[{at}]", one, SELECTOR_FIELDS)
        if entry.given:
            made.append(read_selector(entry))
    return tuple(made)


def read_area(fields: Fields, name: str, code: str) -> str:
    """A country's or a subdivision's code."""
    if not _SUBDIVISION.fullmatch(code):
        _check_country(fields, name, code)
    return code


def _check_country(fields: Fields, name: str, code: str) -> None:
    known = countries()
    if code in known:
        return
    usual = _USUAL.get(code.upper(), code.upper())
    hint = f"did you mean {usual}?" if usual in known else nearest(code, list(known))
    fields.problem(name, f"there is no country {quoted(code)}; {hint}")
