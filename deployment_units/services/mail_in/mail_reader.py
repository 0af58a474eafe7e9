"""MailReader: reads mail in child processes, and finds out who vouches for it.

Mail of a trusted relay says so itself. Of others the DKIM keys are looked up first, so that one
task does all that costs; SPF is asked only where no signature vouches for the sender. Mails that
wait are read together, because a process is forked for each task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from control_plane.errors import InvalidInput, ServiceError
from control_plane.offloading.port import Offload, TaskLimits, TooCostly
from deployment_units.services.mail_in.authenticity import is_aligned
from deployment_units.services.mail_in.groups import Groups
from deployment_units.services.mail_in.incoming import MailSession
from deployment_units.services.mail_in.names import DomainNames, NamesUnavailable
from deployment_units.services.mail_in.other_units import HandedMail
from deployment_units.services.mail_in.reading import MailReading, MailToRead
from deployment_units.services.mail_in.reading_tasks import READ
from deployment_units.services.mail_in.sending_hosts import SendingHosts
from deployment_units.services.mail_in.signatures import key_names

TASKS = "deployment_units.services.mail_in.reading_tasks:TASKS"
LIMITS = {READ: TaskLimits(cpu_s=4.0, wall_s=30.0, memory_bytes=512 << 20)}
MOST_TOGETHER = 16
MOST_BYTES_TOGETHER = 2 << 20
MOST_WAITING = 400
PAUSE_S = 0.02  # for which a group waits for more while another one is read
_read = msgspec.convert


@dataclass(slots=True)
class _Waiting:
    mail: MailToRead
    answer: asyncio.Future[MailReading]


class MailReader:
    """authserv_id: of the trusted relays. is_trusted: whether a peer is one of them. readers: as
    many groups are read at a time; pause_s: as PAUSE_S."""

    def __init__(
        self,
        pool: Offload,
        names: DomainNames,
        *,
        authserv_id: str,
        is_trusted: Callable[[str], bool],
        readers: int = 2,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._pool = pool
        self._names = names
        self._hosts = SendingHosts(names)
        self._authserv_id = authserv_id
        self._is_trusted = is_trusted
        self._readers = readers
        self._groups: Groups[_Waiting] = Groups(
            lambda one: len(one.mail.content), most=MOST_TOGETHER, most_bytes=MOST_BYTES_TOGETHER,
            most_waiting=MOST_WAITING, pause_s=pause_s,
        )  # fmt: skip

    async def run(self) -> None:
        """Reads until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._readers):
                    group.create_task(self._work(number), name=f"mail reader {number}")
        finally:
            for one in self._groups.left():
                one.answer.cancel()

    def close(self) -> None:
        """Once nothing is read any more."""
        self._hosts.close()

    async def read(self, session: MailSession, recipient: str, content: bytes) -> MailReading:
        """Raises InvalidInput for a mail that is none, or beyond a bound; Unavailable where it
        cannot be read now."""
        trusted = self._is_trusted(session.peer)
        mail = MailToRead(
            content=content,
            envelope_from=session.sender,
            recipient=recipient,
            authserv_id=self._authserv_id if trusted else "",
            keys={} if trusted else await self._keys(content),
        )
        reading = await self._once(mail)
        if trusted or not reading.sender or is_aligned(reading.sender, reading.results):
            return reading
        found = await self._hosts.check(session)
        return msgspec.structs.replace(reading, results=(*reading.results, *found))

    async def read_handed(self, mail: HandedMail) -> MailReading:
        """Of one that another unit has taken, and looked at. Raises as `read`."""
        reading = await self._once(
            MailToRead(content=mail.content, envelope_from=mail.sender, recipient=mail.recipient)
        )
        return msgspec.structs.replace(reading, results=mail.results)

    async def _once(self, mail: MailToRead) -> MailReading:
        waiting = _Waiting(mail, asyncio.get_running_loop().create_future())
        await self._groups.put(waiting)
        return await waiting.answer

    async def _keys(self, content: bytes) -> dict[str, bytes]:
        """Of names that DNS has nothing for, no bytes."""
        names = key_names(content)
        found = await asyncio.gather(*map(self._key, names))
        return {name: key for name, key in zip(names, found, strict=True) if key is not None}

    async def _key(self, name: str) -> bytes | None:
        try:
            texts = await self._names.ask(name, "TXT")
        except NamesUnavailable:
            return None
        return next((one for one in texts if isinstance(one, bytes)), b"")

    async def _work(self, number: int) -> None:
        while True:
            group = await self._groups.next()
            with self._groups.under_way():
                await self._read_group(group, f"reader {number}")

    async def _read_group(self, group: list[_Waiting], who: str) -> None:
        """Answers each; alone, where one costs more than the group may."""
        group = [one for one in group if not one.answer.done()]
        try:
            found = await self._pool.offload(
                READ, [one.mail for one in group], tenant=who, subject="mail"
            )
        except asyncio.CancelledError:
            for one in group:
                one.answer.cancel()
            raise
        except ServiceError as error:
            if len(group) > 1 and isinstance(error, TooCostly):
                for one in group:
                    await self._read_group([one], who)
                return
            for one in group:
                _fail(one, error)
            return
        for one, answer in zip(group, found, strict=True):
            _answer(one, answer)


def _answer(waiting: _Waiting, answer: list[Any]) -> None:
    if answer[0] == "refused":
        _fail(waiting, InvalidInput(answer[1], answer[2]))
    elif not waiting.answer.done():
        waiting.answer.set_result(_read(answer[1], MailReading))


def _fail(waiting: _Waiting, error: ServiceError) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
