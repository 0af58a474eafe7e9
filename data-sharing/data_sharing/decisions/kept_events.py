"""Whether events are kept for as long as rules wait for what follows them. Pure.

A partial match keeps its own copy of its events, so a longer wait would be decided all the same.
But nobody could explain what it was decided by, nor try it in a backtest: so it is refused.
"""

from __future__ import annotations

from data_sharing.forecasts.spec import duration_ms, shown
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.spec import RulesDocument


def check(document: RulesDocument, keep_ms: int) -> None:
    """document: one whose durations can be read. keep_ms: how long events are. Raises
    InvalidDocument."""
    faults = FaultCollector()
    for rule in document.rules:
        waits = {"absent_for": rule.absent_for}
        if rule.sequence is not None:
            waits["sequence.within"] = rule.sequence.within
        for field, text in waits.items():
            if text is not None and duration_ms(text, field) > keep_ms:
                said = f"{text} is longer than events are kept here, {shown(keep_ms)}"
                faults.add(f"rules.{rule.rule}.{field}", f"{said} (--retain-s)")
    faults.raise_if_any()
