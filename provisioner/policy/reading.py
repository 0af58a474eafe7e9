"""Reading: a policy's text, YAML or JSON, to a PolicyDocument. Pure.

Everything wrong with a text is reported together, each with the place in the document that it is
about. An unknown field is an error, with the one that was most likely meant. What conditions say
is checked in `compiling`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from control_plane.identity.names import is_slug
from control_plane.printable import quoted
from control_plane.yaml_files import UnreadableYaml, parse
from provisioner.placement.hooks import HookUse
from provisioner.placement.ranking import MOST_BIAS, Cost, Preference, Ranking
from provisioner.placement.selectors import UnitSelector
from provisioner.policy.document import (
    Group,
    PolicyDocument,
    Pool,
    Preferences,
    RankingRule,
    Ring,
    Rule,
    Trust,
)
from provisioner.policy.faulty import FaultyPolicy
from provisioner.policy.fields import Fields, Problems
from provisioner.policy.group_attributes import read_attribute_names, read_wanted_attributes
from provisioner.policy.latency_caps import read_latency
from provisioner.policy.shuffle_sharding import read_shuffle_sharding
from provisioner.policy.unit_selectors import read_area, read_selector, read_selectors

MOST_BYTES = 512 << 10
MOST_RULES = 2_000
MOST_IDS = 20_000  # of a group
MOST_PATTERNS = 200  # of a group
MOST_STARS = 8  # of a pattern
MOST_DEADLINE_MS = 2_000  # that clients wait for a hook
MOST_KEEP_S = 3_600.0  # that its answer counts
MOST_ASKED = 32  # units that it is asked about
MOST_TOLD_GROUPS = 32  # that it may be told
MOST_NAMED = 200  # groups, pools, rings
FORMAT = 1
FIELDS = (
    "policy", "description", "certain_within_km", "equal_within_km", "groups", "pools", "rings",
    "shuffle_sharding", "rules",
)  # fmt: skip
RULE_FIELDS = (
    "name", "when", "location", "require", "forbid", "deny", "rank", "hook", "pool", "nowhere",
    "full",
)  # fmt: skip
HOOK_FIELDS = ("name", "away", "deadline_ms", "keep_s", "units", "each", "attributes", "groups")
RANK_FIELDS = (
    "by_country", "prefer", "cost", "latency", "distance", "bias", "load", "weights",
)  # fmt: skip


def read_policy(text: str) -> PolicyDocument:
    """Raises FaultyPolicy with all that is wrong."""
    if len(text.encode(errors="surrogatepass")) > MOST_BYTES:
        raise FaultyPolicy([f"the policy is larger than {MOST_BYTES:,} bytes"])
    try:
        said, doubled = parse(text)
    except UnreadableYaml as error:
        raise FaultyPolicy([f"the policy {error}"]) from error
    problems = Problems(doubled)
    document = _document(said, problems)
    if not isinstance(said, Mapping):
        problems.found[0] = f"the policy {problems.found[0]}"  # which is of no place in it
    if problems.found:
        raise FaultyPolicy(problems.found)
    return document


def _document(said: object, problems: Problems) -> PolicyDocument:
    fields = Fields(said, "", FIELDS, problems)
    if fields.given and fields.get("policy") != FORMAT:
        problems.add("policy", f"write `policy: {FORMAT}`, the version of the format")
    within = fields.part("equal_within_km", ("least", "most"))
    least = within.number("least", 0.0, low=0.0, high=20_100.0)
    most = within.number("most", 20_100.0, low=0.0, high=20_100.0)
    if least > most:
        problems.add("equal_within_km", f"least is {least:g}, above most, which is {most:g}")
    return PolicyDocument(
        description=fields.text("description"),
        certain_within_km=fields.number("certain_within_km", 50.0, low=0.0, high=20_100.0),
        least_uncertainty_km=least,
        most_uncertainty_km=most,
        groups=tuple(_groups(fields)),
        pools=tuple(_pools(fields)),
        rings=tuple(_rings(fields)),
        shuffle_sharding=read_shuffle_sharding(fields),
        rules=tuple(_rules(fields, problems)),
    )


def _groups(fields: Fields) -> list[Group]:
    made = []
    known = ("ids", "patterns", "attributes")
    for name, group in fields.named("groups", known, most=MOST_NAMED):
        patterns = group.texts("patterns", most=MOST_PATTERNS)
        for pattern in patterns:
            if pattern.count("*") > MOST_STARS or len(pattern) > 256:
                group.problem("patterns", f"{quoted(pattern)} has more than {MOST_STARS} `*`")
        ids = group.texts("ids", most=MOST_IDS)
        for one in ids:
            if "*" in one:
                group.problem("ids", f"{quoted(one)} is a pattern; move it to `patterns`")
        attributes = read_wanted_attributes(group)
        made.append(
            Group(name=name, ids=frozenset(ids), patterns=tuple(patterns), attributes=attributes)
        )
    return made


def _pools(fields: Fields) -> list[Pool]:
    made = []
    known = ("units", "countries", "continents", "labels", "spillover")
    for name, pool in fields.named("pools", known, most=MOST_NAMED):
        selector = read_selector(pool, may_be_empty=True)
        made.append(Pool(name=name, selector=selector, spillover=pool.text("spillover")))
    _check_spillover(made, fields)
    return made


def _check_spillover(pools: Sequence[Pool], fields: Fields) -> None:
    after = {pool.name: pool.spillover for pool in pools}
    for pool in pools:
        if pool.spillover and pool.spillover not in after:
            fields.problem(
                f"pools.{pool.name}.spillover", fields.unknown("pool", pool.spillover, list(after))
            )
    told: set[str] = set()
    for name in after:
        way, at = [name], after[name]
        while at in after and at not in way:
            way.append(at)
            at = after[at]
        if at == name and not told.intersection(way):
            told.update(way)
            fields.problem(
                f"pools.{name}.spillover", f"goes round in a circle: {' → '.join([*way, name])}"
            )


def _rings(fields: Fields) -> list[Ring]:
    made = []
    known = ("share", "units", "countries", "continents", "labels")
    for name, ring in fields.named("rings", known, most=16):
        share = ring.number("share", math.nan, low=0.0, high=100.0)
        if math.isnan(share) and not ring.has("share"):
            ring.problem("share", "say how many per cent of the clients are in it, 0 to 100")
        made.append(Ring(name=name, share=share, selector=read_selector(ring)))
    return made


def _rules(fields: Fields, problems: Problems) -> list[Rule]:
    said = fields.entries("rules", most=MOST_RULES)
    pools, groups = fields.names("pools"), fields.names("groups")
    made, seen = [], dict[str, int]()
    for at, one in enumerate(said):
        name = one.get("name") if isinstance(one, Mapping) else None
        shown = f" ({name})" if isinstance(name, str) and is_slug(name) else ""
        rule = Fields(one, f"rules[{at}]{shown}", RULE_FIELDS, problems)
        if not rule.given:
            continue
        if not isinstance(name, str) or not is_slug(name):
            rule.problem("name", "give each rule a name of a-z 0-9 '-' '.', 1 to 63 characters")
        elif name in seen:
            rule.problem("name", f"rules[{seen[name]}] has it already; names are unique")
        else:
            seen[name] = at
        made.append(_rule(rule, str(name), pools, groups))
    return made


def _rule(rule: Fields, name: str, pools: Sequence[str], groups: Sequence[str]) -> Rule:
    pool = rule.text("pool")
    if pool and pool not in pools:
        rule.problem("pool", rule.unknown("pool", pool, pools))
    trust = rule.choice("location", tuple(Trust))
    nowhere: Any = rule.choice("nowhere", ("spread", "refuse"))
    full: Any = rule.choice("full", ("retry", "refuse"))
    made = Rule(
        name=name,
        when=rule.text("when"),
        trust=Trust(trust) if trust else Trust.LIKELY,
        require=_units(rule, "require"),
        forbid=_units(rule, "forbid"),
        deny=rule.flag("deny", False),
        rank=_rank(rule.part("rank", RANK_FIELDS), name) if rule.has("rank") else None,
        hook=_hook(rule.part("hook", HOOK_FIELDS), groups) if rule.has("hook") else None,
        pool=pool,
        nowhere=nowhere or None,
        full=full or None,
    )
    says = made.is_hard or made.rank or made.hook or pool or nowhere or full
    if not says and not rule.has_problems:
        rule.problem("", "says nothing; give it one of require, forbid, deny, rank, hook, pool, "
                         "nowhere, full")  # fmt: skip
    return made


def _hook(hook: Fields, groups: Sequence[str]) -> HookUse:
    name = hook.text("name")
    if not is_slug(name) and not hook.has_problems:
        hook.problem("name", "name the hook, as the operator of the servers has it")
    away: Any = hook.choice("away", ("rank", "refuse"))
    told = hook.texts("groups", most=MOST_TOLD_GROUPS)
    for group in told:
        if group not in groups:
            hook.problem("groups", hook.unknown("group", group, groups))
    plain = HookUse(name=name)
    return HookUse(
        name=name,
        away=away or plain.away,
        deadline_ms=int(
            hook.number("deadline_ms", plain.deadline_ms, low=1, high=MOST_DEADLINE_MS)
        ),
        keep_s=hook.number("keep_s", plain.keep_s, low=1.0, high=MOST_KEEP_S),
        units=int(hook.number("units", plain.units, low=1, high=MOST_ASKED)),
        by_client=hook.choice("each", ("place", "client")) == "client",
        attributes=read_attribute_names(hook, "attributes"),
        groups=frozenset(told),
    )


def _units(rule: Fields, name: str) -> UnitSelector | None:
    if not rule.has(name):
        return None
    return read_selector(rule.part(name, ("units", "countries", "continents", "labels")))


def _rank(rank: Fields, rule: str) -> RankingRule:
    orders: list[Preference | Cost] = []
    if rank.has("prefer"):
        orders.append(Preference(selectors=read_selectors(rank, "prefer")))
    if rank.has("cost"):
        cost = rank.part("cost", ("label", "band"))
        if not cost.text("label"):
            cost.problem("label", "name the label of units whose value is the price")
        band = cost.number("band", 1.0, low=1e-9, high=1e12)
        orders.append(Cost(label=cost.text("label"), band=band))
    ranking = Ranking(
        orders=tuple(orders),
        by_distance=rank.flag("distance", True),
        biases=_valued(rank, "bias", "percent", low=-MOST_BIAS, high=MOST_BIAS),
        by_load=rank.flag("load", True),
        weights=_valued(rank, "weights", "weight", low=1e-6, high=1e6),
        latency=read_latency(rank, rule) if rank.has("latency") else None,
    )
    if ranking.biases and not ranking.by_distance:
        rank.problem("bias", "bends distances, and `distance: false` leaves them out")
    preferences = None
    table = rank.list_object("by_country")
    if table:
        entries = []
        for code in table:
            area = read_area(rank, "by_country", code)
            entries.append((area, read_selectors(rank.inner("by_country", table), code)))
        preferences = Preferences(table=tuple(entries))
    return RankingRule(ranking=ranking, preferences=preferences)


def _valued(
    rank: Fields, name: str, value: str, *, low: float, high: float
) -> tuple[tuple[UnitSelector, float], ...]:
    """A list of selectors, each with a number."""
    made = []
    for at, one in enumerate(rank.entries(name, most=MOST_NAMED)):
        known = ("units", "countries", "continents", "labels", value)
        entry = Fields(one, f"{rank.where}.{name}[{at}]", known, rank.problems)
        if not entry.given:
            continue
        if not entry.has(value):
            entry.problem(value, f"give a number from {low:g} to {high:g}")
        number = entry.number(value, 1.0, low=low, high=high)
        made.append((read_selector(entry, may_be_empty=True), number))
    return tuple(made)
