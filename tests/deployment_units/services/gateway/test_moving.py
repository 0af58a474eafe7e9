"""Accounts that move while their messages are on the way: nothing is lost, nothing comes twice, and
no state says more than was heard. By the units' own streams; what is lost or repeated is drawn.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from control_plane.identity.departures import Departed
from deployment_units.services.accounts.accounts import AccountLeaving
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.gateway.peers import PeerOutcome, PeerResult
from deployment_units.services.gateway.told import MessageTold
from deployment_units.services.state.port import read_state, replace_state
from tests.support.account_units import TENANT
from tests.support.linked_units import LinkedUnit, enter, linked_units

ORDER = ["KEPT", "HANDED_OVER", "DELIVERED", "SEEN"]


async def export(unit: LinkedUnit, account: str) -> bytes:
    """The account is leaving from now on."""
    return await read_state(unit.unit.state, TENANT, account)


async def arrive(account: str, state: bytes, *, old: LinkedUnit, new: LinkedUnit) -> None:
    """It is at home there, and the unit that it left knows."""
    _, epoch = new.directory.homes[account]
    await replace_state(new.unit.state, TENANT, account, epoch + 1, state)
    new.directory.homes[account] = (new.unit.unit_id, epoch + 1)
    await old.unit.state.forget(TENANT, account, epoch)
    departed = Departed(
        epoch=epoch + 1, unit_id=new.unit.unit_id, endpoint="", decided_at=old.unit.now,
        over_at=old.unit.now,
    )  # fmt: skip
    old.unit.verifier.departures.note(TENANT, account, departed)
    # An account without rows is not brought along; it begins with its first change.
    resident = Resident(tenant=TENANT, account=account, epoch=epoch + 1)
    await new.unit.accounts.change(resident, lambda db, owner: None)


def home_of(account: str, units: list[LinkedUnit]) -> LinkedUnit:
    unit_id, _ = units[0].directory.homes[account]
    return next(one for one in units if one.unit.unit_id == unit_id)


async def test_deliveries_go_on_where_their_account_moved(tmp_path: Path) -> None:
    async with linked_units(tmp_path, "london", "oslo", "paris") as units:
        london, oslo, paris = units
        await enter(london, "anna")
        await enter(oslo, "ben")
        endpoint = london.directory.endpoints["oslo"]
        london.directory.endpoints["oslo"] = "127.0.0.1:1"
        await london.send("anna", 1, "on the way", "ben")
        await london.settled()
        state = await export(london, "anna")
        with pytest.raises(AccountLeaving):
            await london.send("anna", 2, "while it leaves")
        await arrive("anna", state, old=london, new=paris)
        london.directory.endpoints["oslo"] = endpoint
        await paris.pass_time(300.0)
        assert await oslo.read("ben") == [("anna", "on the way")]
        assert await paris.deliveries_of("anna", 1) == {"ben": "HANDED_OVER"}
        await oslo.mark_seen("ben", 1)
        await oslo.settled()
        assert await paris.deliveries_of("anna", 1) == {"ben": "SEEN"}


async def test_what_comes_while_an_account_leaves_waits_for_it(tmp_path: Path) -> None:
    async with linked_units(tmp_path, "london", "oslo", "paris") as units:
        london, oslo, paris = units
        await enter(london, "anna")
        await enter(oslo, "ben")
        await london.send("anna", 1, "before", "ben")
        await london.settled()
        state = await export(oslo, "ben")
        await london.send("anna", 2, "meanwhile")
        await london.settled()
        assert await london.deliveries_of("anna", 2) == {"ben": "KEPT"}
        await arrive("ben", state, old=oslo, new=paris)
        await london.pass_time(300.0)
        assert await paris.read("ben") == [("anna", "before"), ("anna", "meanwhile")]


async def test_who_has_moved_is_followed_at_once(tmp_path: Path) -> None:
    async with linked_units(tmp_path, "london", "oslo", "paris") as units:
        london, oslo, paris = units
        await enter(london, "anna")
        await enter(oslo, "ben")
        await london.send("anna", 1, "before", "ben")
        await london.settled()
        await arrive("ben", await export(oslo, "ben"), old=oslo, new=paris)
        await london.send("anna", 2, "after")
        await london.settled()  # by what is remembered of him it would go to oslo
        assert await paris.read("ben") == [("anna", "before"), ("anna", "after")]


class Unreliable:
    """Peers of which calls are lost on the way there, or on the way back, until that is over. What
    is lost is drawn by the call and how often it was made: whatever else happens meanwhile."""

    def __init__(self, unit: LinkedUnit, seed: int) -> None:
        self._seed = seed
        self._deliver, self._tell = unit.peers.deliver, unit.peers.tell
        self._made: Counter[tuple[str, ...]] = Counter()
        self.over = False

    async def deliver(
        self, sender: Resident, recipient: str, message: KeptMessage, members: object
    ) -> PeerResult:
        call = partial(self._deliver, sender, recipient, message, members)  # type: ignore[arg-type]
        return await self._lossy(("deliver", recipient, message.id.hex()), call)

    async def tell(self, teller: Resident, writer: str, told: Sequence[MessageTold]) -> PeerResult:
        call = partial(self._tell, teller, writer, told)
        return await self._lossy(("tell", teller.account, told[0].message.hex()), call)

    async def _lossy(
        self, about: tuple[str, ...], call: Callable[[], Awaitable[PeerResult]]
    ) -> PeerResult:
        self._made[about] += 1
        drawn = random.Random(f"{self._seed} {about} {self._made[about]}").random()
        if drawn < 0.25 and not self.over:
            return PeerResult(PeerOutcome.NOT_NOW, "lost on the way there")
        result = await call()
        if drawn < 0.5 and not self.over:
            return PeerResult(PeerOutcome.NOT_NOW, "lost on the way back")
        if drawn < 0.6 and not self.over:
            raise KeyError("the unit ends here")  # and nothing is noted
        return result


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_or_doubled_whatever_happens(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    people = ["anna", "ben", "carla"]
    lossy: list[Unreliable] = []
    async with linked_units(tmp_path, "london", "oslo") as units:
        for unit in units:
            lossy.append(Unreliable(unit, seed))
            unit.peers.deliver, unit.peers.tell = lossy[-1].deliver, lossy[-1].tell  # type: ignore[method-assign]
        for name in people:
            await enter(rng.choice(units), name)
        sent: list[str] = []
        last: dict[tuple[int, str], int] = {}

        async def check(number: int) -> None:
            """No state ever goes back, and none says seen of what nobody marked."""
            for to, state in (await home_of("anna", units).deliveries_of("anna", number)).items():
                assert ORDER.index(state) >= last.get((number, to), 0)
                last[number, to] = ORDER.index(state)
                if to == "carla":
                    assert state in ("KEPT", "HANDED_OVER")

        leaving: dict[str, tuple[LinkedUnit, bytes]] = {}
        for _ in range(30):
            match rng.choice(["send", "send", "seen", "leave", "arrive", "time"]):
                case "send" if "anna" not in leaving:
                    text = f"message {len(sent) + 1}"
                    for _ in range(rng.randint(1, 2)):  # a client repeats
                        await home_of("anna", units).send(
                            "anna", len(sent) + 1, text, "ben", "carla"
                        )
                    sent.append(text)
                case "seen" if "ben" not in leaving:
                    read = await home_of("ben", units).read("ben")
                    if read:
                        await home_of("ben", units).mark_seen("ben", rng.randint(1, len(read)))
                case "leave" if not leaving:
                    name = rng.choice(people)
                    old = home_of(name, units)
                    leaving[name] = (old, await export(old, name))
                case "arrive" if leaving:
                    name, (old, state) = leaving.popitem()
                    new = next(one for one in units if one is not old)
                    await arrive(name, state, old=old, new=new)
                case _:
                    await units[0].pass_time(rng.uniform(1.0, 400.0))
            if sent and "anna" not in leaving:
                await check(rng.randint(1, len(sent)))
        for name, (old, state) in leaving.items():
            await arrive(name, state, old=old, new=next(one for one in units if one is not old))
        for one in lossy:
            one.over = True
        for _ in range(4):  # a turn takes 64 of an account's
            for unit in units:
                await unit.pass_time(400.0)
        expected = [("anna", text) for text in sent]
        for name in ("ben", "carla"):
            read = await home_of(name, units).read(name) if sent else []
            assert read == expected
        for number in range(1, len(sent) + 1):
            await check(number)
