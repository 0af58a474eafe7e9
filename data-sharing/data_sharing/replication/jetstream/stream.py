"""A JetStream stream as a changelog needs it: made once, written by the one who knows its end.

Errors of JetStream are told by code, because their texts change: 10071, the last sequence of the
subject is another one; 10201, a batch is a repeat or was torn. Both mean that nothing was written.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from control_plane import faultpoints
from control_plane.errors import OutcomeUnknown, Refused, StoreUnavailable
from data_sharing.replication.jetstream.connection import REQUEST_S, request
from data_sharing.replication.port import NotLast

WRONG_LAST, BATCH_REFUSED = 10071, frozenset(range(10174, 10215))
NO_MESSAGE, NO_STREAM, EXISTS_DIFFERENT = 10037, 10059, 10058
MOST_IN_BATCH = 1_000
READ_BYTES = 4 << 20
IDENTITY = "homeport-identity"
_AWAY = frozenset({503, 408, 409})

_encode = msgspec.json.encode


class Message(NamedTuple):
    """One that is kept."""

    subject: str
    sequence: int
    data: bytes


class Stream:
    """`open` first. name: of the stream; subjects: what it keeps; most_of_subject: messages kept of
    one subject; -1: all."""

    def __init__(
        self,
        client: Client,
        name: str,
        subjects: Sequence[str],
        *,
        replicas: int,
        most_of_subject: int = -1,
    ) -> None:
        self._client = client
        self.name = name
        self._config = {
            "name": name,
            "subjects": list(subjects),
            "storage": "file",
            "retention": "limits",
            "discard": "new" if most_of_subject < 0 else "old",
            "num_replicas": replicas,
            "max_msgs_per_subject": most_of_subject,
            "allow_atomic": True,
            "allow_direct": True,
            "deny_delete": True,
        }
        self.identity = ""

    async def open(self) -> None:
        """Makes it where it is not. Raises Refused where one of its name is something else, or has
        fewer replicas; StoreUnavailable, OutcomeUnknown."""
        config = {**self._config, "metadata": {IDENTITY: secrets.token_hex(8)}}
        answer = await self._api(f"STREAM.CREATE.{self.name}", config)
        if _code(answer) == EXISTS_DIFFERENT:
            answer = await self._api(f"STREAM.INFO.{self.name}")
        _raise_of(answer)
        kept = answer["config"]
        wrong = [key for key, wanted in self._config.items() if kept.get(key, wanted) != wanted]
        if not kept.get("allow_atomic") and "allow_atomic" not in wrong:
            wrong.append("allow_atomic")
        if wrong:
            raise Refused(
                f"the stream {self.name} differs from what is asked for in {', '.join(wrong)}; "
                "change it, or use another --feeds-prefix"
            )
        self.identity = kept.get("metadata", {}).get(IDENTITY, "")
        if not self.identity:
            raise Refused(f"the stream {self.name} was not made by Homeport")

    async def write(self, messages: Sequence[tuple[str, bytes]], *, after: int) -> int:
        """All or none of them, if the last message of the last one's subject is at `after` (0:
        there is none); the last one's sequence. Raises NotLast, and as `request`."""
        if len(messages) > MOST_IN_BATCH:
            raise StoreUnavailable(
                f"a commit of {len(messages)} messages is more than a batch of NATS holds"
            )
        *before, (subject, data) = messages
        headers = {"Nats-Expected-Last-Subject-Sequence": str(after)}
        if before:
            batch = secrets.token_hex(12)
            try:
                for number, (at, piece) in enumerate(before, start=1):
                    await self._client.publish(at, piece, headers=_of_batch(batch, number))
                    faultpoints.passing("changelog.batch.part")
            except (NatsError, OSError) as error:
                # Without the message that commits it, a batch is nothing.
                raise StoreUnavailable(f"NATS is away ({error})") from error
            headers |= _of_batch(batch, len(messages)) | {"Nats-Batch-Commit": "1"}
        answer = await request(self._client, subject, data, headers)
        _raise_of(answer)
        if before and answer.get("count") != len(messages):
            raise Refused("the NATS server stored a batch singly; run 2.12 or newer")
        sequence: int = answer["seq"]
        return sequence

    async def write_first(self, subject: str, data: bytes) -> int:
        """If nothing was ever written to the stream, of whatever subject; the sequence. Raises
        NotLast, and as `request`."""
        headers = {"Nats-Expected-Last-Sequence": "0"}
        answer = await request(self._client, subject, data, headers)
        _raise_of(answer)
        sequence: int = answer["seq"]
        return sequence

    async def last(self, subject: str) -> Message | None:
        """The newest of a subject, as its leader has it."""
        answer = await self._api(f"STREAM.MSG.GET.{self.name}", {"last_by_subj": subject})
        if _code(answer) == NO_MESSAGE:
            return None
        _raise_of(answer)
        found = answer["message"]
        return Message(found["subject"], found["seq"], base64.b64decode(found.get("data", "")))

    async def extent(self) -> tuple[int, int]:
        """Sequence of the oldest message that is kept, one past the last where there is none; and
        one past that of the last message that ever was."""
        answer = await self._api(f"STREAM.INFO.{self.name}")
        _raise_of(answer)
        end = answer["state"]["last_seq"] + 1
        return answer["state"]["first_seq"] or end, end

    async def read(self, first: int, last: int) -> AsyncIterator[Message]:
        """Messages from one sequence to another, in order. Any replica may answer; one that is
        behind gives fewer, and is asked again by who misses them."""
        at = first
        while at <= last:
            found = 0
            async for message in self._some(at):
                if message.sequence > last:
                    return
                yield message
                at, found = message.sequence + 1, found + 1
            if not found:
                return

    async def _some(self, at: int) -> AsyncIterator[Message]:
        if not self._client.is_connected:
            raise StoreUnavailable("NATS is away")
        inbox = self._client.new_inbox()
        answers = await self._client.subscribe(inbox)
        try:
            ask = _encode({"seq": at, "batch": MOST_IN_BATCH, "max_bytes": READ_BYTES})
            await self._client.publish(f"$JS.API.DIRECT.GET.{self.name}", ask, reply=inbox)
            while True:
                answer = await answers.next_msg(timeout=REQUEST_S)
                headers = answer.headers or {}
                if "Status" in headers or "Nats-Sequence" not in headers:
                    return
                yield Message(headers["Nats-Subject"], int(headers["Nats-Sequence"]), answer.data)
        except (NatsError, OSError, TimeoutError) as error:
            raise StoreUnavailable(
                f"NATS did not answer ({error or type(error).__name__})"
            ) from error
        finally:
            if self._client.is_connected:
                await answers.unsubscribe()

    async def purge(self, before: int) -> None:
        """Forgets all messages below a sequence."""
        _raise_of(await self._api(f"STREAM.PURGE.{self.name}", {"seq": before}))

    async def _api(self, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        payload = b"" if body is None else _encode(body)
        try:
            return await request(self._client, f"$JS.API.{what}", payload)
        except OutcomeUnknown as error:
            if "CREATE" in what or "PURGE" in what:
                raise
            raise StoreUnavailable(error.message) from error


def _of_batch(batch: str, number: int) -> dict[str, str]:
    return {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}


def _code(answer: Mapping[str, Any]) -> int:
    code: int = (answer.get("error") or {}).get("err_code", 0)
    return code


def _raise_of(answer: Mapping[str, Any]) -> None:
    error = answer.get("error")
    if not error:
        return
    code, what = error.get("err_code", 0), error.get("description", "")
    if code == WRONG_LAST or code in BATCH_REFUSED:
        raise NotLast(f"NATS: {what}")
    if code == NO_STREAM or error.get("code") in _AWAY:
        raise StoreUnavailable(f"NATS: {what}")
    raise OutcomeUnknown(f"NATS: {what} ({code})")
