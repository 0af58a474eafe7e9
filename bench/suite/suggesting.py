"""Suggesting identities, in this process: for an account with 10 identities and 5,000 contacts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from bench.suite.measurement import WARM_UP, Measurement, Samples, divisor
from deployment_units.services.identities.choosing import suggest
from deployment_units.services.identities.identity import (
    Chosen,
    Contactee,
    ContacteeIdentifier,
    History,
    OwnIdentity,
    PairUse,
)

SUGGESTED = 10_000  # in a round
OWN = 10
CONTACTS = 5_000
NOW_MS = 1_795_867_200_000
_YEAR_MS = 365 * 86_400_000


def account() -> tuple[list[OwnIdentity], list[Contactee], History]:
    """Its identities, its contacts of two identifiers each, and how they were used together; the
    same each time."""
    rng = random.Random(CONTACTS)
    own = [
        OwnIdentity(uri=f"mailto:anna@org-{number}.example", organisation=f"org-{number}.example")
        for number in range(OWN)
    ]
    contacts, pairs = [], {}
    for number in range(CONTACTS):
        domain = f"org-{rng.randrange(100)}.example"
        identifiers = (
            ContacteeIdentifier(uri=f"@contact-{number}"),
            ContacteeIdentifier(uri=f"mailto:c{number}@{domain}", organisation=domain),
        )
        contacts.append(Contactee(member=f"c-{number}", identifiers=identifiers))
        for one in identifiers:
            some = rng.sample(own, rng.choice((0, 1, 1, 2, 3)))
            pairs[one.uri] = {
                each.uri: PairUse(rank_ms=NOW_MS - rng.randrange(_YEAR_MS), last_ms=NOW_MS)
                for each in some
            }
    return own, contacts, History(pairs={uri: used for uri, used in pairs.items() if used})


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """A message to each contact in turn; of every third one, an identity was chosen before."""
    own, contacts, history = account()
    nothing, chosen = Chosen(), Chosen(contactor=own[-1].uri)
    for number in range(WARM_UP, rounds):
        times = SUGGESTED // divisor(number, quick=quick)
        began = time.perf_counter()
        for place in range(times):
            contactee = contacts[place % CONTACTS]
            picked = nothing if place % 3 else chosen
            suggest(own, (contactee,), history, chosen=picked, now_ms=NOW_MS)
        taken = time.perf_counter() - began
        kept = samples if number != WARM_UP else Samples()
        kept.add("suggest_per_s", times / taken)
        tick()


SUGGESTING = Measurement(
    name="suggesting identities",
    ratios=(),
    units={"suggest_per_s": "suggestions/s"},
    run=measure,
    steps=lambda rounds: rounds + 1,
)
