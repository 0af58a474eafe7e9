"""One message to two applications, through the feed log itself: each of them hears of it once, also
where it is published again because nobody heard that it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import yaml

from control_plane.errors import Unavailable
from data_sharing.api.cloudevent_message import envelope_from_proto
from data_sharing.database import Database
from data_sharing.feed_key import KeyPath
from data_sharing.feeds.feed import Feed
from data_sharing.feeds.intake import Intake
from data_sharing.feeds.log_tables import SCHEMA
from data_sharing.feeds.port import Appended, Record
from data_sharing.feeds.publisher import Publisher
from data_sharing.feeds.sqlite_log import SqliteFeedLog
from data_sharing.registry.answers import message_feeds
from data_sharing.schemas import DataSchema
from deployment_units.services.applications.data_sharing_calls import event_to_proto
from deployment_units.services.applications.port import FeedEvent
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.application_units import TALK, ApplicationUnit, application_unit, until
from tests.support.contracts.feed_log_contract import Clock, read_all
from tests.support.fakes.data_sharing import FakeDataSharing

APPLICATIONS = {"ben": "tea", "roastery": "coffee"}


class SharingWithLog(FakeDataSharing):
    """Whose events go through the checks of feeds into a feed log on disk."""

    def __init__(self, log: SqliteFeedLog) -> None:
        super().__init__(APPLICATIONS)
        manifest = yaml.safe_load(message_feeds())
        feeds = {
            one["type"]: Feed(
                TENANT, one["type"], manifest["application"], DataSchema(one["schema"]),
                KeyPath.parse(one["key"]),
            )
            for one in manifest["produces"]
        }  # fmt: skip
        self._publisher = Publisher(
            Intake(lambda tenant, type_: feeds.get(type_)), log, wall_ms=Clock(),
            clock=asyncio.get_running_loop().time,
        )  # fmt: skip
        self.repeats = 0

    async def publish(self, tenant: str, events: Sequence[FeedEvent]) -> list[str]:
        envelopes = [envelope_from_proto(event_to_proto(one)) for one in events]
        for answer in await self._publisher.publish(tenant, envelopes):
            assert isinstance(answer, Appended), answer
            self.repeats += answer.duplicate
        return await super().publish(tenant, events)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SqliteFeedLog]:
    database = await Database.open(tmp_path / "sharing.db", [SCHEMA])
    yield SqliteFeedLog(database, wall_ms=Clock())
    await database.close()


async def write(unit: ApplicationUnit, number: int) -> None:
    await unit.conversations.SendMessage(
        pb.SendMessageRequest(
            conversation=TALK, id=number.to_bytes(16, "big"), content=pb.Content(text="hello"),
            members=sorted(APPLICATIONS),
        ),
        unit.by_ticket("anna"),
    )  # fmt: skip


def heard(records: Sequence[Record]) -> list[tuple[str, str]]:
    """(application, message) of each event, sorted."""
    events = [one.event() for one in records]
    return sorted((one.data["application"], one.data["message"]) for one in events)


async def test_each_of_two_applications_hears_of_a_message_and_once(
    tmp_path: Path, log: SqliteFeedLog
) -> None:
    sharing = SharingWithLog(log)
    sharing.kept_though_failing = True
    sharing.failing = [Unavailable("the answer was lost") for _ in range(3)]
    async with application_unit(tmp_path / "u", sharing) as unit:
        await unit.enter("anna", *APPLICATIONS)
        await write(unit, 1)
        await write(unit, 2)

        async def published() -> bool:
            return len(await read_all(log, TENANT)) >= 4 and not sharing.failing

        await until(published)
    assert sharing.repeats > 0
    assert heard(await read_all(log, TENANT)) == [
        (application, f"{message:032x}") for application in ("coffee", "tea") for message in (1, 2)
    ]
