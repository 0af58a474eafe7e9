"""`homeport identifiers add`, `confirm`, `remove` and `list`: what the directory is asked, what is
said of its answers, and the exit code of each refusal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.message import Message

from homeport.api.directory.v1 import directory_pb2 as pb
from homeport.api.directory.v1 import directory_pb2_grpc
from tests.support.command_line import CommandLine

AT = 1_800_000_000
MAIL, PHONE = "mailto:anna@mail.example", "tel:+442079460018"
ANNA = ("--account", "anna")


class FakeDirectory(directory_pb2_grpc.DirectoryServiceServicer):
    """Anna may have every address; numbers are another's. Keeps what it was asked, and by whom.
    refusal: what it says in place of an answer."""

    def __init__(self) -> None:
        self.asked: list[Message] = []
        self.shown: set[str] = set()
        self.refusal: tuple[grpc.StatusCode, str] | None = None

    def _heard(self, request, context):
        self.asked.append(request)
        self.shown.add(str(dict(context.invocation_metadata()).get("authorization")))
        if self.refusal is not None:
            context.abort(*self.refusal)

    def BeginProof(self, request, context):
        self._heard(request, context)
        begun = pb.BeginProofResponse(channel="mail", tries_left=4)
        begun.expire_time.FromSeconds(AT)
        return begun

    def FinishProof(self, request, context):
        self._heard(request, context)
        kind = request.identifier.uri.partition(":")[0]
        proved = pb.FinishProofResponse(kind=kind, digest="5d41", revision=7)
        if kind == "tel":
            proved.contest_end_time.FromSeconds(AT)
        return proved

    def ReleaseIdentifier(self, request, context):
        self._heard(request, context)
        return pb.ReleaseIdentifierResponse(released=request.identifier.uri == MAIL)

    def GetAccount(self, request, context):
        self._heard(request, context)
        held = pb.HeldIdentifier(kind="mailto", digest="5d41", state=pb.CLAIM_STATE_HELD)
        contested = pb.HeldIdentifier(kind="tel", digest="402a", state=pb.CLAIM_STATE_CONTESTED)
        contested.contest_end_time.FromSeconds(AT)
        return pb.GetAccountResponse(account=request.account, identifiers=[held, contested])


@pytest.fixture
def directory(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDirectory]:
    """One that `cli` asks without being told."""
    fake = FakeDirectory()
    server = grpc.server(ThreadPoolExecutor(4))
    directory_pb2_grpc.add_DirectoryServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("HOMEPORT_SERVER", f"127.0.0.1:{port}")
    try:
        yield fake
    finally:
        server.stop(None).wait(10)


def named(uri: str) -> pb.Identifier:
    return pb.Identifier(uri=uri)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (["add", MAIL], pb.BeginProofRequest(account="anna", identifier=named(MAIL))),
        (
            ["add", " Anna@Mail.example", "--tenant", "talk", "--request-id", "one"],
            pb.BeginProofRequest(
                tenant="talk", account="anna", identifier=named(" Anna@Mail.example"),
                request_id="one",
            ),
        ),
        (
            ["confirm", MAIL, "1234 5678"],
            pb.FinishProofRequest(account="anna", identifier=named(MAIL), code="1234 5678"),
        ),
        (
            ["confirm", MAIL, "12345678", "--findable", "--tenant=talk", "--request-id=two"],
            pb.FinishProofRequest(
                tenant="talk", account="anna", identifier=named(MAIL), code="12345678",
                findable=True, request_id="two",
            ),
        ),
        (["remove", MAIL], pb.ReleaseIdentifierRequest(account="anna", identifier=named(MAIL))),
        (["list"], pb.GetAccountRequest(account="anna")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_a_command_asks_the_directory_as_an_operator(
    cli: CommandLine,
    directory: FakeDirectory,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    request_: Message,
) -> None:
    monkeypatch.setenv("HOMEPORT_TOKEN", "of-an-operator")
    ran = cli("identifiers", *words, *ANNA, "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    request_.tenant = request_.tenant or "default"  # type: ignore[attr-defined]
    assert [(type(one), one) for one in directory.asked] == [(type(request_), request_)]
    assert directory.shown == {"Bearer of-an-operator"}


def test_what_was_sent_is_said_to_programs_and_people(
    cli: CommandLine, directory: FakeDirectory
) -> None:
    assert cli("identifiers", "add", MAIL, *ANNA, "-o", "json").document == {
        "account": "anna", "channel": "mail", "expires_at": AT, "tries_left": 4,
    }  # fmt: skip
    said = cli("identifiers", "add", MAIL, *ANNA)
    assert "by mail, good until 2027-01-15" in said.out
    assert "4 times" in said.out
    assert "identifiers confirm" in said.err


def test_what_is_proved_is_said_to_programs_and_people(
    cli: CommandLine, directory: FakeDirectory
) -> None:
    ran = cli("identifiers", "confirm", MAIL, "12345678", *ANNA, "-o", "json")
    assert ran.document == {
        "account": "anna", "kind": "mailto", "digest": "5d41", "held": True,
        "contest_ends_at": None, "revision": 7,
    }  # fmt: skip
    said = cli("identifiers", "confirm", MAIL, "12345678", "--account", "a[bold]b")
    assert (said.code, said.out) == (0, "it is a[bold]b's: mailto 5d41\n")


def test_what_another_account_may_keep_exits_with_four(
    cli: CommandLine, directory: FakeDirectory
) -> None:
    ran = cli("identifiers", "confirm", PHONE, "12345678", *ANNA, "-o", "json")
    assert (ran.code, ran.err) == (4, "")
    assert (ran.document["held"], ran.document["contest_ends_at"]) == (False, AT)
    said = cli("identifiers", "confirm", PHONE, "12345678", *ANNA)
    assert said.code == 4
    assert "another account has it" in said.out
    assert "2027-01-15" in said.out


def test_what_is_given_up_and_what_there_was_not(
    cli: CommandLine, directory: FakeDirectory
) -> None:
    assert cli("identifiers", "remove", MAIL, *ANNA, "-o", "json").document == {
        "account": "anna", "released": True,
    }  # fmt: skip
    assert cli("identifiers", "remove", MAIL, *ANNA).out == "anna has given it up\n"
    ran = cli("identifiers", "remove", PHONE, *ANNA)
    assert (ran.code, ran.out) == (3, "")
    assert "nothing was removed" in ran.err


def test_what_an_account_has_is_listed(cli: CommandLine, directory: FakeDirectory) -> None:
    identifiers = cli("identifiers", "list", *ANNA, "-o", "json").document["identifiers"]
    assert [(one["kind"], one["state"], one["contest_ends_at"]) for one in identifiers] == [
        ("mailto", "held", None), ("tel", "contested", AT),
    ]  # fmt: skip
    assert "contested, to be proved again by 2027-01-15" in cli("identifiers", "list", *ANNA).out


EVERY = (["add", MAIL], ["confirm", MAIL, "12345678"], ["remove", MAIL], ["list"])


@pytest.mark.parametrize("words", EVERY, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.NOT_FOUND, 3),
        (grpc.StatusCode.FAILED_PRECONDITION, 4),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 4),
        (grpc.StatusCode.UNAVAILABLE, 5),
        (grpc.StatusCode.PERMISSION_DENIED, 1),
        (grpc.StatusCode.ABORTED, 1),
    ],
)
def test_a_refusal_is_an_exit_code_and_a_sentence(
    cli: CommandLine,
    directory: FakeDirectory,
    words: list[str],
    status: grpc.StatusCode,
    code: int,
) -> None:
    directory.refusal = (status, "not \x1b[31m so")
    ran = cli("identifiers", *words, *ANNA, "-o", "json")
    assert (ran.code, ran.out) == (code, "")
    assert "Traceback" not in ran.err
    assert "\x1b" not in ran.err
    assert len(directory.asked) == 1  # nothing is called again blindly


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["add", MAIL], id="no account"),
        pytest.param(["add", *ANNA], id="no name"),
        pytest.param(["confirm", MAIL, *ANNA], id="no code"),
        pytest.param(["remove", *ANNA], id="no name to remove"),
        pytest.param(["list"], id="nobody to list"),
        pytest.param(["list", "--account", ""], id="an empty account"),
        pytest.param(["add", "\udcff@mail.example", *ANNA], id="a name that is not UTF-8"),
        pytest.param(["confirm", MAIL, "\udcff", *ANNA], id="a code that is not UTF-8"),
    ],
)
def test_what_is_missing_or_no_text_exits_with_two_and_asks_nobody(
    cli: CommandLine, directory: FakeDirectory, words: list[str]
) -> None:
    ran = cli("identifiers", *words)
    assert (ran.code, ran.out, directory.asked) == (2, "", [])
    assert "Traceback" not in ran.err
