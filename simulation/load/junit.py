"""Thresholds as JUnit has tests: one case each, failed where it is broken. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr


def junit_text(result: Mapping[str, Any]) -> str:
    """XML of a LoadResult's document. A run without thresholds is one case, which passes."""
    name = f"load.{result['settings']['scenario']}"
    cases = result["thresholds"] or [{"threshold": "it ran", "held": True, "sentence": ""}]
    broken = sum(not one["held"] for one in cases)
    body = "".join(_case(name, one) for one in cases)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuite name="homeport load" tests="{len(cases)}" failures="{broken}" '
        f'errors="0" time="{result["lasted_s"]}">\n{body}</testsuite>\n'
    )


def _case(name: str, one: Mapping[str, Any]) -> str:
    opened = f"  <testcase classname={quoteattr(name)} name={quoteattr(one['threshold'])}"
    if one["held"]:
        return f"{opened}/>\n"
    said = one["sentence"]
    return (
        f"{opened}>\n    <failure message={quoteattr(said)}>{escape(said)}</failure>\n"
        "  </testcase>\n"
    )
