"""Chapter 1: Anna has a home and a handle; who looks like her has none; sixteen race for one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from console.cli.markup import escape
from console.demo.directory.demo_stack import LONDON, STOCKHOLM, DemoStack
from console.demo.directory.story import Story
from homeport import ClientAt, errors

RACERS = 16
# What Mallory tries, what is wrong with it, and the reason that is told.
LOOK_ALIKES = (
    ("@\u0430nna", "its first letter is Cyrillic", "INVALID_INPUT"),
    ("@anna.", "a dot at its end", "INVALID_INPUT"),
    ("@ANNA", "capitals", "TAKEN"),
)


def sign_up(story: Story, stack: DemoStack) -> str:
    """Tells it; the account of the Ben who won."""
    anna = stack.client.provision("anna", address=LONDON)
    story.check("Anna signs up from London: at home in [bold]eu-west[/]", "eu-west", anna.unit_id)
    with stack.person("anna") as person:
        story.check("she claims [bold]@anna[/] there", "anna", person.claim("@anna"))
    stack.client.provision("mallory", address=LONDON)
    for handle, what, expected in LOOK_ALIKES:
        reason, words = refusal(stack, "mallory", handle)
        claim = f"Mallory tries [bold]{escape(handle)}[/] ({what}): refused, {expected}"
        story.check(claim, expected, reason)
        story.tell(f"  [dim]{escape(words)}[/]")
    ben = race(story, stack)
    home = stack.client.provision(ben)
    story.check("Ben signed up from Stockholm: [bold]eu-north[/]", "eu-north", home.unit_id)
    return ben


def refusal(stack: DemoStack, account: str, handle: str) -> tuple[str, str]:
    """Why an account cannot have a handle: the reason, and the words. ("", "") where it has it."""
    with stack.person(account) as person:
        try:
            person.claim(handle)
        except errors.HomeportError as error:
            return error.reason or str(error.code), error.message
    return "", ""


def race(story: Story, stack: DemoStack) -> str:
    """Sixteen accounts claim @ben at the same moment; the one that has it."""
    accounts = [f"ben-{number:02}" for number in range(1, RACERS + 1)]
    given = stack.client.provision_many(
        ClientAt(client_id=account, address=STOCKHOLM) for account in accounts
    )
    homes = sum(1 for one in given if one.assignment is not None)
    story.check(f"{RACERS} sign-ups from Stockholm each have a home", RACERS, homes)
    line = threading.Barrier(RACERS)

    def claim(account: str) -> str:
        with stack.person(account) as person:
            person.settings()  # the connection is there before the race begins
            line.wait(timeout=30)
            try:
                person.claim("@ben")
            except errors.HomeportError as error:
                return error.reason
        return "HAS_IT"

    with ThreadPoolExecutor(RACERS) as threads:
        outcomes = dict(zip(accounts, threads.map(claim, accounts), strict=True))
    counted = {why: list(outcomes.values()).count(why) for why in sorted(set(outcomes.values()))}
    story.check(
        f"they race for [bold]@ben[/]: one has it, {RACERS - 1} are told TAKEN",
        {"HAS_IT": 1, "TAKEN": RACERS - 1},
        counted,
    )
    (winner,) = (account for account, why in outcomes.items() if why == "HAS_IT")
    with stack.directory() as calls:
        found = [one.account for one in calls.resolve("@ben", fresh=True).residences]
    story.check(f"and whoever looks up @ben finds {winner}", [winner], found)
    story.figure("racers", RACERS)
    return winner
