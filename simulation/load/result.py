"""LoadResult: what a run came to, as one JSON document: what a report shows, thresholds are held
against and a later run is compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from simulation.load.counts import LoadSecond, together
from simulation.load.latencies import PERCENTILES, Latencies
from simulation.load.limits import WORDS, Limit, limit_of
from simulation.load.settings import LoadSettings
from simulation.load.user_kinds import UserKind

VERSION = 1
USERS = tuple(kind.word for kind in UserKind)
OUTCOME, DONE = "outcome", "done"


def latency_document(encoded: bytes) -> dict[str, float]:
    """Percentiles in milliseconds."""
    held = Latencies(encoded)
    found = {f"p{percentile:g}": round(held.at_ms(percentile), 3) for percentile in PERCENTILES}
    return {**found, "mean": round(held.mean_ms(), 3), "max": round(held.max_ms(), 3)}


def result_document(
    settings: LoadSettings,
    seconds: Sequence[LoadSecond],
    *,
    prepared: int,
    homeless: int,
    about: Mapping[str, Any],
    words: Sequence[str] = USERS,
) -> dict[str, Any]:
    """about: what else is to be said of the run, such as whom it asked and when; words: of the
    kinds of its calls."""
    whole = together(seconds, 0)
    everything = Latencies()
    for encoded in whole.latencies.values():
        everything.add(encoded)
    limits = Counter(limit_of(one) for one in seconds)
    lasted = max(1, len(seconds))
    asked, good = whole.asked, whole.good.total()
    return {
        "homeport_load": VERSION,
        **about,
        "settings": settings.document(),
        "prepared": prepared,
        "homeless": homeless,
        "lasted_s": lasted,
        "calls": {
            "arrived": whole.arrived.total(),
            "came_back": whole.came_back,
            "asked": asked,
            "good": good,
            "refused": dict(whole.refused.most_common()),
            "failed": dict(whole.failed.most_common()),
            "lost_users": whole.lost,
            "new_homes": whole.started,
            "moved": whole.moved,
            "stale": whole.stale,
        },
        "arrivals_per_s": round(whole.arrived.total() / min(lasted, settings.duration_s), 2),
        "goodput_per_s": round(good / lasted, 2),
        "latency_ms": latency_document(everything.encoded()),
        "late_ms": latency_document(whole.late),
        "kinds": {
            **{
                word: {
                    "arrived": whole.arrived[word],
                    "good": whole.good[word],
                    "refused": whole.refused_kinds[word],
                    "latency_ms": latency_document(whole.latencies.get(word, b"")),
                }
                for word in words
                if word in whole.latencies or whole.arrived[word]
            },
            **outcomes_document(whole),
        },
        "refusals": {
            "count": whole.refused.total(),
            "without_retry_info": whole.silent,
            "delays_s": spread(whole.delays_s),
        },
        "homes": dict(whole.homes.most_common()),
        "limits": [
            {"limit": limit.value, "seconds": count, "words": WORDS[limit]}
            for limit, count in limits.most_common()
        ],
        "limit": _main_limit(limits).value,
        "seconds": [_second(one) for one in seconds],
        "histogram": everything.encoded().decode("ascii"),
    }


def outcomes_document(whole: LoadSecond) -> dict[str, Any]:
    """Outcomes as one more kind: arrived are those that must come, good those that are done,
    refused those that ended otherwise. Empty where nothing had to come."""
    if not whole.outcomes_due and not whole.outcomes:
        return {}
    return {
        OUTCOME: {
            "arrived": whole.outcomes_due,
            "good": whole.outcomes[DONE],
            "refused": whole.outcomes.total() - whole.outcomes[DONE],
            "missing": max(0, whole.outcomes_due - whole.outcomes[DONE]),
            "by_status": dict(whole.outcomes.most_common()),
            "latency_ms": latency_document(whole.outcome_latency),
        }
    }


def spread(delays_s: Sequence[float]) -> dict[str, float]:
    """How delays are spread: the least, quartiles, the most; empty where there are none."""
    ordered = sorted(delays_s)
    if not ordered:
        return {}
    places = {"min": 0.0, "p25": 0.25, "p50": 0.5, "p75": 0.75, "max": 1.0}
    return {
        name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
        for name, share in places.items()
    }


def _main_limit(limits: Counter[Limit]) -> Limit:
    """What limited the run for longest; nothing, where nothing did."""
    found = [(count, limit) for limit, count in limits.items() if limit is not Limit.NOTHING]
    return max(found, key=lambda one: one[0])[1] if found else Limit.NOTHING


def _second(one: LoadSecond) -> dict[str, Any]:
    """One point of each chart."""
    everything = Latencies()
    for encoded in one.latencies.values():
        everything.add(encoded)
    return {
        "at": one.second,
        "arrived": one.arrived.total(),
        "asked": one.asked,
        "good": one.good.total(),
        "new_good": one.good["new"],
        "refused": one.refused.total(),
        "failed": one.failed.total(),
        "under_way": one.under_way,
        "p50": round(everything.at_ms(50.0), 3) if everything.count else None,
        "p99": round(everything.at_ms(99.0), 3) if everything.count else None,
        "late_p99": round(Latencies(one.late).at_ms(99.0), 3) if one.late else 0.0,
        "kinds_p99": {
            kind: round(Latencies(encoded).at_ms(99.0), 3)
            for kind, encoded in one.latencies.items()
        },
        "homes": dict(one.homes),
        "cpu": round(one.cpu_s, 3),
        "server_cpu": round(one.server_cpu, 3),
        **_outcomes(one),
        "limit": limit_of(one).value,
    }


def _outcomes(one: LoadSecond) -> dict[str, Any]:
    if not one.outcomes_due and not one.outcomes:
        return {}
    held = Latencies(one.outcome_latency) if one.outcome_latency else None
    return {
        "outcomes_due": one.outcomes_due,
        "outcomes": one.outcomes[DONE],
        "outcome_p50": round(held.at_ms(50.0), 3) if held else None,
        "outcome_p99": round(held.at_ms(99.0), 3) if held else None,
    }
