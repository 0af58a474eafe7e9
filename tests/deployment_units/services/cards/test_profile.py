"""The profile: what is shown, what gives way to a fallback, and what is refused where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.cards.card import MAX_BYTES, MAX_DEPTH, Card, CardFlawReason, Once
from deployment_units.services.cards.part_forms import part_forms
from deployment_units.services.cards.parts import CONTENTS, Places
from deployment_units.services.cards.profile import check
from tests.support.cards import card_of, coffee_card, document_of, submit, text_block

UNKNOWN = {"type": "Graph"}
MEDIA = {"type": "Media", "sources": [{"mimeType": "video/mp4", "url": "https://a.example/v"}]}


def nested(levels: int) -> dict[str, Any]:
    found = text_block("inside")
    for _ in range(levels):
        found = {"type": "Container", "items": [found]}
    return document_of(found)


@pytest.mark.parametrize(
    ("document", "reason", "pointer"),
    [
        pytest.param([], "NOT_A_CARD", "", id="a list"),
        pytest.param({"body": []}, "NOT_A_CARD", "", id="no type"),
        pytest.param({"type": "Message"}, "NOT_A_CARD", "/type", id="another type"),
        pytest.param(document_of(version="2.0"), "VERSION", "/version", id="too new"),
        pytest.param(document_of(version="new"), "VERSION", "/version", id="no version"),
        pytest.param(document_of(version=1.5), "VERSION", "/version", id="a number"),
        pytest.param(document_of(UNKNOWN), "TYPE", "/body/0/type", id="an unknown element"),
        pytest.param(document_of({"text": "a"}), "TYPE", "/body/0", id="an element without type"),
        pytest.param(document_of(submit()), "TYPE", "/body/0/type", id="a button as element"),
        pytest.param(document_of("text"), "FORM", "/body/0", id="a text as element"),
        pytest.param(document_of(None), "FORM", "/body/0", id="nothing as element"),
        pytest.param(document_of(text_block("a", colour="good")), "FORM", "/body/0/colour",
                     id="a property that is none"),
        pytest.param(document_of(text_block("a", color="green")), "FORM", "/body/0/color",
                     id="a value that is none"),
        pytest.param(document_of({"type": "TextBlock"}), "FORM", "/body/0", id="no text"),
        pytest.param(document_of(text_block(5)), "FORM", "/body/0/text", id="a number as text"),
        pytest.param({"type": "AdaptiveCard", "body": {}}, "FORM", "/body", id="no list"),
        pytest.param(document_of({"type": "FactSet", "facts": [{"title": "a"}]}), "FORM",
                     "/body/0/facts/0", id="half a fact"),
        pytest.param(document_of(text_block("a", **{"$when": "${x}"})), "TEMPLATE",
                     "/body/0/$when", id="a template's condition"),
        pytest.param(document_of(text_block("a", color="${if(x, 'good', 'dark')}")), "TEMPLATE",
                     "/body/0/color", id="a template's expression"),
        pytest.param(document_of(MEDIA), "MEDIA", "/body/0", id="media"),
        pytest.param(document_of(refresh={}), "HOST_SPECIFIC", "/refresh", id="refresh"),
        pytest.param(document_of(authentication={}), "HOST_SPECIFIC", "/authentication",
                     id="authentication"),
        pytest.param(document_of({"type": "Input.ChoiceSet", "id": "a", "choices.data": {}}),
                     "HOST_SPECIFIC", "/body/0/choices.data", id="choices of a host"),
        pytest.param(document_of(actions=[{"type": "Action.OpenUrl", "url": "http://a.example"}]),
                     "ADDRESS", "/actions/0/url", id="http"),
        pytest.param(document_of(actions=[{"type": "Action.Http", "url": "https://a.example"}]),
                     "TYPE", "/actions/0/type", id="a call that a host makes"),
        pytest.param(document_of(actions=[submit(id="a"), submit(id="a")]), "ID_TAKEN",
                     "/actions/1/id", id="two actions of one id"),
        pytest.param(document_of(actions=[submit(id="a\u202e")]), "FORM", "/actions/0/id",
                     id="an id that cannot be seen"),
        pytest.param(document_of({"type": "Input.Text", "id": "__proto__"}), "FORM", "/body/0/id",
                     id="an id under which browsers keep nothing"),
        pytest.param(document_of(actions=[submit(id="a" * 65)]), "FORM", "/actions/0/id",
                     id="a long id"),
        pytest.param(document_of(actions=[submit(once="never")]), "FORM", "/actions/0/once",
                     id="once, wrongly"),
        pytest.param(document_of({"type": "Input.Text", "id": "a"},
                                 {"type": "Input.Date", "id": "a"}), "ID_TAKEN",
                     "/body/1/id", id="two inputs of one id"),
        pytest.param(document_of({"type": "Input.Text"}), "FORM", "/body/0", id="no id"),
        pytest.param(document_of({"type": "Input.Text", "id": "a", "regex": "(?=a)b"}), "PATTERN",
                     "/body/0/regex", id="a pattern that looks around"),
        pytest.param(document_of({"type": "Input.Text", "id": "a", "regex": "(a{999}){999}"}),
                     "PATTERN", "/body/0/regex", id="a huge pattern"),
        pytest.param(document_of({"type": "Container", "items": [], "selectAction": {
            "type": "Action.ShowCard", "card": {}}}), "TYPE", "/body/0/selectAction/type",
            id="a container that opens a card"),
        pytest.param(nested(8), "TOO_DEEP", "/body/0" + "/items/0" * 7, id="too deep"),
        pytest.param(document_of(text_block("a" * MAX_BYTES)), "TOO_LARGE", "", id="too large"),
        pytest.param(document_of({"type": "Column", "items": []}), "TYPE", "/body/0/type",
                     id="a column without its set"),
    ],
)  # fmt: skip
def test_what_is_refused_says_where_and_why(document: Any, reason: str, pointer: str) -> None:
    for given_as in (json.dumps(document), json.dumps(document).encode(), document):
        if isinstance(given_as, list):
            continue
        flaws = check(given_as)
        assert isinstance(flaws, list)
        assert [(one.reason, one.pointer) for one in flaws] == [(CardFlawReason(reason), pointer)]
        assert flaws[0].message


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="half"),
        pytest.param(b'{"type": "AdaptiveCard", "minHeight": NaN}', id="not a number"),
        pytest.param(b'{"type": "AdaptiveCard", "x": 1e999}', id="an infinite number"),
        pytest.param(b'{"x": ' + b"9" * 5000 + b"}", id="a number of 5,000 digits"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b'{"type": "AdaptiveCard", "speak": "\\ud800"}', id="half a surrogate pair"),
        pytest.param("\ud800", id="a text that is no UTF-8"),
    ],
)
def test_what_is_not_json_is_refused(text: bytes | str) -> None:
    flaws = check(text)
    assert isinstance(flaws, list)
    assert [one.reason for one in flaws] == [CardFlawReason.NOT_JSON]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 16_000, id="lists"),
        pytest.param('{"a":' * 3_000, id="objects"),
        pytest.param("[" * 8_000 + "]" * 8_000, id="lists that end"),
    ],
)
def test_nesting_is_bounded_before_it_is_followed(text: str) -> None:
    flaws = check(text)
    assert isinstance(flaws, list)
    assert flaws[0].reason in (CardFlawReason.TOO_DEEP, CardFlawReason.NOT_JSON)


class Endless(dict[str, Any]):
    """A value of which it is counted how much of it was looked at."""

    seen = 0

    def items(self) -> Any:
        for number in range(10**6):
            self.seen += 1
            yield f"x{number}", number


def test_a_value_is_bounded_before_it_is_written() -> None:
    flaws = check(document_of(*[text_block("") for _ in range(200_000)]))
    assert isinstance(flaws, list)
    assert [one.reason for one in flaws] == [CardFlawReason.TOO_LARGE]
    endless = Endless(type="AdaptiveCard")
    flaws = check(endless)
    assert isinstance(flaws, list)
    assert [one.reason for one in flaws] == [CardFlawReason.TOO_LARGE]
    assert endless.seen < MAX_BYTES


@pytest.mark.parametrize("levels", [30, 400, 10_000])
def test_containers_without_end_are_refused_and_not_gone_into(levels: int) -> None:
    """Within the bytes of a card there is room for some 400 of them."""
    opened, closed = '{"type":"Container","items":[' * levels, "]}" * levels
    flaws = check('{"type":"AdaptiveCard","version":"1.5","body":[' + opened + closed + "]}")
    assert isinstance(flaws, list)
    wanted = CardFlawReason.TOO_DEEP if levels < 10_000 else CardFlawReason.TOO_LARGE
    assert [one.reason for one in flaws] == [wanted]


def test_as_deep_as_may_be() -> None:
    assert isinstance(check(nested((MAX_DEPTH - 3) // 2)), Card)


def test_a_byte_order_mark_is_no_part_of_a_card() -> None:
    assert isinstance(check(b"\xef\xbb\xbf" + json.dumps(document_of()).encode()), Card)


def test_every_flaw_is_told_at_once_in_order_up_to_fifty() -> None:
    flaws = check(document_of(*[UNKNOWN for _ in range(80)]))
    assert isinstance(flaws, list)
    assert [one.pointer for one in flaws] == [f"/body/{place}/type" for place in range(50)]


@pytest.mark.parametrize("patterns", [20, 21])
def test_patterns_are_counted(patterns: int) -> None:
    inputs = [{"type": "Input.Text", "id": f"a{n}", "regex": "a"} for n in range(patterns)]
    assert isinstance(check(document_of(*inputs)), Card) is (patterns == 20)


def test_a_property_that_is_misspelled_is_told_its_name() -> None:
    flaws = check(document_of(text_block("a", colour="good")))
    assert isinstance(flaws, list)
    assert 'did you mean "color"?' in flaws[0].message


def test_styles_are_taken_in_any_case_and_written_in_one() -> None:
    card = card_of(text_block("a", weight="BOLDER", size="extralarge"))
    assert card.document["body"] == [text_block("a", weight="bolder", size="extraLarge")]


# -- fallbacks -----------------------------------------------------------------------------

SHOWN = text_block("instead")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({**UNKNOWN, "fallback": SHOWN}, [SHOWN], id="its own"),
        pytest.param({**UNKNOWN, "fallback": "drop"}, [], id="to be dropped"),
        pytest.param({**MEDIA, "fallback": SHOWN}, [SHOWN], id="of media"),
        pytest.param({**UNKNOWN, "fallback": {**MEDIA, "fallback": SHOWN}}, [SHOWN], id="of one"),
        pytest.param(
            {"type": "Container", "items": [text_block("a"), UNKNOWN], "fallback": SHOWN},
            [SHOWN],
            id="of what it is in",
        ),
        pytest.param(
            {
                "type": "Container",
                "fallback": SHOWN,
                "items": [{"type": "Container", "items": [{**MEDIA}]}],
            },
            [SHOWN],
            id="of what that is in",
        ),
        pytest.param({**text_block("a"), "requires": {"acTest": "1.0"}}, [], id="none is needed"),
        pytest.param(
            {**text_block("a"), "requires": {"adaptiveCards": "1.6"}, "fallback": SHOWN},
            [SHOWN],
            id="of a newer version",
        ),
        pytest.param(
            {**text_block("a"), "requires": {"adaptiveCards": "1.2"}, "fallback": SHOWN},
            [text_block("a")],
            id="not where all is met",
        ),
        pytest.param(
            {**text_block("a"), "requires": {"adaptiveCards": "*"}}, [text_block("a")], id="any"
        ),
    ],
)
def test_what_is_not_shown_gives_way_to_its_fallback(body: Any, expected: list[Any]) -> None:
    assert card_of(body).document["body"] == expected


def test_a_fallback_is_held_to_the_profile() -> None:
    flaws = check(document_of({**UNKNOWN, "fallback": text_block("a", size="huge")}))
    assert isinstance(flaws, list)
    assert [one.pointer for one in flaws] == ["/body/0/fallback/size"]


def test_what_gave_way_has_no_buttons_and_no_inputs() -> None:
    gone = {
        "type": "Container",
        "items": [
            {"type": "Input.Text", "id": "a"},
            {"type": "ActionSet", "actions": [submit(id="a")]},
            text_block("a", size="huge"),
            UNKNOWN,
        ],
        "fallback": {"type": "Input.Text", "id": "a", "label": "another"},
    }
    card = card_of(gone, actions=[submit(id="b")])
    assert [one.id for one in card.actions] == ["b"]
    assert card.inputs["a"].label == "another"
    assert card.actions[0].inputs == ("a",)


def test_a_card_that_is_too_new_shows_what_it_says_in_its_place() -> None:
    card = card_of(text_block("not this"), version="99.0", fallbackText="Please update")
    assert [one["text"] for one in card.document["body"]] == ["Please update"]


def test_a_newer_card_that_uses_nothing_new_is_shown() -> None:
    assert card_of(text_block("a"), version="1.6").document["body"] == [text_block("a")]


def test_nothing_is_sent_on_that_fetches_or_speaks() -> None:
    card = card_of(
        {"type": "Container", "items": [], "backgroundImage": "https://a.example/b.png"},
        actions=[submit(iconUrl="https://a.example/i.png", id="a")],
        speak="<speak>a</speak>",
        backgroundImage={"url": "https://a.example/b.png", "fillMode": "Cover"},
    )
    assert "a.example" not in json.dumps(card.document)
    assert "speak" not in card.document


# -- buttons and inputs --------------------------------------------------------------------


def test_every_action_has_an_id() -> None:
    card = card_of(actions=[submit("One"), submit("Two", id="action-1"), submit("Three")])
    assert [one.id for one in card.actions] == ["action-1-2", "action-1", "action-3"]
    assert [one["id"] for one in card.document["actions"]] == [one.id for one in card.actions]


def test_a_button_without_a_title_that_can_be_seen_has_one() -> None:
    titles = ["", " ", "\u200b\u2060", "\n", "\u202e", "–"]
    card = card_of(actions=[submit(one) for one in titles] + [submit(" ", tooltip="More")])
    assert [one.title for one in card.actions] == ["Submit"] * 5 + ["–", "More"]


def test_an_action_sends_the_inputs_of_its_card_and_of_those_around_it() -> None:
    card = coffee_card()
    sent = {one.id: one.inputs for one in card.actions}
    assert sent == {"order": ("amount",), "later": (), "send": ("amount", "note")}


def test_actions_say_how_often_they_are_pressed() -> None:
    card = card_of(actions=[submit("a"), submit("b", once="CARD"), submit("c", once="repeat")])
    assert [one.once for one in card.actions] == [Once.VIEWER, Once.CARD, Once.REPEAT]


def test_buttons_of_the_second_kind_stand_behind_the_others() -> None:
    card = card_of(actions=[submit("a", mode="secondary"), submit("b"), submit("c")])
    assert [one["title"] for one in card.document["actions"]] == ["b", "c", "a"]


def test_the_document_is_not_the_one_that_came_in() -> None:
    given = document_of(text_block("a", weight="Bolder"), actions=[submit()])
    before = json.dumps(given)
    assert isinstance(check(given), Card)
    assert json.dumps(given) == before


def test_a_card_that_was_checked_is_right_and_the_same() -> None:
    card = coffee_card()
    again = check(card.document)
    assert isinstance(again, Card)
    assert (again, again.actions, again.inputs) == (card, card.actions, card.inputs)


# -- whatever is sent ----------------------------------------------------------------------

_types = sorted(part_forms())
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.sampled_from(_types),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "fallback", "items", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def _part(place: Places) -> st.SearchStrategy[Any]:
    """A part that may stand there, or nearly so."""
    return st.sampled_from(place.value.types).flatmap(_of_type)


def _of_type(type_: str) -> st.SearchStrategy[Any]:
    names = sorted(part_forms()[type_].properties.keys() - {"type"})
    held = {
        name: (st.lists(st.deferred(lambda h=holds: _part(h.place)), max_size=2)
               if holds.several else st.deferred(lambda h=holds: _part(h.place)))
        for name, holds in CONTENTS.get(type_, {}).items()
    }  # fmt: skip
    free = st.dictionaries(st.sampled_from(names), _values, max_size=3)
    return st.builds(
        lambda one, more: {"type": type_, **one, **more},
        free,
        st.fixed_dictionaries({}, optional=held),
    )


@given(_part(Places.CARD))
def test_any_document_is_a_card_or_has_flaws_that_point_into_it(document: Any) -> None:
    found = check(document)
    if isinstance(found, Card):
        assert check(found.document) == found
        return
    assert found
    for flaw in found:
        node: Any = document
        for step in flaw.pointer.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            assert step in node if isinstance(node, dict) else int(step) < len(node)
            node = node[step] if isinstance(node, dict) else node[int(step)]
