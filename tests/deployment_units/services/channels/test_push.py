"""Push through apprise: which addresses it takes, and what is said of a notice."""

from __future__ import annotations

import threading

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.channels.port import SendOutcome
from deployment_units.services.channels.push import (
    OFFERED,
    Notified,
    Push,
    by_apprise,
    checked_address,
    read_allowed,
)
from tests.support.contracts.outgoing_channel_contract import outgoing
from tests.support.fakes.push_service import PushService

ALLOWED = read_allowed("ntfys=ntfy.talk.example, ntfy=127.0.0.1, gotifys=*")

# Each schema that is offered, an address of it that apprise reads, and one that it does not.
SCHEMAS = [
    ("gotifys", "gotifys://push.example/A1b2C3d4E5f6G7h", None),
    ("ntfys", "ntfys://push.example/anna", None),
    ("mmosts", "mmosts://push.example/3ccdd113474722377935511fc85d3dd4", None),
    ("rockets", "rockets://ben:secret@push.example/channel", "rockets://push.example/channel"),
    ("nctalks", "nctalks://ben:secret@push.example/room1", None),
    ("gotify", "gotify://push.example/A1b2C3d4E5f6G7h", None),
    ("ntfy", "ntfy://push.example/anna", None),
]


def test_the_table_has_each_schema_that_is_offered() -> None:
    assert [schema for schema, _, _ in SCHEMAS] == list(OFFERED)


@pytest.mark.parametrize(
    "places", ["mine/theirs", "mine%2Ctheirs", "mine,theirs"], ids=["slash", "written", "comma"]
)
def test_an_address_of_two_places_is_none(places: str) -> None:
    """The code would come back from either, and prove both."""
    with pytest.raises(ValueError, match="more than one place"):
        by_apprise(f"ntfys://ntfy.talk.example/{places}", "t", "x", 1.0)


@pytest.mark.parametrize(("schema", "good", "bad"), SCHEMAS, ids=[one[0] for one in SCHEMAS])
def test_each_schema_reads_its_addresses_and_refuses_others(
    schema: str, good: str, bad: str | None
) -> None:
    import apprise

    allowed = read_allowed(f"{schema}=push.example")
    target = apprise.Apprise.instantiate(checked_address(good, allowed))
    assert target is not None
    assert "push.example" in target.url()
    with pytest.raises(InvalidInput, match="nothing is behind its host"):
        checked_address(f"{schema}://push.example/", allowed)
    if bad is not None:
        with pytest.raises(ValueError, match="it is not as"):
            by_apprise(checked_address(bad, allowed), "t", "x", 1.0)


@pytest.mark.parametrize(
    "address",
    [
        "ntfys://ntfy.sh/anna",  # another host
        "ntfys://ntfy.talk.example.evil.example/anna",
        "ntfys://evil.example\\@ntfy.talk.example/anna",
        "ntfys://ntfy.talk.example@evil.example/anna",
        "mailto://push.example/anna",  # not offered
        "json://127.0.0.1/x", "file:///etc/passwd", "NTFYS://ntfy.talk.example/anna",
        "tel:+442079460018", "", "ntfys://", "ntfys://[::1/anna", "ntfys:///anna",
        "ntfys://ntfy.talk.example/anna?click=https://evil.example",
        "ntfys://ntfy.talk.example/anna#x", "ntfys://ntfy.talk.example/a b\n",
        "ntfys://ntfy.talk.example/" + "a" * 1_000,
        "ntfys://ntfy.talk.example",  # apprise takes this as a topic of another host
    ],
)  # fmt: skip
def test_addresses_that_no_operator_listed_are_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="address"):
        checked_address(address, ALLOWED)


@pytest.mark.parametrize("text", ["slack=x", "ntfys", "ntfys=", "ntfys=a b", "=x"])
def test_what_an_operator_lists_is_a_schema_and_a_host(text: str) -> None:
    with pytest.raises(InvalidInput, match="push"):
        read_allowed(text)


def test_an_operator_may_list_several_hosts_of_a_schema() -> None:
    found = read_allowed("ntfys=a.example,ntfys=B.example, gotifys=*,")
    assert found == {"ntfys": {"a.example", "b.example"}, "gotifys": {"*"}}


async def test_a_notice_arrives_and_no_more_is_claimed() -> None:
    async with PushService() as service:
        push = Push(ALLOWED)
        message = outgoing(f"ntfy://127.0.0.1:{service.port}/anna", text="Coming?")
        result = await push.send(message, within_s=20)
        push.close()
    assert result.outcome is SendOutcome.HANDED_OVER
    assert len(service.notices) == 1
    assert "Coming?" in service.notices[0][1]


async def test_nobody_is_followed_elsewhere() -> None:
    async with (
        PushService() as other,
        PushService(moves_to=f"http://127.0.0.1:{other.port}/x") as service,
    ):
        push = Push(ALLOWED)
        address = f"ntfy://127.0.0.1:{service.port}/anna"
        result = await push.send(outgoing(address), within_s=20)
        push.close()
    assert result.outcome is SendOutcome.REFUSED
    assert other.notices == []


async def test_a_service_that_says_nothing_is_given_up() -> None:
    let_go = threading.Event()

    def never(address: str, title: str, text: str, ask_s: float) -> Notified:
        let_go.wait(30)
        return Notified(True)

    push = Push(ALLOWED, notify=never)
    try:
        result = await push.send(outgoing("ntfys://ntfy.talk.example/a"), within_s=0.05)
    finally:
        let_go.set()
        push.close()
    assert result.outcome is SendOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("allowed", "up"),
    [
        ("ntfys=ntfy.talk.example", False),
        ("ntfys=ntfy.talk.example,ntfys=other.example", None),
        ("ntfys=*", None),
    ],
    ids=["one service", "several services", "anybody's"],
)
async def test_a_service_that_fails_says_nothing_of_others(allowed: str, up: bool | None) -> None:
    said = [Notified(True), Notified(False, 403), Notified(False, 503), Notified(False)]
    found = []
    for one in said:
        push = Push(read_allowed(allowed), notify=lambda *_, one=one: one)
        result = await push.send(outgoing("ntfys://ntfy.talk.example/a"), within_s=5)
        push.close()
        found.append(result.channel_up)
    assert found == [True, True, up, up]


async def test_what_a_plugin_raises_is_no_defect_of_the_unit() -> None:
    def fails(address: str, title: str, text: str, ask_s: float) -> Notified:
        raise KeyError(address)

    push = Push(ALLOWED, notify=fails)
    result = await push.send(outgoing("ntfys://ntfy.talk.example/secret"), within_s=5)
    push.close()
    assert result == (SendOutcome.UNKNOWN, "the push failed: KeyError", None)
