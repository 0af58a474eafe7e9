"""ActionCheck: whether what rules and plans ask of applications can be done, as the catalogue is.

An application or action that is not there may be submitted later, so that is a warning; a name that
none can have is a fault, and settings that the action's input schema can never take, whatever is
computed or set later. What
it says of a rule or plan follows from the catalogue alone, and is found anew when asked. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from control_plane.expressions.expression import Expression
from data_sharing.decisions.action_schemas import compiled_schema, input_values
from data_sharing.plans.plan import EventPlan, Occurrence
from data_sharing.plans.spec import PlanSpec
from data_sharing.registry.catalogue import Catalogue
from data_sharing.registry.manifest import not_a_name
from data_sharing.rules.compiled import CompiledRule, Invocation
from data_sharing.rules.value_types import ValueTypes
from data_sharing.schemas import Breach, DataSchema, pointer

MOST_BREACHES = 20  # told of one action
_FOR_THE_SAME_VALUE = ("$ref", "$dynamicRef")
_FOR_A_FIELD = ("properties", "patternProperties", "additionalProperties")


@dataclass(frozen=True, slots=True)
class ActionFindings:
    """faults: settings that can never be taken. warnings: what fails as things are. Each is
    (where in the rule or plan, what)."""

    faults: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them as warnings."""
        return tuple(f"{at}: {what}" for at, what in (*self.faults, *self.warnings))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """given: the values that are known. gives: JSON types of what is computed; empty: unknown.
    complete: nothing else is set later."""

    given: Mapping[str, Any]
    gives: Mapping[str, frozenset[str]]
    complete: bool


def of_rule(catalogue: Catalogue, rule: CompiledRule) -> ActionFindings:
    """Of what a rule invokes. What it changes in plans depends on the plan."""
    found = ActionFindings()
    for number, effect in enumerate(rule.effects):
        if isinstance(effect, Invocation):
            computed = {name for name, value in effect.config if isinstance(value, Expression)}
            settings = _Settings(
                given={name: value for name, value in effect.config if name not in computed},
                gives={name: effect.gives.get(name, frozenset()) for name in computed},
                complete=True,
            )
            at = f"rules.{rule.id}.do[{number}].invoke"
            _check(catalogue, rule.tenant, at, effect.application, effect.action, settings, found)
    return found


def of_plan(
    catalogue: Catalogue, tenant: str, spec: PlanSpec, following: Occurrence | None = None
) -> ActionFindings:
    """Of the actions of a plan as planned, or as they are at an occurrence. Rules and users may set
    more before they are due."""
    found = ActionFindings()
    configs = {one.name: one.config for one in following.actions} if following else {}
    for name, action in spec.actions.items():
        given = configs.get(name, action.config)
        settings = _Settings(given=given, gives={}, complete=False)
        at = f"actions.{name}"
        _check(catalogue, tenant, at, action.application, action.action, settings, found)
    return found


def of_change(catalogue: Catalogue, plan: EventPlan, fields: Mapping[str, Any]) -> ActionFindings:
    """Of the settings that a change makes. fields: as plans have them,
    `actions.<action>.config.<name>`."""
    found = ActionFindings()
    for name, action in plan.spec.actions.items():
        prefix = f"actions.{name}.config."
        given = {
            at.removeprefix(prefix): value
            for at, value in fields.items()
            if at.startswith(prefix) and value is not None
        }
        if given:
            settings = _Settings(given=given, gives={}, complete=False)
            at = f"actions.{name}"
            _check(catalogue, plan.tenant, at, action.application, action.action, settings, found)
    return found


def _check(
    catalogue: Catalogue,
    tenant: str,
    at: str,
    application: str,
    action: str,
    settings: _Settings,
    found: ActionFindings,
) -> None:
    names = (("application", application), ("action", action))
    unnamed = [(what, why) for what, name in names if (why := not_a_name(name)) is not None]
    if unnamed:
        found.faults.extend((f"{at}.{what}", why) for what, why in unnamed)
        return
    version = catalogue.application(tenant, application)
    if version is None:
        found.warnings.append((at, f"tenant {tenant} has no application {application}; "
                                   "until it is submitted, this fails when due"))  # fmt: skip
        return
    declared = version.manifest.action(action)
    if declared is None:
        there = ", ".join(one.name for one in version.manifest.actions) or "none"
        found.warnings.append((at, f"{application} {version.manifest.version} has no action "
                                   f"{action}, but {there}; until it has, this fails when "
                                   "due"))  # fmt: skip
        return
    schema = compiled_schema(declared.input)
    values, what = input_values(declared.input), f"{application} {action}"
    faults = dict(_never_taken(schema, values, settings))
    found.faults.extend(
        (f"{at}.config", f"{where or '/'}: {why}, by the input schema of {what}")
        for where, why in faults.items()
    )
    if faults or settings.gives:
        return
    breach = schema.breach_within_bounds(settings.given)
    if breach is None:
        return
    said = f"{breach.pointer or '/'}: {breach.message}, by the input schema of {what}"
    if settings.complete:
        found.faults.append((f"{at}.config", said))
    else:
        found.warnings.append((f"{at}.config", f"{said}; unless a rule or change sets it, this "
                                               "fails when due"))  # fmt: skip


def _never_taken(
    schema: DataSchema, values: ValueTypes, settings: _Settings
) -> Iterator[tuple[str, str]]:
    """Where settings break the schema whatever the others are, and why."""
    if "object" not in values.types:
        yield "", "takes no settings at all"
        return
    for name, types in {
        **dict.fromkeys(settings.given, frozenset[str]()),
        **settings.gives,
    }.items():
        below = values.property(name)
        if not below.possible:
            known = ", ".join(sorted(values.names)[:12])
            yield pointer([name]), "no such setting" + f"; there are {known}" * bool(known)
        elif types and not types & below.types:
            yield pointer([name]), f"is {_or(types)}, and must be {_or(below.types)}"
    if settings.complete:
        for name in sorted(values.required - set(settings.given) - set(settings.gives)):
            yield pointer([name]), "is missing"
    try:
        too_much = schema.too_much_work(msgspec.json.encode(settings.given))
        if too_much:
            yield "", too_much
            return
        breaches = schema.breaches(settings.given, MOST_BREACHES)
    except ValueError as error:  # what JSON cannot say
        yield "", str(error)
        return
    for breach in breaches:
        if breach.pointer and _whatever_else(breach):
            yield breach.pointer, breach.message


def _whatever_else(breach: Breach) -> bool:
    """Whether it was found at a setting by words that count whatever the other settings are."""
    words = iter(breach.way)
    for word in words:
        if word == "allOf":
            next(words, None)
        elif word not in _FOR_THE_SAME_VALUE:
            return word in _FOR_A_FIELD
    return False


def _or(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))
