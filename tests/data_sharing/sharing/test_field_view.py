"""What an audience is shown of an event: what all of its readers may see, and nothing besides."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.event import Event
from data_sharing.sharing.audience import OPERATORS, PLANS, RULES, Audience
from data_sharing.sharing.consent import NO_CONSENTS, Consent
from data_sharing.sharing.field_view import FieldView
from data_sharing.sharing.fields import field_of, path_of
from data_sharing.sharing.policy import FeedPolicy, GrantSpec

PURPOSE = "Be on time."
SECRET = b"s" * 32
DATA = {
    "minutes": 50, "born": "1990-05-01", "name": "Anna", "at": {"lat": 52.5, "lon": 13.4},
    "stops": [{"name": "Mitte"}], "note": None,
}  # fmt: skip


class Given:
    """Consents that hold."""

    def __init__(self, *consents: Consent) -> None:
        self._consents = consents

    def of(self, tenant: str, subject: str, /) -> list[Consent]:
        return [one for one in self._consents if (one.tenant, one.subject) == (tenant, subject)]


def consent(consumer: str = "lamp", purpose: str = PURPOSE, **more: Any) -> Consent:
    return Consent(
        id="c1", tenant="home", subject="anna", consumer=consumer, purpose=purpose, **more
    )


def event(data: dict[str, Any] | None = None, key: str = "anna") -> Event:
    return Event("home", "/road", "e1", "traffic", key, 1, DATA if data is None else data, "anna")


def grant(*fields: str, **more: Any) -> dict[str, Any]:
    return {
        "purpose": PURPOSE, "fields": list(fields), "applications": ["lamp"], "basis": "contract",
    } | more  # fmt: skip


def view(*grants: dict[str, Any], readers: tuple[str, ...] = ("lamp",), **more: Any) -> FieldView:
    policy = FeedPolicy(
        feed="traffic", grants=msgspec.convert(list(grants), list[GrantSpec]), **more
    )
    return FieldView(policy, Audience(frozenset(readers), PURPOSE), SECRET)


def shown(made: FieldView, *consents: Consent, of: Event | None = None) -> Any:
    """The data; None: the event does not exist."""
    found = made.of(of or event(), Given(*consents))
    return None if found is None else found[0].data


def test_what_is_not_granted_is_not_there() -> None:
    assert shown(view(grant("/minutes", "/at/lat"))) == {"minutes": 50, "at": {"lat": 52.5}}


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(grant("/minutes", applications=["heating"]), id="granted-to-another"),
        pytest.param(grant("/minutes", purpose="Advertise."), id="granted-for-another-purpose"),
        pytest.param(grant("/minutes", basis="consent"), id="nobody-has-consented"),
        pytest.param(grant("/minutes", applications=[], tenant=["rules"]), id="the-tenants-rules"),
    ],
)
def test_who_is_granted_nothing_does_not_hear_of_the_event(one: dict[str, Any]) -> None:
    assert shown(view(one)) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(consent(), {"minutes": 50, "name": "Anna"}, id="to-all"),
        pytest.param(consent(fields=("/minutes",)), {"minutes": 50}, id="to-one-field"),
        pytest.param(consent(feed="traffic", fields=("",)), {"minutes": 50, "name": "Anna"},
                     id="to-all-of-the-data"),
        pytest.param(consent(feed="weather"), None, id="for-another-feed"),
        pytest.param(consent("heating"), None, id="to-another-application"),
        pytest.param(consent(""), None, id="to-the-tenant"),
        pytest.param(consent(purpose="Advertise."), None, id="for-another-purpose"),
    ],
)  # fmt: skip
def test_consent_is_to_somebody_for_something(given: Consent, expected: Any) -> None:
    assert shown(view(grant("/minutes", "/name", basis="consent")), given) == expected


def test_consent_is_that_of_whom_the_event_is_about() -> None:
    of_name = view(grant("/minutes", basis="consent"), subject="/name")
    anna = msgspec.structs.replace(consent(), subject="Anna")
    assert shown(of_name, anna) == {"minutes": 50}
    assert shown(of_name, anna, of=event({"minutes": 50, "name": "Ben"})) is None
    assert shown(of_name, anna, of=event({"minutes": 50})) is None


def test_of_several_readers_the_narrowest_counts() -> None:
    both = view(
        grant("/minutes", "/name"),
        grant("/minutes", "/at", applications=[], tenant=["rules"]),
        readers=("lamp", RULES),
    )
    assert shown(both) == {"minutes": 50}
    assert shown(view(grant("/minutes"), readers=("lamp", PLANS))) is None


def test_of_several_grants_the_widest_counts() -> None:
    made = view(grant("/at", masks={"/name": "hash"}), grant("/name"))
    assert shown(made) == {"at": DATA["at"], "name": "Anna"}


@pytest.mark.parametrize(
    ("mask", "field", "expected"),
    [
        pytest.param("null", "/name", None, id="null"),
        pytest.param("year", "/born", "1990", id="the-year-of-a-date"),
        pytest.param({"prefix": 2}, "/name", "An", id="how-a-text-begins"),
    ],
)
def test_a_mask_is_shown_instead(mask: Any, field: str, expected: Any) -> None:
    assert shown(view(grant("/minutes", masks={field: mask}))) == {
        "minutes": 50, field[1:]: expected,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mask", "field"),
    [
        pytest.param("drop", "/name", id="drop"),
        pytest.param("year", "/name", id="no-date"),
        pytest.param("year", "/minutes", id="a-number-has-no-year"),
        pytest.param({"prefix": 2}, "/minutes", id="a-number-has-no-beginning"),
        pytest.param("hash", "/at", id="an-object"),
        pytest.param("hash", "/stops", id="a-list"),
    ],
)
def test_a_mask_that_does_not_fit_hides(mask: Any, field: str) -> None:
    assert field[1:] not in shown(view(grant("", masks={field: mask})))


def test_what_is_within_what_is_granted_can_be_hidden() -> None:
    assert shown(view(grant("/at", "/stops", masks={"/at/lat": "drop"}))) == {
        "at": {"lon": 13.4}, "stops": DATA["stops"],
    }  # fmt: skip
    # No pointer leads into a list: it is hidden with what its items must not show.
    assert shown(view(grant("/minutes", "/stops", masks={"/stops/name": "drop"}))) == {
        "minutes": 50
    }


def test_a_pseudonym_is_the_same_within_a_purpose_alone() -> None:
    hashed = grant("/minutes", masks={"/name": "hash"})
    other = grant("/minutes", masks={"/name": "hash"}, purpose="Advertise.")
    here = shown(view(hashed))["name"]
    policy = FeedPolicy(feed="traffic", grants=msgspec.convert([other], list[GrantSpec]))
    audience = Audience(frozenset(("lamp",)), "Advertise.")
    assert here == shown(view(hashed))["name"]
    assert here != "Anna"
    assert here != shown(FieldView(policy, audience, SECRET))["name"]
    assert here != shown(FieldView(view_policy(hashed), view_audience(), b"t" * 32))["name"]


def view_policy(one: dict[str, Any]) -> FeedPolicy:
    return FeedPolicy(feed="traffic", grants=msgspec.convert([one], list[GrantSpec]))


def view_audience() -> Audience:
    return Audience(frozenset(("lamp",)), PURPOSE)


def test_key_and_subject_are_shown_where_they_are_granted() -> None:
    hidden = view(grant("/minutes")).of(event(), NO_CONSENTS)
    granted = view(grant("/minutes", "key", "subject")).of(event(), NO_CONSENTS)
    assert hidden is not None
    assert granted is not None
    assert (granted[0].key, granted[0].subject) == ("anna", "anna")
    assert hidden[0].subject == ""
    assert hidden[0].key not in ("", "anna")
    # Order per key, windows and joins go by the pseudonym: it is the key's alone.
    again = view(grant("/minutes")).of(event({"minutes": 1}), NO_CONSENTS)
    other = view(grant("/minutes")).of(event(key="ben"), NO_CONSENTS)
    assert again is not None
    assert other is not None
    assert again[0].key == hidden[0].key != other[0].key


def test_what_is_shown_is_told_for_people() -> None:
    selection = view(grant("/minutes", "key", masks={"/name": "hash"})).widest
    assert selection is not None
    assert selection.fields == ("/minutes", "/name (hash)", "key")
    assert selection.shows(path_of("/minutes"))
    assert not selection.shows(path_of("/name"))
    assert not selection.shows(path_of(""))


NAMES = st.sampled_from(["a", "b", "c"])
POINTERS = st.lists(NAMES, max_size=3).map(lambda steps: "".join(f"/{one}" for one in steps))
VALUES: Any = st.recursive(
    st.integers(0, 9), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
GRANTS = st.builds(
    lambda fields, masks, basis, who: {
        "purpose": PURPOSE, "fields": fields, "masks": dict.fromkeys(masks, "drop"),
        "basis": basis, **who,
    },
    st.lists(POINTERS, min_size=1, max_size=3),
    st.lists(POINTERS, max_size=2),
    st.sampled_from(["consent", "contract"]),
    st.sampled_from([{"applications": ["lamp"]}, {"tenant": ["rules"]}, {"tenant": ["operators"]}]),
)  # fmt: skip


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for name, one in value.items():
            found |= leaves(one, f"{at}/{name}")
        return found
    return {at: value}


@given(
    st.lists(GRANTS, max_size=4),
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.lists(st.lists(POINTERS, max_size=2), max_size=2),
)
def test_more_readers_see_less_and_more_consents_show_more(
    grants: list[dict[str, Any]], data: dict[str, Any], fields: list[list[str]]
) -> None:
    one, many = view(*grants), view(*grants, readers=("lamp", RULES, OPERATORS))
    consents = [consent(who, fields=tuple(some)) for some in fields for who in ("lamp", "")]
    seen = leaves(shown(one, *consents, of=event(data)) or {})
    assert leaves(shown(many, *consents, of=event(data)) or {}).items() <= seen.items()
    assert leaves(shown(one, of=event(data)) or {}).items() <= seen.items()
    # Whatever is shown is there, and some grant with some basis has it.
    assert seen.items() <= leaves(data).items()
    for path in seen:
        assert any(
            "applications" in made
            and (made["basis"] == "contract" or any(_within(path, some) for some in fields))
            and _within(path, made["fields"])
            for made in grants
        )


def _within(path: str, fields: list[str]) -> bool:
    return not fields or any(f"{path}/".startswith(f"{one}/") for one in fields)


@given(st.lists(st.text(max_size=5), max_size=4))
def test_a_field_is_written_as_it_is_read(steps: list[str]) -> None:
    path = ("data", *steps)
    assert path_of(field_of(path)) == path


@pytest.mark.parametrize("field", ["minutes", "/~", "/~5", "/a/0/~2", "/a~", "~0"])
def test_what_is_no_json_pointer_is_no_field(field: str) -> None:
    with pytest.raises(ValueError, match="nor a JSON Pointer"):
        path_of(field)
