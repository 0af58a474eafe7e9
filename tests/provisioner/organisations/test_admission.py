"""Who may be in a group, and who may accept an invitation."""

from __future__ import annotations

import msgspec
import pytest

from provisioner.organisations.admission import (
    Admitted,
    InvitedTo,
    JoiningAccount,
    NotAdmitted,
    admit,
    judge_acceptance,
)
from provisioner.organisations.policy import Openness, OrganisationPolicy
from provisioner.organisations.routing import (
    Choose,
    InviteRule,
    NewAccount,
    NotRouted,
    ToAccount,
)

OPEN = OrganisationPolicy()
LAUNCH = InvitedTo(organisation="contoso", group="launch", guests=True)
INSIDE = InvitedTo(organisation="contoso", group="board", guests=False)
BEN = JoiningAccount(account="ben", organisation="contoso")
GUEST = JoiningAccount(account="carla", organisation="fabrikam")
NOBODYS = JoiningAccount(account="dev")


def policies(**changes: dict[str, object]) -> dict[str, OrganisationPolicy]:
    return {
        name: msgspec.structs.replace(OPEN, **changes.get(name, {}))
        for name in ("contoso", "fabrikam")
    }


CLOSED = {"guests": Openness.NOBODY}
LISTED = {"guests": Openness.LISTED, "guests_of": ("fabrikam",)}
OTHERS = {"guests": Openness.LISTED, "guests_of": ("northwind",)}


@pytest.mark.parametrize(
    ("invited", "account", "given", "rule"),
    [
        pytest.param(LAUNCH, BEN, policies(contoso=CLOSED), "", id="a member is no guest"),
        pytest.param(INSIDE, BEN, policies(), "", id="nor in a group without guests"),
        pytest.param(LAUNCH, GUEST, policies(), "", id="a guest"),
        pytest.param(LAUNCH, NOBODYS, policies(), "", id="a guest of no organisation"),
        pytest.param(INSIDE, GUEST, policies(), "GROUP_WITHOUT_GUESTS", id="without guests"),
        pytest.param(LAUNCH, GUEST, policies(contoso=CLOSED), "GUESTS_FORBIDDEN", id="forbidden"),
        pytest.param(LAUNCH, GUEST, policies(contoso=LISTED), "", id="listed"),
        pytest.param(LAUNCH, GUEST, policies(contoso=OTHERS), "GUESTS_FORBIDDEN", id="not listed"),
        pytest.param(LAUNCH, NOBODYS, policies(contoso=LISTED), "GUESTS_FORBIDDEN",
                     id="no organisation is on no list"),
        pytest.param(LAUNCH, GUEST, policies(fabrikam={"visits": Openness.NOBODY}),
                     "VISITS_FORBIDDEN", id="may not go out"),
        pytest.param(LAUNCH, GUEST,
                     policies(fabrikam={"visits": Openness.LISTED, "visits_to": ("contoso",)}),
                     "", id="may go there"),
        pytest.param(LAUNCH, GUEST, policies(fabrikam={"two_factors": True}), "TWO_FACTORS",
                     id="two factors of its own organisation"),
        pytest.param(LAUNCH, GUEST, policies(contoso={"two_factors": True}), "",
                     id="the other's are for its members"),
        pytest.param(LAUNCH, BEN, policies(contoso={"single_sign_on": True}), "SINGLE_SIGN_ON",
                     id="single sign-on of a member"),
        pytest.param(LAUNCH, JoiningAccount(
                         account="ben", organisation="contoso", single_sign_on=True,
                         two_factors=True),
                     policies(contoso={"single_sign_on": True, "two_factors": True}), "",
                     id="who has shown both"),
        pytest.param(LAUNCH, JoiningAccount(account="ben", organisation="contoso", active=False),
                     policies(), "SUSPENDED", id="suspended meanwhile"),
        pytest.param(InvitedTo(organisation="gone", group="x", guests=True), BEN, policies(),
                     "NO_GROUP", id="an organisation that is gone"),
    ],
)  # fmt: skip
def test_both_organisations_are_asked(invited, account, given, rule):
    found = admit(invited, account, given)
    assert isinstance(found, NotAdmitted if rule else Admitted)
    assert getattr(found, "rule", "") == rule


def accepted(route, account, *, has_address=True, given=None):
    return judge_acceptance(
        route, LAUNCH, account, has_address=has_address, policies=given or policies()
    )


def rule_of(judged) -> str:
    return judged.rule if isinstance(judged, NotAdmitted) else ""


def test_an_invitation_is_accepted_by_whom_it_goes_to():
    assert accepted(ToAccount(account="ben", why=()), BEN) == Admitted()
    assert rule_of(accepted(ToAccount(account="ben", why=()), GUEST)) == "NOT_ADDRESSED"
    choice = Choose(accounts=("ben", "carla"), why=())
    assert accepted(choice, GUEST) == Admitted()
    assert rule_of(accepted(choice, NOBODYS)) == "NOT_ADDRESSED"


def test_an_invitation_that_was_forwarded_is_not():
    new = NewAccount(organisation="contoso", why=())
    assert rule_of(accepted(new, NOBODYS, has_address=False)) == "NOT_ADDRESSED"


def test_a_new_account_becomes_a_member_by_it():
    new = NewAccount(organisation="contoso", why=())
    assert accepted(new, NOBODYS) == Admitted(joins="contoso")
    assert accepted(NewAccount(organisation="", why=()), NOBODYS) == Admitted()
    assert rule_of(accepted(new, GUEST)) == "NOT_ADDRESSED"  # of another organisation


def test_a_new_member_is_asked_for_what_members_show():
    given = policies(contoso={"two_factors": True})
    new = NewAccount(organisation="contoso", why=())
    assert rule_of(accepted(new, NOBODYS, given=given)) == "TWO_FACTORS"


def test_an_invitation_that_goes_nowhere_is_refused_by_that_rule():
    nowhere = NotRouted(rule=InviteRule.EXPIRED, why=())
    assert rule_of(accepted(nowhere, BEN)) == "EXPIRED"
