"""PartitionedCall: one call, done in the partitions that it is about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

from grpc import aio

from control_plane.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NotFound,
    ServiceError,
    Unavailable,
)
from control_plane.serving.calls import Metadata
from data_sharing.api.merged_pages import merged, pages_asked_for
from data_sharing.api.other_partitions import OtherPartitions, failure_of
from data_sharing.api.partition_methods import PACKAGE, Method
from data_sharing.replication.partition_map import OtherPartition
from homeport.api.datasharing.v1 import plan_pb2, rule_pb2

MARK, ALONE, RELAYED, REACHED = "homeport-partition", "alone", "relayed", "reached"
NUMBER = "homeport-partition-number"  # which one is meant: servers change theirs
MADE = "homeport-made-id"
CALL_S = 120.0  # applications are compiled
FIND_S = 10.0
GET_PLAN = f"/{PACKAGE}.PlanService/GetPlan"
SUBMIT = f"/{PACKAGE}.ApplicationRegistry/SubmitApplication"
ROLLBACK_APPLICATION = f"/{PACKAGE}.ApplicationRegistry/RollbackApplication"
REMOVING = frozenset(
    f"/{PACKAGE}.SharingService/{name}"
    for name in ("RemoveSharing", "WithdrawConsent", "WithdrawOwnConsent")
)
"""What is not there is removed, and nothing keeps it from being removed elsewhere."""
RELATIVE = {
    ROLLBACK_APPLICATION: "version",
    f"/{PACKAGE}.RuleService/RollbackRule": "to_version",
    f"/{PACKAGE}.RuleService/PromoteRollout": "from_step",
}
"""The field that says what is meant whatever is so now; left out, the same once more is another
thing."""

PLACED: ContextVar[bool] = ContextVar("placed", default=False)
"""Whether it was looked up that no other partition has what is to be made here, by its name."""

Own: TypeAlias = Callable[[], Awaitable[Any]]


async def again(requests: Sequence[Any]) -> AsyncIterator[Any]:
    for one in requests:
        yield one


class PartitionedCall:
    """One call, and how it is done in the partitions. own: does it in this server's."""

    def __init__(
        self,
        others: OtherPartitions,
        path: str,
        method: Method,
        requests: list[Any],
        credential: Metadata,
        own: Own,
    ) -> None:
        self.method = method
        self.requests = requests
        self._others, self._map = others, others.map
        self._path = path
        self._credential = tuple(credential)
        self._own = own

    async def ask(
        self, partition: int, mark: str = ALONE, *, request: Any = None, path: str = "",
        response: Any = None, made: str = "", within_s: float = CALL_S,
    ) -> Any:  # fmt: skip
        """What another partition's server answers. Raises ServiceError."""
        channel = await self._others.channel_to(partition)
        metadata = (*self._credential, (MARK, mark), (NUMBER, str(partition)))
        metadata += ((MADE, made),) if made else ()
        path = path or self._path
        kinds: dict[str, Any] = {
            "request_serializer": lambda message: message.SerializeToString(),
            "response_deserializer": (response or self.method.response).FromString,
        }
        try:
            if path == SUBMIT:
                stream = channel.stream_unary(path, **kinds)
                sent = self.requests if request is None else [request]
                return await stream(again(sent), timeout=within_s, metadata=metadata)
            unary = channel.unary_unary(path, **kinds)
            request = self.requests[0] if request is None else request
            return await unary(request, timeout=within_s, metadata=metadata)
        except aio.AioRpcError as error:
            raise failure_of(error, partition) from error

    async def apply(self) -> Any:
        """In each, this one first; in none where it is refused here, or one is not reached."""
        for partition in self._rest():
            await self.ask(partition, REACHED, request=self.method.request(), within_s=FIND_S)
        removing, missing, answer = self._path in REMOVING, None, None
        relative = self._relative()
        try:
            answer = await self._own()
        except NotFound as error:
            if not removing:
                raise
            missing = error
        if _is_trial(self.requests[0]) or (answer is not None and not _is_accepted(answer)):
            return answer
        made = getattr(answer, "consent_id", "") if not removing else ""
        if self._path == ROLLBACK_APPLICATION and answer is not None:
            self.requests[0].version = answer.version  # the one before may be another one there
        failed: list[str] = []
        for partition in self._rest():
            try:
                other = await self.ask(partition, made=made)
            except ServiceError as error:
                if not (removing and isinstance(error, NotFound)):
                    failed.append(f"in {partition}: {error.message}")
                continue
            if not _is_accepted(other):
                failed.append(f"in {partition}: {_why_refused(other)}")
            elif answer is None:
                answer = other
            else:
                _note(answer, other, partition)
        if failed:
            self._raise_partly(failed, relative)
        if answer is None:
            assert missing is not None
            raise missing
        return answer

    def _relative(self) -> str:
        """What the request leaves to what is so now; empty: nothing."""
        field, request = RELATIVE.get(self._path, ""), self.requests[0]
        return field if field and not (getattr(request, field) or _is_full(request)) else ""

    def _raise_partly(self, failed: Sequence[str], relative: str) -> None:
        done = f"done in {self._map.count - len(failed)} of {self._map.count} partitions"
        said = "; ".join(failed)
        if relative:  # whoever sends it again by itself would go one further where it is done
            raise Conflict(
                f"{done}; see what is in force, and name it as {relative} when you do it again, "
                f"which changes nothing where it is done: {said}"
            )
        raise Unavailable(
            f"{done}; do the same once more, which changes nothing where it is done: {said}",
            retry_after_s=1.0,
        )

    async def find(self) -> Any:
        """Where it is. Raises as the method; NotFound where none has it; Unavailable where one
        that may have it is not reached."""
        request = self.requests[0]
        if _names_position(request):
            raise InvalidInput(
                "event.position",
                "positions are of one partition each, and keys are spread over several; give "
                "source and id of the event",
            )
        try:
            return await self._own()
        except NotFound as error:
            unknown: ServiceError = error
        away: ServiceError | None = None
        for partition in self._rest():
            try:
                return await self.ask(partition, within_s=FIND_S)
            except NotFound:
                continue
            except Unavailable as error:
                away = error
        raise away or unknown

    async def merge(self) -> Any:
        """The answers of all, as one page."""
        listing = self.method.listing
        assert listing is not None
        count, request = self._map.count, type(self.requests[0])()
        request.CopyFrom(self.requests[0])
        asked = pages_asked_for(request, count)
        answers: dict[int, Any] = {}
        others = [one for one in asked if one != self._map.number]
        found = await asyncio.gather(
            *(self.ask(one, request=asked[one], within_s=FIND_S) for one in others)
        )
        answers |= dict(zip(others, found, strict=True))
        if self._map.number in asked:
            self.requests[0].CopyFrom(asked[self._map.number])
            answers[self._map.number] = await self._own()
        return merged(self.method.response, listing, request, answers, count)

    async def create(self) -> Any:
        """In the partition of its key. Raises AlreadyExists where another one has its name."""
        try:
            return await self._own()
        except OtherPartition as error:
            place, name = error.partition, error.name
        await self._refuse_taken(name, besides=place)
        if place != self._map.number:
            return await self.ask(place)
        PLACED.set(True)
        return await self._own()

    async def _refuse_taken(self, name: str, *, besides: int) -> None:
        """The plan that is there already tells itself, in its partition."""
        request = plan_pb2.GetPlanRequest(tenant=self.requests[0].tenant, plan_id=name)
        for partition in range(self._map.count):
            if partition == besides:
                continue
            try:
                await self.ask(
                    partition, request=request, path=GET_PLAN, response=plan_pb2.Plan,
                    within_s=FIND_S,
                )  # fmt: skip
            except NotFound:
                continue
            raise AlreadyExists(f"a plan of this name is in partition {partition}; take another")

    def _rest(self) -> list[int]:
        return [one for one in range(self._map.count) if one != self._map.number]


def _note(answer: Any, other: Any, partition: int) -> None:
    """What is another one in that partition: counts add up, and versions that differ are said."""
    if hasattr(answer, "unparked"):
        answer.unparked += other.unparked
    if not isinstance(answer, rule_pb2.ApplyRulesResponse):
        return
    there = {one.rule_id: one.version for one in other.rules}
    for one in answer.rules:
        if there.get(one.rule_id) != one.version:
            answer.warnings.append(
                f"rules.{one.rule_id}: is version {one.version} in partition 0 and "
                f"{there.get(one.rule_id)} in {partition}, of the same content now: one had "
                "missed an earlier document"
            )


def _is_trial(request: Any) -> bool:
    """Whether it only asks what would become of it."""
    head = getattr(request, "head", request)
    return bool(getattr(head, "dry_run", False))


def _is_accepted(answer: Any) -> bool:
    """A submission that is refused is so by its answer."""
    names = answer.DESCRIPTOR.oneofs_by_name
    return "result" not in names or answer.WhichOneof("result") == "accepted"


def _is_full(request: Any) -> bool:
    return bool(getattr(request, "full", False))


def _why_refused(answer: Any) -> str:
    return "; ".join(one.message for one in answer.refused.faults[:3]) or "it is refused"


def _names_position(request: Any) -> bool:
    event = getattr(request, "event", None)
    return event is not None and bool(event.position) and not event.id
