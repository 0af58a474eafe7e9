"""Hooks are asked once for each place, within bounds, and the policy says what holds without."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

from provisioner.placement.attributes import with_attributes
from provisioner.placement.choice import NoChoice
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.hook_candidates import HookCandidates
from provisioner.placement.hooks import HookUse, ToldOfClient
from provisioner.placement.policy_chooser import PolicyChooser
from provisioner.placement_hooks.asked_hook import WAITING, AskedHook, QuestionOutcome
from provisioner.placement_hooks.circuit_breaker import CircuitBreaker
from provisioner.placement_hooks.hooked_policies import HookedPolicies
from tests.support.fakes.placement_hook import FakeHook
from tests.support.fleets import at, fleet, occupied, only
from tests.support.supervision import FailFast

IRELAND = at(53.0, -6.0, country="IE", continent="EU")
KENYA = at(-1.3, 36.8, country="KE", continent="AF")
NAMES = ("dublin", "frankfurt", "virginia")
UNITS = fleet(*NAMES)
AT_ONCE = 2


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def key_of(client="a", tenant="t", **attributes):
    return with_attributes(f"assignments/{tenant}/{client}".encode(), attributes)


class Asking:
    """One policy with one hook, over three units; time goes on when a test says so."""

    def __init__(self, hook, use, room=(9, 9, 9), tenants=(), **of_policy):
        self.clock = Clock()
        self.hook = hook
        self.occupancy = occupied(list(room), [0.1] * 3)
        self.asked = AskedHook(
            "latency",
            hook,
            tenants=frozenset(tenants),
            at_once=AT_ONCE,
            clock=self.clock,
            breaker=CircuitBreaker(failures=3, rest_s=2.0),
        )
        self.policy = PlacementPolicy(hook=use, **of_policy)
        self.policies = HookedPolicies(
            self.policy,
            {"latency": self.asked},
            supervisor=FailFast(),
            clock=self.clock,
            groups_of=lambda tenant, key: ["staff", "gov"] if key.endswith(b"/gov-1") else [],
            most_answers=50,
        )
        self.candidates = HookCandidates(UNITS, self.occupancy)
        self.chooser = PolicyChooser(UNITS, self.policies, self.occupancy)

    def begin(self, client="a", where=IRELAND, tenant="t", **attributes):
        key = key_of(client, tenant, **attributes)
        return self.policies.ask(tenant, where, key, self.candidates)

    async def place(self, client="a", where=IRELAND, tenant="t", **attributes):
        """As a server does it: the hook first."""
        if (asked := self.begin(client, where, tenant, **attributes)) is not None:
            await asked
        found = self.chooser.choose(where, tenant, key_of(client, tenant, **attributes))
        return found if isinstance(found, NoChoice) else (NAMES[found.unit_index], found.rule)


@asynccontextmanager
async def asking(hook, *, use=None, **given):
    made = Asking(hook, use or HookUse(name="latency", keep_s=30.0), **given)
    running = asyncio.create_task(made.policies.run())
    await asyncio.sleep(0)
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_what_a_hook_says_counts_for_all_clients_of_a_place_and_for_a_while():
    async with asking(FakeHook("virginia")) as made:
        assert await made.place("a") == ("virginia", "hook")
        assert await made.place("b") == ("virginia", "hook")
        assert len(made.hook.asked) == 1
        assert made.hook.asked[0].client_id == ""
        assert await made.place("a", KENYA) == ("virginia", "hook")
        assert len(made.hook.asked) == 2
        made.clock.now += 30.0
        made.hook.order = ("frankfurt",)
        assert await made.place("a") == ("frankfurt", "hook")


async def test_where_each_client_is_asked_about_none_gets_the_answer_of_another():
    use = HookUse(name="latency", by_client=True)
    async with asking(FakeHook("virginia"), use=use) as made:
        assert await made.place("a") == ("virginia", "hook")
        made.hook.order = ("frankfurt",)
        assert await made.place("b") == ("frankfurt", "hook")
        assert await made.place("a") == ("virginia", "hook")
        assert [one.client_id for one in made.hook.asked] == ["a", "b"]


async def test_a_hook_is_told_the_attributes_that_the_policy_names_and_no_others():
    use = HookUse(name="latency", attributes=frozenset({"plan", "ring"}))
    async with asking(FakeHook("virginia"), use=use) as made:
        assert await made.place(plan="pro", secret="x") == ("virginia", "hook")
        assert made.hook.asked[0].told == ToldOfClient(attributes=(("plan", "pro"),))
        said = made.policies.said("t", IRELAND, key_of(plan="pro", secret="x"))
        assert said.told.attributes == (("plan", "pro"),)
        assert said.answer is not None
    async with asking(FakeHook("virginia")) as made:
        await made.place(plan="pro")
        assert made.hook.asked[0].told == ToldOfClient()


async def test_an_answer_counts_for_those_of_whom_the_same_was_told():
    use = HookUse(name="latency", attributes=frozenset({"plan"}))
    async with asking(FakeHook("virginia"), use=use) as made:
        assert await made.place("a", plan="pro") == ("virginia", "hook")
        made.hook.order = ("frankfurt",)
        assert await made.place("b", plan="free") == ("frankfurt", "hook")
        assert await made.place("c") == ("frankfurt", "hook")
        assert await made.place("d", plan="pro", other="y") == ("virginia", "hook")
        assert len(made.hook.asked) == 3


async def test_it_is_told_groups_that_the_policy_names():
    use = HookUse(name="latency", groups=frozenset({"gov", "other"}))
    async with asking(FakeHook("virginia"), use=use) as made:
        assert await made.place("gov-1") == ("virginia", "hook")
        made.hook.order = ("frankfurt",)
        assert await made.place("anna") == ("frankfurt", "hook")
        assert await made.place("ben") == ("frankfurt", "hook")
        assert [one.told.groups for one in made.hook.asked] == [("gov",), ()]


async def test_a_client_of_whom_something_else_is_told_is_asked_about_anew():
    use = HookUse(name="latency", by_client=True, attributes=frozenset({"plan"}))
    async with asking(FakeHook("virginia"), use=use) as made:
        assert await made.place("a", plan="pro") == ("virginia", "hook")
        made.hook.order = ("frankfurt",)
        assert await made.place("a", plan="free") == ("frankfurt", "hook")
        assert await made.place("a", plan="pro") == ("virginia", "hook")


async def test_it_is_asked_about_units_that_constraints_leave_those_with_room_first():
    use = HookUse(name="latency", units=2)
    europe = only("eu", continents=["EU"])
    async with asking(FakeHook("frankfurt"), use=use, room=(0, 9, 9), **europe) as made:
        assert await made.place() == ("frankfurt", "hook")
        assert [one.unit for one in made.hook.asked[0].candidates] == ["frankfurt", "dublin"]
        assert round(made.hook.asked[0].candidates[0].distance_km) == 1_064


async def test_clients_that_come_at_once_wait_for_one_answer():
    async with asking(FakeHook("virginia")) as made:
        made.hook.open.clear()
        waiting = [made.begin(f"c{n}") for n in range(20)]
        assert len(set(map(id, waiting))) == 1
        made.hook.open.set()
        await waiting[0]
        assert len(made.hook.asked) == 1


async def test_a_hook_that_hangs_costs_its_deadline_and_the_policy_goes_on():
    use = HookUse(name="latency", deadline_ms=20)
    async with asking(FakeHook("virginia"), use=use) as made:
        made.hook.open.clear()
        assert await made.place() == ("dublin", "nearest")
        assert made.asked.outcomes == {QuestionOutcome.LATE: 1}
        # Who comes right after does not wait as well.
        assert made.begin("b") is None


async def test_where_the_policy_refuses_without_it_nobody_is_placed():
    use = HookUse(name="latency", away="refuse")
    async with asking(FakeHook("virginia"), use=use) as made:
        made.hook.down = True
        found = await made.place()
        assert found.rules == ("unanswered:hook:latency",)
        made.clock.now += 1.0
        made.hook.down = False
        assert await made.place() == ("virginia", "hook")


async def test_a_hook_that_fails_is_left_alone_and_then_tried_again():
    async with asking(FakeHook("virginia")) as made:
        made.hook.down = True
        for n in range(6):
            assert await made.place(where=at(50.0, float(n))) == await made.place(
                where=at(50.0, float(n))
            )
        assert len(made.hook.asked) == 3
        assert made.asked.outcomes == {QuestionOutcome.FAILED: 3, QuestionOutcome.RESTING: 3}
        made.clock.now += 2.0
        made.hook.down = False
        assert await made.place() == ("virginia", "hook")


async def test_an_answer_about_other_units_does_not_count():
    async with asking(FakeHook("virginia", "atlantis")) as made:
        assert await made.place() == ("dublin", "nearest")
        assert made.asked.outcomes == {QuestionOutcome.FAULTY: 1}


async def test_so_many_are_asked_at_once_and_so_many_wait():
    async with asking(FakeHook("virginia"), use=HookUse(name="latency", deadline_ms=2_000)) as made:
        made.hook.open.clear()
        places = [at(50.0, float(n)) for n in range(AT_ONCE * (1 + WAITING) + 5)]
        waiting = [made.begin(where=where) for where in places]
        while made.asked.outcomes[QuestionOutcome.BUSY] < 5:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert made.hook.most_at_once == AT_ONCE
        made.hook.open.set()
        await asyncio.gather(*waiting)
        assert made.hook.most_at_once == AT_ONCE
        assert made.asked.outcomes[QuestionOutcome.ANSWERED] == AT_ONCE * (1 + WAITING)


async def test_who_gives_up_waiting_leaves_the_answer_to_others():
    async with asking(FakeHook("virginia")) as made:
        made.hook.open.clear()
        await asyncio.wait([made.begin()], timeout=0)
        made.hook.open.set()
        assert await made.place() == ("virginia", "hook")


async def test_a_tenant_whose_policy_may_not_name_it_has_it_not_asked():
    async with asking(FakeHook("virginia"), tenants=["bank"]) as made:
        assert await made.place(tenant="t") == ("dublin", "nearest")
        assert await made.place(tenant="bank") == ("virginia", "hook")
        assert [one.tenant for one in made.hook.asked] == ["bank"]


async def test_a_hook_that_no_file_names_gives_no_answer():
    use = HookUse(name="other", away="refuse")
    async with asking(FakeHook("virginia"), use=use) as made:
        assert (await made.place()).rules == ("unanswered:hook:other",)
        assert made.hook.asked == []


async def test_where_no_unit_may_take_the_client_nobody_is_asked_and_the_rules_are_told():
    use = HookUse(name="latency", away="refuse")
    async with asking(FakeHook("virginia"), use=use, **only("moon", units=["moon"])) as made:
        assert (await made.place()).rules == ("moon",)
        assert made.hook.asked == []


async def test_where_all_that_it_left_are_full_it_is_asked_about_others():
    use = HookUse(name="latency", away="refuse", units=1)
    async with asking(FakeHook("dublin"), use=use) as made:
        assert await made.place() == ("dublin", "hook")
        made.occupancy.update(0, 0, 1.0)
        assert (await made.place()).allowed == ("dublin",)
        made.clock.now += 1.0
        made.policies.forget_full("t", IRELAND, b"assignments/t/a")
        made.hook.order = ("frankfurt",)
        assert await made.place() == ("frankfurt", "hook")


async def test_answers_are_kept_within_bounds():
    async with asking(FakeHook("virginia")) as made:
        for n in range(60):
            await made.place(where=at(50.0, float(n)))
        assert made.policies.answers == 50
