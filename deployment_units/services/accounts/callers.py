"""Callers: for whom a call to a unit's services is made, by the bearer it shows.

A client shows its ticket, and is at home here; whoever comes to see somebody shows an introduction.
Both are checked offline, with the unit's ticket keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType

from control_plane.auth.shown import ShownCredentials
from control_plane.errors import PermissionDenied, Unauthenticated, Unavailable
from control_plane.identity.admission import AdmissionReason, TicketVerifier
from control_plane.identity.departures import Departed
from control_plane.identity.introductions import (
    Introduction,
    IntroductionFlaw,
    check_introduction,
)
from deployment_units.services.accounts.accounts import StaleEpoch
from deployment_units.services.accounts.change_budget import ChangeBudget
from deployment_units.services.accounts.entry import Resident


class Callers:
    """Of one unit. wall: Unix seconds; changes: of its accounts; None: as much as they like."""

    def __init__(
        self,
        unit_id: str,
        verifier: TicketVerifier,
        *,
        wall: Callable[[], float],
        changes: ChangeBudget | None = None,
    ) -> None:
        self._unit_id = unit_id
        self._verifier = verifier
        self._wall = wall
        self._changes = changes

    def resident(self, metadata: Iterable[tuple[str, str | bytes]]) -> Resident:
        """The client whose ticket is shown. Raises Unauthenticated, PermissionDenied, StaleEpoch;
        Unavailable before there are keys."""
        caller = self.caller(metadata)
        if isinstance(caller, Introduction):
            raise PermissionDenied("an introduction lets nobody do this; show the client's ticket")
        return caller

    def changing(self, metadata: Iterable[tuple[str, str | bytes]], cost: float = 1.0) -> Resident:
        """The client whose ticket is shown, who is to have something changed; cost: of its budget.
        Raises as `resident`; TooManyChanges."""
        resident = self.resident(metadata)
        if self._changes is not None:
            self._changes.take(resident.tenant, resident.account, cost)
        return resident

    def expiry(self, metadata: Iterable[tuple[str, str | bytes]]) -> float:
        """When the ticket that is shown ends, Unix seconds; 0: it is none, or no good one."""
        bearer = ShownCredentials(metadata).bearer()
        return self._verifier.verify(bearer.text, self._wall()).expires_at if bearer else 0.0

    def caller(self, metadata: Iterable[tuple[str, str | bytes]]) -> Resident | Introduction:
        """The client whose ticket is shown, or the introduction. Raises as `resident`."""
        if not self._verifier.has_keys:
            raise Unavailable("this unit has no ticket keys yet; try again shortly")
        bearer = ShownCredentials(metadata).bearer()
        if bearer is None:
            raise Unauthenticated(
                "a ticket is needed here; send authorization: Bearer <ticket>, as the provisioner "
                "gave it"
            )
        now = self._wall()
        admission = self._verifier.verify(bearer.text, now)
        if admission.admitted:
            return Resident(
                tenant=admission.tenant,
                account=admission.client_id,
                epoch=admission.epoch,
                first_ms=admission.first_ms,
            )
        if admission.reason is AdmissionReason.MALFORMED:  # no ticket, and what is no token at all
            return self._introduced(bearer.text, admission.message, now)
        if admission.reason is AdmissionReason.STALE_EPOCH:
            raise moved(admission.message, admission.departed)
        if admission.reason is AdmissionReason.FOREIGN_TENANT:
            raise PermissionDenied(admission.message)
        raise Unauthenticated(admission.message)

    def introduction(self, introduction: str) -> Introduction:
        """One that was made for this unit. Raises Unauthenticated, StaleEpoch; Unavailable before
        there are keys."""
        if not self._verifier.has_keys:
            raise Unavailable("this unit has no ticket keys yet; try again shortly")
        return self._introduced(introduction, "this is no introduction", self._wall())

    def has_left(self, resident: Resident) -> bool:
        """Whether the account is known to have its home elsewhere since it lived here so."""
        departed = self._verifier.departures.find(resident.tenant, resident.account)
        return departed is not None and departed.ends(resident.epoch, 0, resident.first_ms)

    def _introduced(self, introduction: str, no_ticket: str, now: float) -> Introduction:
        """no_ticket: what is said of what is no introduction either."""
        checked = check_introduction(introduction, self._verifier, self._unit_id, now)
        if isinstance(checked, Introduction):
            return checked
        if checked.flaw is IntroductionFlaw.STALE_EPOCH:
            raise moved(checked.message, checked.departed)
        if checked.flaw is IntroductionFlaw.MALFORMED:
            raise Unauthenticated(no_ticket)
        raise Unauthenticated(checked.message)


def introduced(introduction: Introduction) -> Resident:
    """To whom an introduction is, as the control plane knows it."""
    return Resident(
        tenant=introduction.tenant,
        account=introduction.account,
        epoch=introduction.epoch,
        first_ms=introduction.first_ms,
    )


def moved(message: str, departed: Departed | None) -> StaleEpoch:
    """That the account has moved, and for machines where to: `unit_id` (empty: it has no home),
    `endpoint` and `epoch`, where that is known."""
    error = StaleEpoch(message)
    if departed is not None:
        error.metadata = MappingProxyType(
            {
                "unit_id": departed.unit_id,
                "endpoint": departed.endpoint,
                "epoch": str(departed.epoch),
            }
        )
    return error
