"""Provisioning of many clients over one stream, as steps for a client to perform.

Clients go out in batches, several of which are under way at once; results come back in the
order of the clients. When the stream breaks, the batches without an answer are sent again,
on another server if need be: provisioning is idempotent, so a client that was assigned by
the lost try keeps the assignment it got. Batches with an answer are never sent again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.core import PROVISION_MANY, Core, checked_timeout_s
from homeport.errors import InvalidRequest, WaitingForRoom, error_of
from homeport.failure import Code, Failure
from homeport.messages import client_to_proto, result_of
from homeport.retrying import Attempts
from homeport.steps import Emit, EndRequests, OpenStream, Pull, Receive, Send, StreamSteps, Wait
from homeport.values import ClientAt, ProvisionResult

MAX_BATCH = 1_000  # the contract's
MANY_TIMEOUT_S = 60.0
END_TIMEOUT_S = 1.0  # how long to wait for the end of a stream that has given every answer

_ENDED_EARLY = Failure(
    Code.UNAVAILABLE, "the server ended the stream before it had answered every batch"
)


class _Batch:
    """The clients of one request. `refused`: those with an invalid request, by position."""

    __slots__ = ("refused", "request", "sent_at", "size")

    def __init__(self, core: Core, clients: Sequence[ClientAt | str], with_tickets: bool) -> None:
        self.size = len(clients)
        self.sent_at = 0.0
        self.refused: dict[int, ProvisionResult] = {}
        self.request = pb.ProvisionManyRequest(tenant=core.tenant, without_tickets=not with_tickets)
        lines = self.request.clients
        for position, client in enumerate(clients):
            try:
                line = client_to_proto(client)
                line.waiting_token = line.waiting_token or core.waiting.token(line.client_id)
                lines.append(line)
            except InvalidRequest as error:
                name = client if isinstance(client, str) else client.client_id
                self.refused[position] = ProvisionResult(client_id=name, error=error)

    def results(self, response: pb.ProvisionManyResponse | None) -> list[ProvisionResult]:
        """All results in the order of the clients; None: nothing had to be sent."""
        sent_at = self.sent_at
        answered = iter(response.results if response is not None else ())
        refused = self.refused
        if not refused:
            return [result_of(result, sent_at) for result in answered]
        return [
            refused[position] if position in refused else result_of(next(answered), sent_at)
            for position in range(self.size)
        ]


def _noted(core: Core, results: Sequence[ProvisionResult]) -> Sequence[ProvisionResult]:
    """The results; who waits for room sends along since when, should it be asked for again."""
    waiting = core.waiting
    for result in results:
        if isinstance(result.error, WaitingForRoom):
            waiting.waits(result.client_id, result.error.waiting_token)
        elif result.error is None and len(waiting):
            waiting.has_home(result.client_id)
    return results


def provision_many(
    core: Core, *, with_tickets: bool, batch_size: int, window: int, timeout_s: float | None
) -> StreamSteps:
    """batch_size: clients in a batch, 1 to 1,000; window: batches under way at once, at
    least 1; timeout_s: the longest wait for the oldest batch's answer, retries included.

    Raises HomeportError for what concerns whole batches, after every result received before.
    """
    if not 1 <= batch_size <= MAX_BATCH:
        raise ValueError(f"batch_size is {batch_size}; a batch holds 1 to {MAX_BATCH:,} clients")
    if window < 1:
        raise ValueError(f"window is {window}; at least one batch must be under way")
    answer_timeout_s = MANY_TIMEOUT_S if timeout_s is None else checked_timeout_s(timeout_s)
    limit_s = core.policy.batch_timeout_s
    waiting: deque[_Batch] = deque()  # without answer, oldest first
    sent = 0  # how many of them are on the stream that is open
    server: str | None = None  # of that stream
    attempts: Attempts | None = None  # tries for the oldest batch
    probing = False  # after a failure the oldest batch goes alone: is it the batch, or the server?
    more, half_closed = True, False  # clients are left; requests have ended
    while True:
        while more and len(waiting) < window:
            clients = yield Pull(batch_size)
            more = len(clients) == batch_size
            if clients:
                waiting.append(_Batch(core, clients, with_tickets))
        while waiting and not waiting[0].request.clients:
            sent = max(0, sent - 1)
            yield Emit(waiting.popleft().results(None))
        if not waiting:
            if more:
                continue
            break
        if attempts is None:
            attempts = core.attempts(answer_timeout_s)
        if server is None:
            server, sent, half_closed = core.endpoints.current, 0, False
            yield OpenStream(server, PROVISION_MANY)
        allowed = 1 if probing else len(waiting)
        for batch in list(waiting)[sent:allowed]:
            if batch.request.clients:
                batch.sent_at = core.wall()
                yield Send(batch.request, attempts.try_timeout_s(limit_s))
        sent = max(sent, allowed)
        if not more and not half_closed and sent == len(waiting):
            half_closed = True
            yield EndRequests(attempts.try_timeout_s(limit_s))
        outcome = yield Receive(attempts.try_timeout_s(limit_s))
        if outcome is None:
            outcome = _ENDED_EARLY
        if isinstance(outcome, Failure):
            failed, server, probing = server, None, True
            wait_s = attempts.wait_after(outcome, failed)
            if wait_s > 0.0:
                yield Wait(wait_s)
            continue
        batch = waiting.popleft()
        sent -= 1
        if len(outcome.results) != len(batch.request.clients):
            raise error_of(
                Failure(
                    Code.INTERNAL,
                    f"answered {len(outcome.results):,} of {len(batch.request.clients):,} clients",
                ),
                servers=(server,),
            )
        attempts, probing = None, False
        yield Emit(_noted(core, batch.results(outcome)))
    if server is not None:
        if not half_closed:
            yield EndRequests(END_TIMEOUT_S)
        # Every client has its result: how the stream ends does not matter.
        yield Receive(END_TIMEOUT_S)
