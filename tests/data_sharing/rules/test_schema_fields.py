"""Which fields may be there, keyword by keyword."""

from __future__ import annotations

from typing import Any

import pytest

from data_sharing.rules.feed_schema import MOST_FOUND, FeedSchema
from data_sharing.rules.value_types import MOST_NAMES, ValueTypes, values_of
from data_sharing.schemas import DataSchema
from tests.support.rule_harness import faults_of, rules_of

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
ANY = "any"


def at(schema: dict[str, Any], path: str) -> ValueTypes:
    found = values_of(schema)
    for name in path.split("."):
        found = found.item(int(name)) if name.isdecimal() else found.property(name)
    return found


def said(schema: dict[str, Any], path: str) -> str:
    found = at(schema, path)
    return " ".join(sorted(found.types)) if found.known else ANY


BASE = {"b": {"type": "object", "properties": {"z": TEXT}}}
CLOSED = {"b": {**BASE["b"], "additionalProperties": False}}
TREE = {
    "$ref": "#/$defs/n",
    "$defs": {
        "n": {
            "properties": {"v": WHOLE, "next": {"$ref": "#/$defs/n"}},
            "additionalProperties": False,
        }
    },
}
IF = {
    "if": {"properties": {"k": {"const": "a"}}},
    "then": {"properties": {"t": NUMBER}},
    "else": {"properties": {"u": TEXT}},
}
RESOURCES = {
    "$id": "https://example.org/root",
    "properties": {
        "a": {"$id": "inner", "$ref": "#/$defs/q", "$defs": {"q": TEXT}},
        "b": {"$ref": "#/$defs/q"},
    },
    "$defs": {"q": WHOLE},
}
GENERIC_LIST = {
    "$id": "https://example.org/list",
    "$dynamicAnchor": "item",
    "properties": {"next": {"$dynamicRef": "#item"}, "v": {"type": "string"}},
}


@pytest.mark.parametrize(
    ("schema", "path", "expected"),
    [
        pytest.param({"$ref": "#/$defs/b", "properties": {"e": NUMBER}, "$defs": BASE}, "e",
                     "integer number", id="beside-a-ref"),
        pytest.param({"$ref": "#/$defs/b", "properties": {"e": NUMBER}, "$defs": BASE}, "z",
                     "string", id="behind-a-ref-with-siblings"),
        pytest.param({"$ref": "#/$defs/b", "properties": {"e": NUMBER}, "$defs": CLOSED}, "e",
                     "", id="beside-a-ref-that-is-closed"),
        pytest.param({"additionalProperties": NUMBER}, "x", "integer number", id="additional"),
        pytest.param({"properties": {"a": TEXT}, "additionalProperties": WHOLE}, "a", "string",
                     id="named-is-not-additional"),
        pytest.param({"additionalProperties": False}, "x", "", id="nothing-additional"),
        pytest.param({"properties": {"x": False}}, "x", "", id="a-field-that-must-not-be"),
        pytest.param({"properties": {"x": {"not": {}}}}, "x", "", id="not-anything"),
        pytest.param({"patternProperties": {"^n_": WHOLE}}, "n_a", "integer", id="by-pattern"),
        pytest.param({"patternProperties": {"^n_": WHOLE}}, "x", ANY, id="not-by-pattern"),
        pytest.param({"patternProperties": {"^n": {"type": ["integer", "string"]}, "x$": WHOLE}},
                     "nx", "integer", id="by-two-patterns"),
        pytest.param({"properties": {"n": {"type": ["integer", "null"]}},
                      "patternProperties": {"^n": WHOLE}}, "n", "integer",
                     id="by-name-and-by-pattern"),
        pytest.param({"patternProperties": {"^n_": WHOLE}, "additionalProperties": False}, "x", "",
                     id="neither-by-pattern-nor-additional"),
        pytest.param({"patternProperties": {r"^\p{Greek}$": WHOLE}, "additionalProperties": False},
                     "λ", "integer", id="patterns-are-the-validators"),
        pytest.param({"patternProperties": {f"^a{n}$": WHOLE for n in range(65)},
                      "additionalProperties": False}, "x", ANY, id="more-patterns-than-are-read"),
        pytest.param({"allOf": [{"patternProperties": {f"^{a}{n}$": WHOLE for n in range(40)},
                                 "additionalProperties": a == "a"} for a in "ab"]}, "x", ANY,
                     id="more-patterns-in-all-than-are-read"),
        pytest.param({"propertyNames": {"pattern": "^[a-z]+$"}}, "A", "", id="not-such-a-name"),
        pytest.param({"propertyNames": {"enum": ["a"]}}, "b", "", id="not-among-names"),
        pytest.param({"propertyNames": {"maxLength": 2}}, "abc", "", id="too-long-a-name"),
        pytest.param({"propertyNames": {"maxLength": 2}}, "ab", ANY, id="such-a-name"),
        pytest.param({"propertyNames": False}, "a", "", id="no-name"),
        pytest.param({"maxProperties": 0}, "a", "", id="no-field"),
        pytest.param(IF, "t", ANY, id="in-then"),
        pytest.param({**IF, "else": False}, "t", "integer number", id="only-then"),
        pytest.param({**IF, "unevaluatedProperties": False}, "u", ANY, id="in-else-of-closed"),
        pytest.param({**IF, "unevaluatedProperties": False}, "k", ANY, id="in-if-of-closed"),
        pytest.param({**IF, "unevaluatedProperties": False}, "q", "", id="in-none-of-closed"),
        pytest.param({"if": {"required": ["a"]}, "then": {"properties": {"a": WHOLE}},
                      "else": {"properties": {"a": TEXT}}}, "a", "integer string",
                     id="of-either-branch"),
        pytest.param({"dependentSchemas": {"a": {"properties": {"b": TEXT}}},
                      "unevaluatedProperties": False}, "b", ANY, id="by-a-dependent-schema"),
        pytest.param({"dependentSchemas": {"a": {"properties": {"b": TEXT}}},
                      "unevaluatedProperties": False}, "c", "", id="by-no-dependent-schema"),
        pytest.param({"dependencies": {"a": {"properties": {"b": TEXT}}}}, "b", ANY,
                     id="by-a-dependency-of-draft-7"),
        pytest.param({"allOf": [{"properties": {"a": TEXT}}], "unevaluatedProperties": False}, "a",
                     "string", id="evaluated-by-a-part"),
        pytest.param({"allOf": [{"properties": {"a": TEXT}}], "unevaluatedProperties": WHOLE}, "b",
                     "integer", id="not-evaluated"),
        pytest.param({"allOf": [{"properties": {"a": TEXT}}, {"unevaluatedProperties": False}]},
                     "a", "", id="evaluated-by-a-cousin-only"),
        pytest.param({"properties": {"a": TEXT}, "not": {"properties": {"b": TEXT}},
                      "unevaluatedProperties": False}, "b", "", id="not-evaluates-nothing"),
        pytest.param({"anyOf": [{"properties": {"a": WHOLE}, "additionalProperties": False},
                                {"properties": {"b": TEXT}, "additionalProperties": False}]}, "a",
                     "integer", id="in-one-of-several"),
        pytest.param({"oneOf": [{"type": "null"}, {"properties": {"a": WHOLE}, "type": "object",
                      "additionalProperties": False}]}, "b", "", id="in-none-of-several"),
        pytest.param({"allOf": [{"properties": {"a": NUMBER}}, {"properties": {"a": WHOLE}}]}, "a",
                     "integer", id="said-twice"),
        pytest.param({"type": "string"}, "a", "", id="a-text-has-no-field"),
        pytest.param({"const": {"a": 1}}, "b", "", id="not-in-the-only-value"),
        pytest.param({"enum": [{"a": 1}, {"b": 1}]}, "b", ANY, id="in-one-of-the-values"),
        pytest.param(TREE, "next.next.next.v", "integer", id="recursive"),
        pytest.param(TREE, ".".join(["next"] * 60 + ["w"]), "", id="recursive-and-closed"),
        pytest.param({"properties": {"kids": {"items": {"$ref": "#"}}, "v": WHOLE}},
                     "kids.3.kids.0.v", "integer", id="recursive-through-lists"),
        pytest.param({"prefixItems": [TEXT], "items": WHOLE}, "0", "string", id="the-first-item"),
        pytest.param({"prefixItems": [TEXT], "items": WHOLE}, "1", "integer", id="another-item"),
        pytest.param({"prefixItems": [TEXT], "items": False}, "1", "", id="no-other-item"),
        pytest.param({"maxItems": 1}, "1", "", id="past-the-last-item"),
        *(
            pytest.param({"prefixItems": [TEXT] * (at + first), "items": WHOLE}, str(at), kind,
                         id=f"item-{at}-{kind}")
            for at in (63, 64, 65, 255, 256, 900)
            for first, kind in ((0, "integer"), (1, "string"))
        ),
        pytest.param({"prefixItems": [TEXT] * 200, "items": False}, "200", "", id="no-201st-item"),
        pytest.param({"maxItems": 100}, "100", "", id="past-the-hundredth-item"),
        pytest.param({"prefixItems": [TEXT]}, "9" * 30, ANY, id="an-item-that-no-list-has"),
        pytest.param({"allOf": [{"prefixItems": [TEXT]}], "unevaluatedItems": False}, "1", "",
                     id="an-item-not-evaluated"),
        pytest.param({"contains": TEXT, "unevaluatedItems": WHOLE}, "0", ANY,
                     id="an-item-that-contains-may-evaluate"),
        pytest.param({"$ref": "#/definitions/a", "definitions": {"a": {"properties": {"x": TEXT}}}},
                     "x", "string", id="definitions-of-draft-7"),
        pytest.param({"properties": {"a": {"$ref": "#here"}}, "$defs": {"q": {"$anchor": "here",
                      "type": "string"}}}, "a", "string", id="an-anchor"),
        pytest.param({"properties": {"a": {"$ref": "#/$defs/a~1b%20c"}},
                      "$defs": {"a/b c": TEXT}}, "a", "string", id="an-escaped-pointer"),
        pytest.param({"properties": {"a": {"$ref": "#/examples/0"}}, "examples": [TEXT]}, "a",
                     "string", id="a-pointer-to-where-no-schema-stands"),
        pytest.param(RESOURCES, "a", "string", id="a-pointer-within-an-id"),
        pytest.param(RESOURCES, "b", "integer", id="a-pointer-outside-of-that-id"),
        pytest.param(GENERIC_LIST, "next.next.v", "string", id="a-dynamic-reference"),
        pytest.param({"$id": "https://example.org/whole", "$dynamicAnchor": "item",
                      "properties": {"v": WHOLE, "in": {**GENERIC_LIST, "$id": "list"}}},
                     "in.next.v", "integer string", id="a-dynamic-reference-that-may-lead-to-two"),
    ],
)  # fmt: skip
def test_what_may_be_at_a_path(schema, path, expected):
    DataSchema(schema)  # the validator takes it
    assert said(schema, path) == expected


def test_what_is_required_in_every_way_is_there():
    schema = {
        "required": ["a"],
        "anyOf": [{"required": ["b", "c"]}, {"allOf": [{"required": ["b"]}]}],
        "if": {"required": ["d"]},
    }
    found = values_of(schema)
    assert found.required == {"a", "b"}


def test_a_field_that_is_not_named_is_allowed_by_silence_only_where_nothing_is_said_of_others():
    silent = values_of({"properties": {"speed": NUMBER}})
    assert silent.allows_by_silence("note")
    assert not silent.misspelt("note")
    assert silent.misspelt("sped")
    assert silent.property("sped").possible
    for word in ("additionalProperties", "unevaluatedProperties"):
        assert not values_of({"properties": {"speed": NUMBER}, word: True}).misspelt("sped")
    assert not values_of({"type": "object"}).allows_by_silence("note")


RULE = """
rules:
  - rule: r
    watch: {x: {feed: lab.x}}
    when: WHEN
    do: [{invoke: {application: a, action: b}}]
"""


@pytest.mark.parametrize(
    ("when", "refused", "warned"),
    [
        pytest.param("x.data.o.e > 1.0", "", "", id="named-beside-a-reference"),
        pytest.param("x.data.o.z == 'q'", "", "", id="named-behind-it"),
        pytest.param("x.data.o.note == 'q'", "", '"data.o.note"', id="allowed-by-silence"),
        pytest.param("x.data.o.note.text == 'q'", "", '"data.o.note"', id="and-what-is-in-it"),
        pytest.param("x.data.closed.v > 1", "", "", id="named-by-a-part-of-what-is-closed"),
        pytest.param("x.data.closed.w > 1", 'no field "data.closed.w"; it has v', "", id="closed"),
        pytest.param("x.data.zone == 'q'", 'did you mean "zones"', "", id="looks-misspelt"),
        pytest.param("x.data.closed.v == 'q'", "is number, and is compared", "", id="its-type"),
        pytest.param("x.data['n 1'] > 1", "", "", id="by-a-pattern"),
        pytest.param("x.data['n 1'] == 'q'", "is number", "", id="its-type-by-a-pattern"),
        pytest.param(
            "x.data['n 2!'] > 1",
            "no value is all of that",
            "",
            id="patterns-that-no-value-fulfils-together",
        ),
    ],
)
def test_what_a_rule_may_read(when, refused, warned):
    schema = {
        "properties": {
            "o": {"$ref": "#/$defs/b", "properties": {"e": NUMBER}},
            "closed": {"allOf": [{"properties": {"v": WHOLE}}], "unevaluatedProperties": False},
            "more": {"properties": {"zones": {"type": "array"}}},
        },
        "allOf": [{"patternProperties": {"^n ": WHOLE, "!$": TEXT}}],
        "$defs": BASE,
    }
    if "zone" in when:
        schema = schema["properties"]["more"]
    text = RULE.replace("WHEN", when)
    faults = " ".join(faults_of(text, {"lab.x": schema}))
    assert refused in faults
    assert bool(refused) == bool(faults)
    if not refused:
        (rule,) = rules_of(text, schemas={"lab.x": schema}).rules.values()
        assert warned in " ".join(rule.warnings)
        assert bool(warned) == bool(rule.warnings)


def doubling(word: str) -> dict[str, Any]:
    """Each level refers to the next one twice: 2 to the power of 40 ways."""
    steps = {
        f"s{n}": {word: [{"$ref": f"#/$defs/s{n + 1}"}, {"$ref": f"#/$defs/s{n + 1}"}]}
        for n in range(40)
    }
    return {"$ref": "#/$defs/s0", "$defs": {**steps, "s40": {"properties": {"a": WHOLE}}}}


CHAIN = {"$ref": "#/$defs/s0",
         "$defs": {**{f"s{n}": {"$ref": f"#/$defs/s{n + 1}"} for n in range(5_000)},
                   "s5000": TEXT}}  # fmt: skip
WIDE = {
    "properties": {
        name: {"anyOf": [{"$ref": "#"}, {"$ref": f"#/properties/{other}"}, {"type": "null"}]}
        for name, other in zip("abcdef", "bcdefa", strict=True)
    },
    "unevaluatedProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        pytest.param(doubling("allOf"), "a", id="references-that-double"),
        pytest.param(doubling("anyOf"), "a", id="alternatives-that-double"),
        pytest.param(CHAIN, "a", id="a-chain-of-references"),
        pytest.param({"$ref": "#"}, "a", id="a-reference-to-itself"),
        pytest.param({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"},
                      "b": {"$ref": "#/$defs/a"}}}, "a", id="references-in-a-circle"),
        pytest.param(WIDE, ".".join("abcdef" * 8), id="alternatives-within-each-other"),
    ],
)  # fmt: skip
def test_a_schema_that_is_too_much_work_is_given_up_on(schema, path):
    assert at(schema, path).possible


def test_names_of_events_are_remembered_up_to_a_bound():
    found = values_of({"patternProperties": {"^n": WHOLE, "x$": TEXT}})
    for number in range(5_000):
        assert found.property(f"n{number}").whole
        assert not found.property(f"m{number}").known
    assert found.property("n1") is found.property("n4999")
    assert len(found._unnamed) == MOST_NAMES
    many = values_of({"patternProperties": dict.fromkeys("abcdefghij", WHOLE)})
    for number in range(1_024):
        name = "".join(letter for at, letter in enumerate("abcdefghij") if number >> at & 1)
        many.property(name)
    assert len(many._by_conditions) <= MOST_NAMES


def test_what_is_remembered_of_paths_is_bounded_and_the_same() -> None:
    names = [f"field{number}" for number in range(2 * MOST_FOUND)]
    properties = {name: {"type": "string"} for name in names}
    schema = FeedSchema("traffic.jams", {"properties": properties, "additionalProperties": False})
    for _ in range(2):
        for name in names:
            assert schema.find(("data", name)).types == {"string"}
        assert schema.find(("data", "another")).missing == 1
    assert len(schema._found) == MOST_FOUND
