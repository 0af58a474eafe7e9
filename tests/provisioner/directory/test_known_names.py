"""What a name is to one account, and that it looks like nothing to all others."""

from __future__ import annotations

import pytest

from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_any
from provisioner.directory.claims import (
    Contest,
    DirectoryAccount,
    DirectoryClaim,
    Holder,
    Listed,
)
from provisioner.directory.known_names import NOTHING, KnownName, NameState, known_name

NOW_MS, LIFE_MS = 1_000_000, 1_000
HOLDER = Holder(account="anna", life_ms=LIFE_MS, proved_ms=5, findable=True)
HELD = DirectoryClaim(holders=(HOLDER,))
CONTEST = Contest(account="mallory", since_ms=10, until_ms=2_000_000)
CONTESTED = DirectoryClaim(holders=(HOLDER,), contest=CONTEST)
HANDLE = DirectoryClaim(holders=(HOLDER,), handle="mia")
FREED = DirectoryClaim(handle="mia", freed_by="anna", freed_life_ms=LIFE_MS, until_ms=NOW_MS + 1)


def is_to(
    account: str,
    text: str,
    claim: DirectoryClaim | None,
    *,
    listed: bool = True,
    first_ms: int = LIFE_MS,
    now_ms: int = NOW_MS,
) -> KnownName:
    name = read_any(text)
    assert isinstance(name, Identifier)
    one = Listed(key="k", request="r", kind=name.kind.value)
    record = DirectoryAccount(listed=(one,) if listed else ())
    return known_name(name, claim, record, "k", account=account, first_ms=first_ms, now_ms=now_ms)


MAIL, MIA = "mailto:anna@mail.example", "@mia"


@pytest.mark.parametrize(
    ("text", "claim", "known"),
    [
        (MAIL, HELD, KnownName(state=NameState.HELD, claim_ms=5, findable=True)),
        (MIA, HANDLE, KnownName(state=NameState.HELD, claim_ms=5, findable=True)),
        (MAIL, CONTESTED, KnownName(
            state=NameState.CONTESTED, claim_ms=5, end_ms=2_000_000, findable=True)),
        (MIA, FREED, KnownName(state=NameState.QUARANTINED, end_ms=NOW_MS + 1)),
        (MAIL, None, NOTHING),
    ],
    ids=["an address", "a handle", "contested", "given back", "nobody's"],
)  # fmt: skip
def test_to_who_has_it_it_is_what_it_is_and_to_all_others_nothing(
    text: str, claim: DirectoryClaim | None, known: KnownName
) -> None:
    assert is_to("anna", text, claim) == known
    assert is_to("carla", text, claim) == NOTHING
    if known is not NOTHING:  # somebody of the same id, in another life
        assert is_to("anna", text, claim, first_ms=2_000) == NOTHING


def test_who_contests_it_is_told_so() -> None:
    found = is_to("mallory", MAIL, CONTESTED, listed=False)
    assert found == KnownName(state=NameState.CONTESTING, end_ms=2_000_000)


def test_what_no_record_lists_is_not_had() -> None:
    assert is_to("anna", MAIL, HELD, listed=False) == NOTHING


def test_a_quarantine_ends_and_a_look_alike_is_another_name() -> None:
    assert is_to("anna", MIA, FREED, now_ms=NOW_MS + 1) == NOTHING
    assert is_to("anna", "@rnia", HANDLE) == NOTHING
    assert is_to("anna", "@rnia", FREED) == NOTHING
