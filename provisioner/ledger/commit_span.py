"""The span of one transaction of the ledger, which serves as many clients as are in it.

It is within the trace of the first of them that is traced, and linked with the others, both ways.
"""

from __future__ import annotations

from collections.abc import Sequence

from control_plane.store.port import TxnResult
from control_plane.tracing.tracer import Span, SpanKind, Tracer
from provisioner.ledger.operations import Claim

NAME = "store commit"


def begin_commit(tracer: Tracer, claims: Sequence[Claim]) -> Span | None:
    """None: none of these clients is traced."""
    traced = [one.recording for one in claims if one.recording is not None]
    if not traced:
        return None
    first, *others = traced
    span = tracer.begin(
        NAME,
        first.parent,
        kind=SpanKind.CLIENT,
        links=[one.parent for one in others],
        attributes={"homeport.claims": len(claims)},
    )
    if span is not None:
        for one in others:
            one.link(span.parent)
    return span


def end_commit(span: Span, result: TxnResult) -> None:
    """It was answered: applied, or not because something it compares has changed."""
    span.set("homeport.applied", result.succeeded)
    span.set("homeport.revision", result.revision)
    span.end()
