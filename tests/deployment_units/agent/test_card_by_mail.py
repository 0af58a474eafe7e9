"""A card that an agent sends by mail, over real sockets: whoever opens its links changes nothing, a
press on the page counts once, and in the client it is pressed already."""

from __future__ import annotations

import asyncio
import email
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import policy
from pathlib import Path

import aiohttp
import grpc
import pytest

from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_uri
from control_plane.identity.introductions import IntroductionIssuer
from deployment_units.agent.keeping import PARTS
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.wiring import ServingUnits, run_agents
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.contacts import book
from deployment_units.services.profiles import kept as profiles
from deployment_units.services.profiles.profile import Mode
from deployment_units.services.state.database import UnitDatabase
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc
from tests.support.agent_processes import fake_fleet
from tests.support.cards import document_of, submit, text_block
from tests.support.fakes.smtp_relay import SmtpRelay

WAIT_S = 60.0
CARD = document_of(text_block("Your order"), actions=[submit("Return", id="return")])
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Of a unit where anna lives, who wants mail at an address of hers."""
    database = UnitDatabase(tmp_path / "u", PARTS, monotonic=time.monotonic)
    accounts = Accounts(database, wall_ms=lambda: 1)

    def furnish(db: sqlite3.Connection, owner: int) -> None:
        address = read_uri("mailto:anna@mail.example")
        assert isinstance(address, Identifier)
        profiles.add_identifier(db, owner, address, "")
        db.execute("UPDATE identifiers SET proved_ms = 1 WHERE owner = ?", (owner,))
        profiles.set_preferred(db, owner, [Mode.MAIL])
        book.change(db, owner, add=["roastery"], remove=[], now_ms=1)

    await accounts.change(Resident(tenant="default", account="anna", epoch=1), furnish)
    await database.close()
    return tmp_path


@asynccontextmanager
async def running(settings: AgentSettings) -> AsyncIterator[ServingUnits]:
    stop, ready = asyncio.Event(), asyncio.Future[ServingUnits]()
    agents = asyncio.create_task(run_agents(settings, stop=stop, on_ready=ready.set_result))
    try:
        async with asyncio.timeout(WAIT_S):
            yield await ready
    finally:
        stop.set()
        await asyncio.wait_for(agents, WAIT_S)


async def test_a_press_by_mail_counts_once_and_scanners_press_nothing(folder: Path) -> None:
    fleet = fake_fleet()
    async with fleet.serving() as server, SmtpRelay() as relay:
        settings = AgentSettings(
            unit="u", server=server, state_dir=folder, accounts=True,
            mail_domain="talk.example", mail_relay=f"127.0.0.1:{relay.address[1]}",
            http_listen="127.0.0.1:0", web_url="https://{unit}.talk.example",
        )  # fmt: skip
        async with (
            running(settings) as units,
            grpc.aio.insecure_channel(units.endpoints["u"]) as channel,
            aiohttp.ClientSession(f"http://{units.web['u']}") as reader,
        ):
            stub = conversation_pb2_grpc.ConversationServiceStub(channel)
            introduction = IntroductionIssuer(fleet.issuer).make(
                "u", "default", "anna", 1, time.time(), viewer="roastery"
            )
            await stub.Deliver(
                pb.DeliverRequest(
                    conversation=b"c" * 16, id=b"1" * 16, members=["anna"],
                    content=pb.Content(text="Your order is there", card=json.dumps(CARD)),
                ),
                metadata=(("authorization", f"Bearer {introduction}"),),
            )  # fmt: skip
            await relay.taken.wait()
            ((to, raw),) = relay.messages
            assert to == "anna@mail.example"
            mail = email.message_from_bytes(raw, policy=policy.default)
            parts = {one.get_content_type(): one.get_content() for one in mail.iter_parts()}
            links = {
                kind: re.findall(r"https://u\.talk\.example(/a/[\w-]+)", part)
                for kind, part in parts.items()
            }
            (path,) = links["text/plain"]
            assert links["text/html"] == [path]
            ticket = fleet.issuer.issue("u", "default", "anna", 1, time.time(), 600)
            shown = (("authorization", f"Bearer {ticket}"),)

            async def presses() -> list[pb.Press]:
                asked = pb.GetMessageRequest(id=b"1" * 16)
                return list((await stub.GetMessage(asked, metadata=shown)).message.presses)

            for verb in ("GET", "HEAD", "GET", "GET"):
                async with reader.request(verb, path) as page:
                    assert page.status == 200
            assert await presses() == []
            for _ in range(2):
                async with reader.post(path, data="", headers=FORM) as page:
                    assert (page.status, "Pressed" in await page.text()) == (200, True)
            (press,) = await presses()
            clicked = await stub.Click(
                pb.ClickRequest(message=b"1" * 16, action="return", press=b"2" * 16),
                metadata=shown,
            )
            assert clicked.press == press.id  # that one counts
            assert [one.id for one in await presses()] == [press.id]
