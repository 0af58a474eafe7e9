"""Chapter 8: Anna's laptop, the browsers on it, and the tablet behind the same address."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from console.cli.calls.devices import DeviceCalls
from console.cli.failure import CommandFailed
from console.demo.directory.demo_stack import TENANT, DemoStack
from console.demo.directory.story import Story

SITE = "talk.example"
LAPTOP_S, TABLET_S = 3 * 86_400 + 4_711, 5 * 3_600 + 17  # for how long they have run
REACH = "PURPOSE_REACH"


def recognise(story: Story, stack: DemoStack) -> None:
    """Tells it."""
    laptop, tablet = (time.monotonic() - up_s for up_s in (LAPTOP_S, TABLET_S))
    first, second = (f"browser-{uuid.uuid4().hex[:16]}" for _ in range(2))
    observe(stack, first, laptop)
    with DeviceCalls.at(stack.target, stack.client.provision("anna")) as calls:
        story.check("before she agrees nothing is kept of her devices", [], kept(calls))
        calls.consent(given=True)
    report(stack, "laptop", laptop)
    report(stack, "tablet", tablet)
    before = active(stack)
    observe(stack, second, laptop)
    with DeviceCalls.at(stack.target, stack.client.provision("anna")) as calls:
        story.check(
            "two browsers, one seen before her app said that it is here and one after: both are on "
            "her [bold]laptop[/], none on the tablet behind the same address",
            [["laptop", sorted(f"{SITE}/{one}" for one in (first, second))], ["tablet", []]],
            kept(calls),
        )
        said = calls.explain(f"{SITE}/{second}")
        story.tell(f"  [dim]{said.why}[/]")
        story.check(
            "she is active in the second one: messages go to her client first",
            [False, True],
            [before, active(stack)],
        )
        calls.unlink(f"{SITE}/{first}", "laptop")
        observe(stack, first, laptop)
        story.check(
            "the one that she took back does not come again",
            [["laptop", [f"{SITE}/{second}"]], ["tablet", []]],
            kept(calls),
        )
        calls.consent(given=False)
        observe(stack, second, laptop)
        story.check(
            "she agrees no more: the edges are gone, and the choice of a channel does without",
            [[["laptop", []], ["tablet", []]], False],
            [kept(calls), active(stack)],
        )
        erased = calls.erase()
        story.check("and she has the rest erased", [], kept(calls))
    story.figure("rows_erased", erased)


def kept(calls: DeviceCalls) -> list[list[Any]]:
    """Devices, with the browsers that are on them."""
    return [
        [one.device, sorted(edge.browser for edge in one.browsers)] for one in calls.map().devices
    ]


def active(stack: DemoStack) -> bool:
    """Whether a message to her would go to a client because somebody is there."""
    with stack.deliveries("anna") as calls:
        return any(one.rule == "active" for one in calls.explain("ben").why)


def report(stack: DemoStack, device: str, booted_s: float) -> None:
    """What the app on a device of hers says. booted_s: when, on the monotonic clock."""
    home = stack.client.provision("anna")
    request = {"device": device, "uptime": uptime(booted_s)}
    _post(stack, home.unit_id, "ReportDevice", request, {"authorization": f"Bearer {home.ticket}"})


def observe(stack: DemoStack, browser: str, booted_s: float) -> None:
    """What a page says of a browser, whose user agreed, on a device that booted then."""
    request = {
        "tenant": TENANT, "site": SITE, "browser": browser, "purpose": REACH,
        "uptime": uptime(booted_s),
    }  # fmt: skip
    _post(stack, stack.client.provision("anna").unit_id, "Observe", request, {})


def uptime(booted_s: float) -> str:
    """As JSON has a Duration."""
    return f"{time.monotonic() - booted_s:.3f}s"


def _post(
    stack: DemoStack, unit: str, method: str, request: object, headers: Mapping[str, str]
) -> None:
    """Raises CommandFailed."""
    status, said = stack.call(unit, f"/api/DeviceService/{method}", json.dumps(request), headers)
    if status != 200:
        raise CommandFailed(f"{method}: {status} {said}")
