"""As whom one writes in the web client, in a real browser: what is suggested, that a choice has the
other side presented anew, warnings, and what the recipient sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.browsers import ENTER, Browsers, Window, browsers
from tests.support.own_identifiers import furnish
from tests.support.web_units import WebUnit, web_unit

pytestmark = [pytest.mark.slow]
WORK, PRIVATE = "mailto:anna@northwind.example", "mailto:anna@mail.example"
BEN_WORK, BEN_HOME = "mailto:ben@contoso.example", "mailto:ben@mail.example"


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[WebUnit]:
    async with web_unit(tmp_path / "u", "anna", "ben") as one:
        await furnish(one.unit, "anna", WORK, PRIVATE)
        await furnish(one.unit, "ben", BEN_WORK, BEN_HOME)
        for number, (from_, at) in enumerate(((WORK, BEN_WORK), (PRIVATE, BEN_HOME))):
            before = pb.SendMessageRequest(
                conversation=bytes([number + 1]) * 16, id=bytes([number + 1]) * 16,
                members=["ben"], content=pb.Content(text="before"), from_identifier=from_,
                to_identifiers={"ben": at},
            )  # fmt: skip
            await one.unit.conversations.SendMessage(
                before,
                one.unit.by_ticket("anna"),  # type: ignore[arg-type]
            )
        one.unit.names.known |= {"ben": ["ben"], "@ben": ["ben"], "anna": ["anna"]}
        yield one


@pytest.fixture
async def opened() -> AsyncIterator[Browsers]:
    async with browsers() as one:
        yield one


async def signed_in(window: Window, unit: WebUnit, account: str) -> None:
    await window.go(f"{unit.url}/client/#ticket={unit.ticket(account)}")
    await window.sees(f"signs you in as {account} of talk", "#sign-in-form")
    await window.click("#sign-in-form button")
    await window.until("!document.getElementById('client').hidden")


async def picks(window: Window, name: str, value: str) -> None:
    await window.run(
        "const field = document.querySelector(`#identities select[name=${arguments[0]}]`);"
        "field.value = arguments[1]; field.dispatchEvent(new Event('change'))",
        name,
        value,
    )


async def shows(window: Window, name: str, value: str) -> None:
    await window.until(
        f"document.querySelector('#identities select[name={name}]')?.value === '{value}'"
    )


async def test_each_choice_has_the_other_side_presented_anew(
    unit: WebUnit, opened: Browsers
) -> None:
    async with opened.window() as anna, opened.window() as ben:
        await signed_in(anna, unit, "anna")
        await anna.go(f"{unit.url}/client/#/c/{'AQEBAQEBAQEBAQEBAQEBAQ%3D%3D'}")
        await shows(anna, "from", WORK)
        await shows(anna, "ben", BEN_WORK)
        await picks(anna, "from", PRIVATE)
        await shows(anna, "ben", BEN_HOME)
        await picks(anna, "ben", BEN_WORK)
        await anna.sees("has seen anna@mail.example", "#identities .warning")
        await shows(anna, "from", PRIVATE)  # it was chosen
        await anna.type("#composer-text", f"from home{ENTER}")
        await anna.sees("as anna@mail.example", "#messages .mine")
        assert await anna.complaints() == []

        listed = await unit.unit.conversations.ListMessages(
            pb.ListMessagesRequest(conversation=bytes([1]) * 16),
            unit.unit.by_ticket("ben"),  # type: ignore[arg-type]
        )
        content = listed.messages[-1].content
        assert (content.text, content.from_identifier) == ("from home", PRIVATE)
        assert dict(content.to_identifiers) == {"ben": BEN_WORK}

        await signed_in(ben, unit, "ben")
        await ben.go(f"{unit.url}/client/#/c/{'AQEBAQEBAQEBAQEBAQEBAQ%3D%3D'}")
        await ben.sees("anna@northwind.example", "#messages .name")
        await ben.sees("anna@mail.example", "#messages")
        await shows(ben, "from", BEN_WORK)  # it came to it
