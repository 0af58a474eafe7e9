"""The words that the code has given up stay given up: no module, class or public function of the
packages, the bench or the tests is called by one of them."""

from __future__ import annotations

import pytest

from tests.architecture.source import (
    PACKAGES,
    ROOT,
    Name,
    folder_names,
    names_of,
    parts,
    python_files,
)

# Word by word, wherever it stands in a name; and what is said instead.
WORDS = {
    "alarms": "timer queue",
    "beats": "heartbeats",
    "bounce": "reroute",
    "bounced": "rerouted",
    "burial": "reclaim",
    "buried": "reclaimed",
    "bury": "reclaim",
    "charts": "shard map cache",
    "chore": "exclusive task",
    "chores": "exclusive tasks",
    "cry": "request slots",
    "desk": "provisioner",
    "flights": "in flight",
    "funeral": "reclaim",
    "granting": "reservations",
    "lands": "fleet view",
    "lane": "commit queue",
    "lanes": "commit queues",
    "leash": "die with parent",
    "lookout": "failure detector",
    "manner": "move strategy",
    "noting": "decision records",
    "occasion": "evaluation context",
    "onward": "move on contact",
    "ousted": "lost ownership",
    "patience": "retransmit timer",
    "pictures": "views",
    "planbook": "plan store",
    "rehearsal": "simulator",
    "rulebook": "rule registry",
    "sheet": "write batch",
    "sightings": "hold ages",
    "sky": "fleet view",
    "spanning": "cross cluster transactions",
    "standing": "home state, entry state",
    "starving": "starvation notice",
    "territory": "shard route",
    "traveller": "move request",
    "turnstile": "admission controller",
    "undertaker": "reclaimer",
    "wish": "transition request",
}
# Several words together, or a word that is good English elsewhere: the name as a whole.
CLASSES = {
    "Between": "HeartbeatEvent",
    "Board": "JobStore",
    "Branch": "ClusterLedger",
    "Cells": "RuleStateStore",
    "Contact": "StoreStatus",
    "DepartureBoard": "DepartureFeed",
    "Elsewhere": "Superseded",
    "Flight": "InFlight",
    "Found": "RuleResult",
    "Judging": "ConditionEvaluator",
    "Kept": "NotMoved",
    "LastTicketSink": "FallbackResponder",
    "Line": "Stream",
    "NumberedStore": "ClusterTaggedStore",
    "OperatorDesk": "OperatorActions",
    "OrderDesk": "OrderIssuer",
    "Pace": "RateLimiter",
    "PlatformLine": "PlatformConnection",
    "ProvisionClaim": "PendingProvision",
    "Relocation": "MoveOperation",
    "Spread": "ClusterSet",
    "SpreadKeys": "ShardedReader",
    "SpreadWatches": "ShardedWatches",
    "StaleAnswers": "TicketFallback",
    "Tally": "ChunkVerifier",
    "TicketOffice": "TicketSigner",
    "World": "FleetView",
}
MODULES = {
    "approving": "operator_actions",
    "board": "job_store",
    "branch": "cluster_ledger",
    "contact": "status",
    "elsewhere": "cluster_counts",
    "firing": "effect_builder",
    "following": "retry_policy",
    "judging": "condition_evaluator",
    "numbered": "cluster_tagged",
    "ordering": "instruction_factory",
    "pace": "rate_limiter",
    "presence": "platform_sessions",
    "recording": "outcome_recorder",
    "relocation": "move_operation",
    "spread": "clusters",
    "spreading": "clusters",
    "stale_answers": "ticket_fallback",
    "trying": "dry_run",
    "world": "fleet_view",
}
# (path, name): why it is no slip.
ALLOWED: dict[tuple[str, str], str] = {
    ("control_plane/keys.py", "starving"): "as the stored key is called",
    ("tests/data_sharing/registry/test_compatibility.py", "lane"): "a lane of a road",
}


def all_names() -> list[Name]:
    """Of everything that is written by hand in Python."""
    found: list[Name] = []
    for folder in (*PACKAGES.values(), ROOT / "bench", ROOT / "tests"):
        found += folder_names(folder)
        for file in python_files(folder):
            found += names_of(file)
    return found


def given_up(name: Name) -> list[str]:
    """What is said instead of the words in a name; empty: it has none of them."""
    instead = [WORDS[word] for word in parts(name.text) if word in WORDS]
    if name.kind == "class" and name.text in CLASSES:
        instead.append(CLASSES[name.text])
    if name.kind == "module" and name.text.removeprefix("test_") in MODULES:
        instead.append(MODULES[name.text.removeprefix("test_")])
    return instead


def test_no_name_is_made_of_words_that_were_given_up() -> None:
    slips = [
        f"{name}: say {', '.join(instead)}"
        for name in all_names()
        if (instead := given_up(name)) and (name.path, name.text) not in ALLOWED
    ]
    assert slips == []


def test_what_is_allowed_is_there() -> None:
    """An exception whose name is gone is an exception too many."""
    assert set(ALLOWED) <= {(name.path, name.text) for name in all_names()}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        pytest.param("class", "FrontDesk", id="a word within a class name"),
        pytest.param("module", "test_turnstile", id="a test named after a module that was"),
        pytest.param("function", "bury_the_dead", id="a word within a function's name"),
        pytest.param("class", "Board", id="a class name as a whole"),
        pytest.param("module", "world", id="a module name as a whole"),
    ],
)
def test_a_slip_would_be_seen(kind: str, text: str) -> None:
    assert given_up(Name(kind=kind, text=text, path=""))


@pytest.mark.parametrize("text", ["DepartureFeed", "blackboard", "on_wishful_thinking", "Airplane"])
def test_words_are_compared_whole(text: str) -> None:
    assert not given_up(Name(kind="class", text=text, path=""))


def test_names_are_cut_into_words() -> None:
    assert parts("HTTPServerError") == ("http", "server", "error")
    assert parts("retry_after_s") == ("retry", "after", "s")
    assert parts("ClusterTaggedStore") == ("cluster", "tagged", "store")
