"""PressDoors that remember whom they were told of."""

from __future__ import annotations

from control_plane.errors import Unavailable


class FakePressDoors:
    """applications: the accounts that are ones; None: not known yet. told: of presses, in order."""

    def __init__(self, applications: set[str] | None) -> None:
        self.applications = applications
        self.told: list[tuple[str, str]] = []

    def answers_for(self, tenant: str, account: str) -> bool:
        if self.applications is None:
            raise Unavailable("which accounts are applications is not known yet; try again")
        return account in self.applications

    def kept(self, tenant: str, account: str) -> None:
        self.told.append((tenant, account))
