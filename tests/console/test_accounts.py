"""`homeport accounts`: each command asks the client's unit, with its ticket, for what it was told,
and says for people and programs what came back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from homeport.api.communication.v1 import profile_pb2 as pb
from homeport.api.communication.v1 import profile_pb2_grpc
from tests.support.command_line import CommandLine
from tests.support.fakes.server import Served

WORK = "mailto:anna@northwind.example"
UNTIL = Timestamp(seconds=1_800_000_000)
SETTINGS = pb.Settings(
    name="Anna [von] B",
    preferred=[pb.MODE_TEXT],
    identifiers=[
        pb.IdentifierSettings(
            identifier=pb.ProfileIdentifier(
                uri=WORK, shown="Anna@northwind.example", label="work", proved=True
            ),
            disclosed_to=pb.Audience(contacts=True, accounts=["dev"]),
            state=pb.NAME_STATE_CONTESTED,
            end_time=UNTIL,
            findable=True,
        ),
        pb.IdentifierSettings(identifier=pb.ProfileIdentifier(uri="tel:+442079460301")),
    ],
    reachabilities=[pb.Reachability(mode=pb.MODE_IN_APP, open_to=pb.Audience(everyone=True))],
    handles=[pb.ProfileHandle(handle="anna", state=pb.NAME_STATE_HELD)],
)
ANSWERS = {
    "BeginProof": pb.BeginProofResponse(channel="mail", expire_time=UNTIL, tries_left=5),
    "ConfirmIdentifier": pb.ConfirmIdentifierResponse(settings=SETTINGS),
    "ClaimHandle": pb.ClaimHandleResponse(handle="anna", settings=SETTINGS),
    "ReleaseHandle": pb.ReleaseHandleResponse(released=True, settings=SETTINGS),
    "OfferHandle": pb.OfferHandleResponse(offer="an-offer", expire_time=UNTIL),
    "AcceptHandle": pb.AcceptHandleResponse(handle="anna", settings=SETTINGS),
}


class FakeProfiles(profile_pb2_grpc.ProfileServiceServicer):
    """A unit whose account is as SETTINGS say; keeps what it was asked, and by whom."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Message]] = []
        self.shown: set[str] = set()
        self.refusal: tuple[grpc.StatusCode, str] | None = None

    def _heard(self, method: str, request: Message, context: grpc.ServicerContext) -> None:
        self.asked.append((method, request))
        self.shown.add(str(dict(context.invocation_metadata())["authorization"]))
        if self.refusal is not None:
            context.abort(*self.refusal)

    def GetProfile(self, request, context):
        self._heard("GetProfile", request, context)
        seen = [one.identifier for one in SETTINGS.identifiers]
        return pb.GetProfileResponse(
            name=SETTINGS.name, identifiers=seen, vcard="BEGIN:VCARD", modes=[pb.MODE_IN_APP]
        )

    def Reach(self, request, context):
        self._heard("Reach", request, context)
        why = [pb.Reason(rule="asked", clause="not open to this viewer", value="mail")]
        if request.asked == pb.MODE_MAIL:
            return pb.ReachResponse(why=why)
        return pb.ReachResponse(mode=pb.MODE_TEXT, uri="tel:+442079460301", why=why)

    def ChangeContacts(self, request, context):
        self._heard("ChangeContacts", request, context)
        return pb.ChangeContactsResponse(contacts=3)

    def ListContacts(self, request, context):
        self._heard("ListContacts", request, context)
        more = not request.after
        return pb.ListContactsResponse(contacts=["ben", "carla"] if more else ["dev"], more=more)


def _changed(method: str):
    def answer(self, request, context):
        self._heard(method, request, context)
        if method == "ConfirmIdentifier" and request.code == "0":
            return pb.ConfirmIdentifierResponse(contest_end_time=UNTIL, settings=SETTINGS)
        return ANSWERS.get(method, SETTINGS)

    return answer


for _method in (
    "GetSettings", "UpdateProfile", "AddIdentifier", "RemoveIdentifier", "SetDisclosure",
    "SetReachability", *ANSWERS,
):  # fmt: skip
    setattr(FakeProfiles, _method, _changed(_method))


@pytest.fixture
def unit(service: Served) -> Iterator[FakeProfiles]:
    """The unit where alice is at home."""
    profiles = FakeProfiles()
    server = grpc.server(ThreadPoolExecutor(4))
    profile_pb2_grpc.add_ProfileServiceServicer_to_server(profiles, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert service.provisioning is not None
    service.provisioning.unit_endpoint = f"127.0.0.1:{port}"
    try:
        yield profiles
    finally:
        server.stop(None).wait(10)


@pytest.fixture
def alice(cli: CommandLine, unit: FakeProfiles) -> FakeProfiles:
    assert cli("provision", "alice", "--ip", "203.0.113.9").code == 0
    return unit


MAIL = pb.MODE_MAIL
PREFERRED = pb.ModeList(modes=[pb.MODE_MAIL, pb.MODE_IN_APP])
SOME = pb.Audience(contacts=True, accounts=["dev", "x:y"])


@pytest.mark.parametrize(
    ("words", "method", "request_"),
    [
        (["show"], "GetProfile", pb.GetProfileRequest()),
        (["show", "--as", "ben"], "GetProfile", pb.GetProfileRequest(viewer="ben")),
        (["show", "--as-stranger"], "GetProfile", pb.GetProfileRequest(as_stranger=True)),
        (["settings"], "GetSettings", pb.GetSettingsRequest()),
        (["set", "--name", "Anna"], "UpdateProfile", pb.UpdateProfileRequest(name="Anna")),
        (
            ["set", "--prefer", "mail", "--prefer", "in-app"],
            "UpdateProfile",
            pb.UpdateProfileRequest(preferred=PREFERRED),
        ),
        (
            ["add", WORK, "--label", "work"],
            "AddIdentifier",
            pb.AddIdentifierRequest(uri=WORK, label="work"),
        ),
        (
            ["disclose", WORK, "--to", "contacts", "--to", "account:dev", "--to", "account:x:y"],
            "SetDisclosure",
            pb.SetDisclosureRequest(uri=WORK, audience=SOME),
        ),
        (
            ["disclose", WORK, "--to", "nobody"],
            "SetDisclosure",
            pb.SetDisclosureRequest(uri=WORK, audience=pb.Audience()),
        ),
        (
            ["open", "mail", "--to", "everyone"],
            "SetReachability",
            pb.SetReachabilityRequest(mode=MAIL, audience=pb.Audience(everyone=True)),
        ),
        (
            ["remove", WORK, "--request-id", "one"],
            "RemoveIdentifier",
            pb.RemoveIdentifierRequest(uri=WORK, request_id="one"),
        ),
        (
            ["confirm", WORK, "1234 5678", "--findable", "--request-id", "one"],
            "ConfirmIdentifier",
            pb.ConfirmIdentifierRequest(
                uri=WORK, code="1234 5678", findable=True, request_id="one"
            ),
        ),
        (
            ["claim", "@anna", "--rename", "--request-id", "one"],
            "ClaimHandle",
            pb.ClaimHandleRequest(handle="@anna", rename=True, request_id="one"),
        ),
        (
            ["release", "anna", "--request-id", "one"],
            "ReleaseHandle",
            pb.ReleaseHandleRequest(handle="anna", request_id="one"),
        ),
        (
            ["accept", "an-offer", "--rename", "--request-id", "one"],
            "AcceptHandle",
            pb.AcceptHandleRequest(offer="an-offer", rename=True, request_id="one"),
        ),
        (
            ["reach", "--as", "ben", "--prefer", "mail"],
            "Reach",
            pb.ReachRequest(viewer="ben", preferred=[MAIL]),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_asks_the_unit(
    cli: CommandLine, alice: FakeProfiles, words: list[str], method: str, request_: Message
) -> None:
    ran = cli("accounts", words[0], "alice", *words[1:])
    assert (ran.code, ran.err) == (0, "")
    assert alice.asked == [(method, request_)]
    assert alice.shown == {"Bearer ticket:default:alice:unit-0:1"}


def test_a_code_and_an_offer_for_people_and_programs(cli: CommandLine, alice: FakeProfiles) -> None:
    prove = ("accounts", "prove", "alice", WORK, "--request-id", "one")
    ran = cli(*prove)
    assert "by mail" in ran.out
    assert "accounts confirm" in ran.err
    assert alice.asked == [("BeginProof", pb.BeginProofRequest(uri=WORK, request_id="one"))]
    told = {"channel": "mail", "expires_at": 1_800_000_000, "tries_left": 5}
    assert cli(*prove, "-o", "json").document == told
    offer = ("accounts", "offer", "alice", "anna", "--to", "ben")
    assert cli(*offer).out.strip() == "an-offer"
    told = {"offer": "an-offer", "expires_at": 1_800_000_000}
    assert cli(*offer, "-o", "json").document == told
    request = pb.OfferHandleRequest(handle="anna", to_account="ben")
    assert alice.asked[-1] == ("OfferHandle", request)


def test_without_an_id_a_removal_that_changes_nothing_found_nothing(
    cli: CommandLine, alice: FakeProfiles
) -> None:
    assert cli("accounts", "remove", "alice", WORK).code == 3
    assert [method for method, _ in alice.asked] == ["GetSettings", "RemoveIdentifier"]
    assert cli("accounts", "remove", "alice", WORK, "--request-id", "one").code == 0


def test_what_another_account_has_is_an_exit_code(cli: CommandLine, alice: FakeProfiles) -> None:
    ran = cli("accounts", "confirm", "alice", WORK, "0", "-o", "json")
    assert (ran.code, ran.document["identifiers"][0]["state"]) == (4, "contested")
    assert "another account has it" in ran.err


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(grpc.StatusCode.ALREADY_EXISTS, id="TAKEN, LOOKS_LIKE, RESERVED, QUARANTINED"),
        pytest.param(grpc.StatusCode.FAILED_PRECONDITION, id="HOLDS_ANOTHER"),
        pytest.param(grpc.StatusCode.RESOURCE_EXHAUSTED, id="TOO_MANY_CLAIMS"),
    ],
)
def test_a_handle_that_cannot_be_had_is_one_exit_code_whatever_the_reason(
    cli: CommandLine, alice: FakeProfiles, status: grpc.StatusCode
) -> None:
    alice.refusal = (status, "it is somebody else's; choose another")
    ran = cli("accounts", "claim", "alice", "@anna")
    assert (ran.code, ran.out) == (4, "")
    assert "choose another" in ran.err


def test_settings_for_programs(cli: CommandLine, alice: FakeProfiles) -> None:
    assert cli("accounts", "settings", "alice", "-o", "json").document == {
        "name": "Anna [von] B",
        "preferred": ["text"],
        "identifiers": [
            {"uri": WORK, "shown": "Anna@northwind.example", "label": "work", "proved": True,
             "disclosed_to": ["contacts", "account:dev"], "state": "contested",
             "until": 1_800_000_000, "findable": True},
            {"uri": "tel:+442079460301", "shown": "tel:+442079460301", "label": None,
             "proved": False, "disclosed_to": ["nobody"], "state": None, "until": None,
             "findable": False},
        ],
        "handles": [{"handle": "anna", "state": "held", "until": None}],
        "open_to": {"in-app": ["everyone"]},
    }  # fmt: skip


def test_settings_and_profiles_for_people(cli: CommandLine, alice: FakeProfiles) -> None:
    for command in ("settings", "show"):
        said = cli("accounts", command, "alice").out
        assert "Anna [von] B" in said
        assert "Anna@northwind.example" in said
    assert cli("accounts", "show", "alice", "-o", "json").document["vcard"] == "BEGIN:VCARD"


def test_who_is_reached_by_nothing_is_an_exit_code(cli: CommandLine, alice: FakeProfiles) -> None:
    reached = cli("accounts", "reach", "alice", "-o", "json")
    assert (reached.code, reached.document["mode"]) == (0, "text")
    ran = cli("accounts", "reach", "alice", "--by", "mail", "-o", "json")
    assert ran.code == 4
    assert ran.document == {
        "mode": None, "uri": None,
        "why": [{"rule": "asked", "clause": "not open to this viewer", "value": "mail"}],
    }  # fmt: skip


def test_contacts_are_changed_and_all_pages_listed(cli: CommandLine, alice: FakeProfiles) -> None:
    words = ("accounts", "contacts", "alice", "--add", "dev", "--remove", "eve", "-o", "json")
    assert cli(*words).document == {"contacts": ["ben", "carla", "dev"]}
    assert alice.asked[0] == (
        "ChangeContacts", pb.ChangeContactsRequest(add=["dev"], remove=["eve"])
    )  # fmt: skip
    assert [method for method, _ in alice.asked[1:]] == ["ListContacts", "ListContacts"]


@pytest.mark.parametrize(
    "words",
    [
        ["disclose", "alice", WORK, "--to", "friends"],
        ["disclose", "alice", WORK, "--to", "account:"],
        ["disclose", "alice", WORK, "--to", "nobody", "--to", "everyone"],
        ["disclose", "alice", WORK],
        ["open", "alice", "fax", "--to", "everyone"],
        ["reach", "alice", "--by", "fax"],
        ["set", "alice", "--prefer", "fax"],
        ["set", "alice"],
    ],
    ids=" ".join,
)
def test_what_means_nothing_is_a_usage_error_and_nobody_is_asked(
    cli: CommandLine, alice: FakeProfiles, words: list[str]
) -> None:
    ran = cli("accounts", *words)
    assert (ran.code, ran.out) == (2, "")
    assert alice.asked == []


def test_a_client_without_a_home_has_no_account(cli: CommandLine, unit: FakeProfiles) -> None:
    ran = cli("accounts", "show", "nina")
    assert ran.code == 3
    assert unit.asked == []
