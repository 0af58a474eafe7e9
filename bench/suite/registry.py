"""All that is measured, in the order in which it runs."""

from __future__ import annotations

from collections.abc import Sequence

from bench.suite.accounts import ACCOUNTS
from bench.suite.builds import COMPILED
from bench.suite.bulk import BULK
from bench.suite.calling import CALLING
from bench.suite.deciding import DECIDING
from bench.suite.enrolling import ENROLLING
from bench.suite.http_calls import HTTP_CALLS
from bench.suite.inviting import INVITING
from bench.suite.invoking import INVOKING
from bench.suite.mail import MAIL
from bench.suite.matching import MATCHING
from bench.suite.measurement import Measurement
from bench.suite.memory import MEMORY
from bench.suite.naming import NAMING
from bench.suite.neighbours import NEIGHBOURS
from bench.suite.observing import OBSERVING
from bench.suite.outcomes import OUTCOMES
from bench.suite.overload import OVERLOAD
from bench.suite.partitions_nats import PARTITIONS_NATS
from bench.suite.policies import POLICIES
from bench.suite.pressing import PRESSING
from bench.suite.publishing import PUBLISHING
from bench.suite.pure import PURE
from bench.suite.routing import ROUTING
from bench.suite.rule_matching import RULE_MATCHING, RULES_AT_SCALE
from bench.suite.ruled_calls import RULED_CALLS
from bench.suite.secured import SECURED
from bench.suite.sharing import SHARING
from bench.suite.sharing_nats import SHARING_NATS
from bench.suite.simulating import SIMULATING
from bench.suite.suggesting import SUGGESTING
from bench.suite.unary import UNARY
from bench.suite.watchers import WATCHING

ALL: tuple[Measurement, ...] = (
    UNARY,
    SECURED,
    RULED_CALLS,
    ENROLLING,
    HTTP_CALLS,
    OVERLOAD,
    OBSERVING,
    BULK,
    PURE,
    COMPILED,
    POLICIES,
    ROUTING,
    SIMULATING,
    INVITING,
    SUGGESTING,
    MATCHING,
    DECIDING,
    RULES_AT_SCALE,
    RULE_MATCHING,
    SHARING,
    NEIGHBOURS,
    SHARING_NATS,
    PARTITIONS_NATS,
    INVOKING,
    OUTCOMES,
    PUBLISHING,
    NAMING,
    ACCOUNTS,
    MAIL,
    PRESSING,
    CALLING,
    MEMORY,
    WATCHING,
)


def keys(measurements: Sequence[Measurement] = ALL) -> list[str]:
    """Of all their ratios, and of the figures of which something is asked."""
    return [key for one in measurements for key in _keys(one)]


def that_give(
    ratios: Sequence[str] | None, measurements: Sequence[Measurement] = ALL
) -> list[Measurement]:
    """Those that give one of these ratios or figures; all, when none are named."""
    if not ratios:
        return list(measurements)
    wanted = set(ratios)
    return [one for one in measurements if wanted & set(_keys(one))]


def _keys(measurement: Measurement) -> list[str]:
    ratios = [ratio.key for ratio in measurement.ratios]
    return ratios + [target.figure for target in measurement.targets]
