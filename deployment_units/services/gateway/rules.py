"""The rules by which an account is reached: ordered, CEL, the first that holds speaks. Pure.

A condition reads `message`, `sender`, `recipient` and `now` (docs/reference/gateway.md lists what
they hold) and is bounded when the rules are applied: its own cost by `control_plane.expressions`,
that of all of them here. One that cannot be evaluated is told in the plan: where it reads what is
not there (`recipient.active_s.mail` of somebody who was never seen there), it does not hold and
the next one is asked; any other fault ends the reading of rules, and the built-in ones decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.errors import InvalidInput
from control_plane.expressions.cost import BUDGET
from control_plane.expressions.environment import Environment, ValueType
from control_plane.expressions.expression import Expression, Fault
from control_plane.expressions.values import instant
from control_plane.printable import quoted
from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway.message import Activity, ReachProfile, RoutedMessage
from deployment_units.services.gateway.route import RouteReason, Ruling

MOST_RULES = 50
MOST_NAME_CHARACTERS = 64
SHORTEST_WAIT_MS, LONGEST_WAIT_MS = 10_000, 7 * 86_400_000
_VARIABLES = Environment(
    {
        "message": ValueType.OBJECT,
        "sender": ValueType.OBJECT,
        "recipient": ValueType.OBJECT,
        "now": ValueType.TIMESTAMP,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """One rule as its owner wrote it. when: CEL, of truth value. See `Ruling` for the rest, which
    is what it says where it holds."""

    name: str
    when: str
    via: tuple[Channel, ...] = ()
    withhold: bool = False
    in_quiet_hours: bool = False
    wait_ms: int | None = None


class RouteRules:
    """The compiled rules of one account; immutable. Raises InvalidInput, naming the rule."""

    def __init__(self, rules: Sequence[RouteRule]) -> None:
        if len(rules) > MOST_RULES:
            raise InvalidInput("rules", f"there are {len(rules):,} rules; at most {MOST_RULES}")
        self._rules: list[tuple[Expression, Ruling]] = []
        names: set[str] = set()
        units = 0
        for place, rule in enumerate(rules):
            field = f"rules[{place}]"
            _check(rule, names, field)
            compiled = _VARIABLES.compile(
                rule.when, field=f"{field}.when", returns=(ValueType.BOOL,)
            )
            units += compiled.units
            if units > BUDGET:
                raise InvalidInput(
                    field,
                    f"{field}: up to this one the rules can cost {units:,} steps for a message, of "
                    f"which {BUDGET:,} are allowed; loop over less, or have fewer of them",
                )
            self._rules.append((compiled, _ruling(rule)))
        # What no condition names is not worked out.
        self._asks_now = any("now" in rule.when for rule in rules)
        self._asks_quiet = any("quiet" in rule.when for rule in rules)

    def ruling(
        self, message: RoutedMessage, profile: ReachProfile, activity: Activity, now_ms: int, /
    ) -> Ruling:
        """What the first rule that holds says of a message; one without effect where none does."""
        if not self._rules:
            return _SILENT
        values = _values(message, profile, activity, now_ms)
        if self._asks_quiet:
            quiet = profile.quiet_hours
            values["recipient"]["quiet"] = quiet is not None and quiet.hold(now_ms)
        if self._asks_now:
            values["now"] = instant(now_ms)
        bindings = _VARIABLES.bind(values)
        why: tuple[RouteReason, ...] = ()
        for condition, ruling in self._rules:
            said = condition.holds(bindings)
            if said is False:
                continue
            if said is True:
                return ruling._replace(why=why + ruling.why) if why else ruling
            if not said.missing:
                return _SILENT._replace(why=(*why, _faulty(ruling.rule, said)))
            why = (*why, _faulty(ruling.rule, said))
        return _SILENT._replace(why=why) if why else _SILENT


_SILENT = Ruling("", (), False, False, None, ())


def _ruling(rule: RouteRule) -> Ruling:
    said = []
    if rule.withhold:
        said.append("withhold")
    if rule.via:
        said.append(f"via {', '.join(rule.via)}")
    if rule.in_quiet_hours:
        said.append("in quiet hours")
    if rule.wait_ms is not None:
        said.append(f"wait {rule.wait_ms // 1_000} s")
    why = (RouteReason(f"rule {rule.name}", rule.when, "; ".join(said)),)
    return Ruling(
        f"rule {rule.name}", rule.via, rule.withhold, rule.in_quiet_hours, rule.wait_ms, why
    )


def _faulty(rule: str, fault: Fault) -> RouteReason:
    then = "the next is asked" if fault.missing else "the built-in rules decide"
    return RouteReason(rule, f"cannot be evaluated: {then}", fault.message)


def _check(rule: RouteRule, names: set[str], field: str) -> None:
    if not 0 < len(rule.name) <= MOST_NAME_CHARACTERS:
        raise InvalidInput(
            f"{field}.name",
            f"{field}.name: a rule has a name of 1 to {MOST_NAME_CHARACTERS} characters",
        )
    if rule.name in names:
        raise InvalidInput(
            f"{field}.name", f"{field}.name: {quoted(rule.name)} is the name of another rule, too"
        )
    names.add(rule.name)
    other = bool(rule.via) or rule.in_quiet_hours or rule.wait_ms is not None
    if rule.withhold and other:
        raise InvalidInput(field, f"{field}: what is withheld goes nowhere: leave the rest out")
    if not rule.withhold and not other:
        raise InvalidInput(
            field, f"{field}: says nothing; give via, withhold, in_quiet_hours or wait_s"
        )
    if len(set(rule.via)) != len(rule.via):
        raise InvalidInput(f"{field}.via", f"{field}.via: names a channel twice")
    if rule.wait_ms is not None and not SHORTEST_WAIT_MS <= rule.wait_ms <= LONGEST_WAIT_MS:
        raise InvalidInput(
            f"{field}.wait_s",
            f"{field}.wait_s: must be {SHORTEST_WAIT_MS // 1_000} to "
            f"{LONGEST_WAIT_MS // 1_000:,} s",
        )


def _values(
    message: RoutedMessage, profile: ReachProfile, activity: Activity, now_ms: int
) -> dict[str, Any]:
    """All variables but what is dearer to work out: `now` and `recipient.quiet`."""
    sender = message.sender
    return {
        "message": {
            "class": message.message_class.value,
            "urgency": message.urgency.value,
            "content": sorted([kind.value for kind in message.content]),
            "size_bytes": message.size_bytes,
        },
        "sender": {
            "identifier": sender.identifier,
            "contact": sender.contact,
            "application": sender.application,
            "organisation": sender.organisation,
        },
        "recipient": {
            "active_s": {
                channel.value: max(0, now_ms - seen_ms) // 1_000
                for channel, seen_ms in activity.items()
            },
            "channels": [one.channel.value for one in profile.addresses],
        },
    }
