"""TicketSigner: signs tickets, on the spot or off the event loop.

An HS256 ticket takes microseconds and is made where it is needed. An EdDSA signature takes
ten times as long and releases the GIL, so those go to threads; many that gather meanwhile
are signed in one errand, tenants in turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.jws import EDDSA
from control_plane.identity.tickets import TicketIssuer
from control_plane.turns import Turns

log = logging.getLogger(__name__)

SIGNED_AT_ONCE = 128  # in one errand, of some milliseconds


@dataclass(frozen=True, slots=True)
class _Order:
    """One ticket to be signed."""

    tenant: TenantSpec
    unit_id: str
    client_id: str
    epoch: int
    deliver: Callable[[str | ServiceError], None]
    known_at: float | None
    first_ms: int


class TicketSigner:
    """One per server; use from its event loop. wall: Unix seconds."""

    def __init__(
        self, issuer: TicketIssuer, *, wall: Callable[[], float], signers: Executor
    ) -> None:
        self.issuer = issuer
        self._wall = wall
        self._signers = signers
        self._orders: Turns[_Order] = Turns(lambda order: order.tenant.id)
        self._signing = False

    def issue_now(
        self,
        tenant: TenantSpec,
        unit_id: str,
        client_id: str,
        epoch: int,
        known_at: float | None = None,
        first_ms: int = 0,
    ) -> str | None:
        """A ticket, or None where signing takes too long to be done here. known_at: when the
        assignment was known to be so, if that was before now, Unix seconds; first_ms: as the
        record has it."""
        if tenant.ticket_algorithm == EDDSA:
            return None
        return self.issuer.issue(
            unit_id,
            tenant.id,
            client_id,
            epoch,
            self._wall(),
            tenant.ticket_ttl_s,
            held=tenant.hold_s > 0,
            known_at=known_at,
            first_ms=first_ms,
        )

    def issue_later(
        self,
        tenant: TenantSpec,
        unit_id: str,
        client_id: str,
        epoch: int,
        deliver: Callable[[str | ServiceError], None],
        known_at: float | None = None,
        first_ms: int = 0,
    ) -> None:
        """`deliver` is called on the event loop, once."""
        self._orders.append(_Order(tenant, unit_id, client_id, epoch, deliver, known_at, first_ms))
        if not self._signing:
            self._sign_next()

    async def issue(
        self,
        tenant: TenantSpec,
        unit_id: str,
        client_id: str,
        epoch: int,
        known_at: float | None = None,
        first_ms: int = 0,
    ) -> str:
        """A ticket by whichever way."""
        ticket = self.issue_now(tenant, unit_id, client_id, epoch, known_at, first_ms)
        if ticket is not None:
            return ticket
        signed: asyncio.Future[str | ServiceError]
        signed = asyncio.get_running_loop().create_future()

        def deliver(ticket: str | ServiceError) -> None:
            if not signed.done():  # whoever wanted it may have left
                signed.set_result(ticket)

        self.issue_later(tenant, unit_id, client_id, epoch, deliver, known_at, first_ms)
        outcome = await signed
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    def _sign_next(self) -> None:
        waiting = self._orders
        orders = [waiting.popleft() for _ in range(min(len(waiting), SIGNED_AT_ONCE))]
        if not orders:
            self._signing = False
            return
        self._signing = True
        work = asyncio.get_running_loop().run_in_executor(
            self._signers, self._sign, orders, self._wall()
        )
        work.add_done_callback(lambda done: self._signed(orders, done))

    def _sign(self, orders: list[_Order], now: float) -> list[str]:
        return [
            self.issuer.issue_eddsa(
                order.unit_id,
                order.tenant.id,
                order.client_id,
                order.epoch,
                now,
                order.tenant.ticket_ttl_s,
                held=order.tenant.hold_s > 0,
                known_at=order.known_at,
                first_ms=order.first_ms,
            )
            for order in orders
        ]

    def _signed(self, orders: list[_Order], done: asyncio.Future[list[str]]) -> None:
        if done.cancelled() or done.exception() is not None:
            failure = Unavailable("tickets cannot be signed now; try again")
            signed: list[str | ServiceError] = [failure] * len(orders)
        else:
            signed = [*done.result()]
        for order, ticket in zip(orders, signed, strict=True):
            try:
                order.deliver(ticket)
            except Exception:  # the boundary: one that cannot be told takes no other along
                log.exception("a signed ticket could not be delivered")
        self._sign_next()
