"""Push addresses: which are taken, how they are proved, and that what is secret of them stays."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import Exhausted, InvalidInput, NotFound, ServiceError, Unavailable
from deployment_units.services.channels import push_kept
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import OutgoingChannel
from deployment_units.services.channels.push import Push, read_allowed
from deployment_units.services.channels.push_service import (
    CODES,
    TO_ADDRESS,
    PushRefused,
    PushService,
    WrongCode,
)
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import push_pb2 as pb
from tests.support.account_units import TENANT, AccountUnit, account_unit
from tests.support.fakes import push_service
from tests.support.fakes.scripted_channel import LATER, NEVER, SILENT, TAKEN, ScriptedChannel

ALLOWED = read_allowed("ntfys=ntfy.talk.example, ntfy=127.0.0.1")
TOPIC = "ntfys://ntfy.talk.example/a-topic-nobody-guesses"
SHOWN = "ntfys://ntfy.talk.example/…"


def pushing(unit: AccountUnit, channel: OutgoingChannel | None) -> PushService:
    ids, codes = itertools.count(1), itertools.count(12_345_678)
    return PushService(
        unit.accounts, unit.callers, ALLOWED, channel,
        new_id=lambda: f"{next(ids):08x}", new_code=lambda: f"{next(codes):08}",
        wall_ms=unit.wall_ms, clock=lambda: unit.now,
    )  # fmt: skip


def scripted(*answers: Any) -> ScriptedChannel:
    return ScriptedChannel(Channel.PUSH, *(answers or (TAKEN,)))


async def add(service: PushService, unit: AccountUnit, address: str = TOPIC, **more: Any) -> Any:
    request = pb.AddPushAddressRequest(address=address, **more)
    return await service.AddPushAddress(request, unit.by_ticket("anna"))


async def confirm(service: PushService, unit: AccountUnit, id: str, code: str) -> Any:
    request = pb.ConfirmPushAddressRequest(id=id, code=code)
    return await service.ConfirmPushAddress(request, unit.by_ticket("anna"))


async def listed(service: PushService, unit: AccountUnit, who: str = "anna") -> list[Any]:
    request = pb.ListPushAddressesRequest()
    return list((await service.ListPushAddresses(request, unit.by_ticket(who))).addresses)


def code_in(channel: ScriptedChannel) -> str:
    found = re.search(r"code is (\d{4} \d{4})", channel.sent[-1].text)
    assert found is not None
    return found[1]


async def test_an_address_is_its_owners_once_the_code_has_come_back(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        channel = scripted()
        service = pushing(unit, channel)
        added = await add(service, unit, label="phone")
        assert (added.address.shown, added.address.label) == (SHOWN, "phone")
        assert added.HasField("expire_time")
        assert not added.address.HasField("prove_time")
        assert channel.sent[0].address == TOPIC
        for _ in range(2):  # also where the answer was not heard
            done = await confirm(service, unit, added.address.id, code_in(channel))
            assert done.address.HasField("prove_time")
        again = await add(service, unit, label="telephone")
        assert not again.HasField("expire_time")
        (kept,) = await listed(service, unit)
        assert (kept.id, kept.label) == (added.address.id, "telephone")
        assert len(channel.sent) == 1
        assert await listed(service, unit, "ben") == []
        for _ in range(2):
            remove = pb.RemovePushAddressRequest(id=kept.id)
            await service.RemovePushAddress(remove, unit.by_ticket("anna"))
        assert await listed(service, unit) == []


async def test_tries_are_counted_and_codes_end(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        channel = scripted()
        service = pushing(unit, channel)
        id = (await add(service, unit)).address.id
        for left in range(push_kept.TRIES - 1, -1, -1):
            with pytest.raises(WrongCode, match=f"{left or 'no'} more tries"):
                await confirm(service, unit, id, "00000000")
        with pytest.raises(WrongCode):
            await confirm(service, unit, id, code_in(channel))
        await add(service, unit)  # another code
        unit.now += push_kept.CODE_MS / 1_000
        with pytest.raises(WrongCode):
            await confirm(service, unit, id, code_in(channel))
        await add(service, unit)
        assert (await confirm(service, unit, id, code_in(channel))).address.HasField("prove_time")
        with pytest.raises(NotFound):
            await confirm(service, unit, "ffff", "00000000")


@pytest.mark.parametrize(
    ("answer", "error"), [(NEVER, PushRefused), (LATER, Unavailable), (SILENT, None)]
)
async def test_what_the_service_does_not_take_is_not_added(
    tmp_path: Path, answer: Any, error: type[ServiceError] | None
) -> None:
    async with account_unit(tmp_path) as unit:
        service = pushing(unit, scripted(answer))
        if error is None:  # the code may be there
            await add(service, unit)
        else:
            with pytest.raises(error):
                await add(service, unit)
        assert len(await listed(service, unit)) == (error is None)


async def test_what_no_operator_listed_or_is_too_much_is_refused(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        service = pushing(unit, scripted())
        for address in ("ntfys://ntfy.sh/anna", "mailto://x", "ntfys://ntfy.talk.example", ""):
            with pytest.raises(InvalidInput):
                await add(service, unit, address)
        with pytest.raises(InvalidInput, match="no push service"):
            await add(pushing(unit, None), unit)
        for number in range(push_kept.MOST_ADDRESSES):
            unit.now += 1 / CODES.per_s
            await add(service, unit, f"{TOPIC}-{number}")
        unit.now += 1 / CODES.per_s
        with pytest.raises(push_kept.TooManyPushAddresses):
            await add(service, unit)
        assert len(await listed(service, unit)) == push_kept.MOST_ADDRESSES


async def test_codes_have_a_budget_of_each_account_and_each_address(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        channel = scripted()
        service = pushing(unit, channel)
        request = pb.AddPushAddressRequest(address=TOPIC)
        for _ in range(int(CODES.burst)):
            await service.AddPushAddress(request, unit.by_ticket("mallory"))
        with pytest.raises(Exhausted):
            await service.AddPushAddress(request, unit.by_ticket("mallory"))
        await add(service, unit)  # what one account has used up it keeps from nobody
        sent = len(channel.sent)
        for n in range(int(TO_ADDRESS.burst) - sent):
            await service.AddPushAddress(request, unit.by_ticket(f"mallory-{n}"))
        with pytest.raises(Exhausted):
            await service.AddPushAddress(request, unit.by_ticket("ben"))
        assert len(channel.sent) == int(TO_ADDRESS.burst)
        listing = pb.ListPushAddressesRequest()
        assert not (await service.ListPushAddresses(listing, unit.by_ticket("ben"))).addresses


async def test_addresses_move_with_their_account(tmp_path: Path) -> None:
    async with account_unit(tmp_path / "a") as old, account_unit(tmp_path / "b") as new:
        channel = scripted()
        service = pushing(old, channel)
        id = (await add(service, old)).address.id
        await confirm(service, old, id, code_in(channel))
        state = await read_state(old.state, TENANT, "anna")
        await replace_state(new.state, TENANT, "anna", 2, state)
        found = new.database.read(lambda db: db.execute(
            "SELECT address, proved_ms IS NOT NULL FROM push_addresses"
        ).fetchall())  # fmt: skip
        assert found == [(TOPIC, 1)]


class _Root(logging.Handler):
    """What comes to whoever writes logs: pytest's own listens to loggers that keep to themselves
    as well."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[_Root]:
    caplog.set_level(logging.DEBUG)
    root = _Root()
    logging.getLogger().addHandler(root)
    yield root
    logging.getLogger().removeHandler(root)


async def test_nothing_that_is_told_or_logged_has_what_is_secret(
    tmp_path: Path, logged: _Root
) -> None:
    async with account_unit(tmp_path) as unit, push_service.PushService() as there:
        push = Push(ALLOWED)
        service = pushing(unit, push)
        secret = "a-topic-nobody-guesses"
        address = f"ntfy://127.0.0.1:{there.port}/{secret}"
        said = [str(await add(service, unit, address))]
        there.status = 403
        with pytest.raises(PushRefused) as refused:
            await add(service, unit, f"{address}-2")
        with pytest.raises(InvalidInput) as bad:
            await add(service, unit, f"{address}?x")
        said += [str(refused.value), str(bad.value), str(await listed(service, unit))]
        push.close()
    assert there.notices
    assert secret not in " ".join([*said, logged.text])
