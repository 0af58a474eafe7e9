"""Commands that remove something which is not there: all of them say so, and exit with 3."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from console.cli.common_options import with_common_options
from console.cli.main import app
from homeport.api.provisioning.v1 import provisioning_pb2 as provisioning
from tests.support.command_line import CommandLine, leaves

VERBS = {
    "remove", "release", "revoke", "retire", "withdraw", "unlink", "cancel", "erase", "unpin",
}  # fmt: skip
# Of each command, what names something that is not there. Commands with --remove are among them.
ABSENT: dict[str, list[str]] = {
    "release": ["alice"],
    "units remove": ["nowhere"],
    "tenants remove": ["nobody"],
    "enrolment groups remove": ["none"],
    "tokens revoke": ["none", "--tokens", "tokens.toml"],
    "rules retire": ["none"],
    "plans cancel": ["none"],
    "moves cancel": ["none"],
    "apps address": ["shop", "--remove"],
    "accounts remove": ["alice", "mailto:a@mail.example"],
    "accounts release": ["alice", "@nobody"],
    "accounts contacts": ["alice", "--remove", "ben"],
    "handles release": ["@nobody", "--account", "alice"],
    "identifiers remove": ["mailto:a@mail.example", "--account", "alice"],
    "organisations member": ["contoso", "alice", "--remove"],
    "domains release": ["contoso.example", "--organisation", "contoso"],
    "conversations remove": ["alice", "00" * 16],
    "push remove": ["alice", "none"],
    "devices remove": ["alice", "none"],
    "numbers release": ["+442079460399"],
    "calls unlink": ["alice", "+442079460399"],
    "invites withdraw": ["alice", "00" * 16],
    "sharing remove": ["example.traffic.commute"],
    "sharing withdraw": ["alice", "k-00"],
    "consents withdraw": ["k-00"],
    "policy unpin": ["alice"],
}
# These are done where nothing was there: they see to it that nothing is, of all that there is, or
# that something does not come again.
OF_ALL = {"enrolment bootstrap revoke", "devices erase", "devices unlink"}
# What servers say of such a name themselves.
NOT_FOUND = {
    "RemoveUnit", "RemoveTenant", "RetireRule", "ChangePlan", "ControlMoveJob", "WithdrawInvite",
    "CancelPlan", "RemoveSharing", "WithdrawConsent", "WithdrawOwnConsent", "UnpinClient",
}  # fmt: skip


class Nothing(grpc.GenericRpcHandler):
    """A service of everything, which has nothing: each answer is empty."""

    def __init__(self) -> None:
        self.address = ""

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = call.method.rpartition("/")[2]

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            if method in NOT_FOUND:
                context.abort(grpc.StatusCode.NOT_FOUND, "there is no such thing")
            if method == "GetAssignment":
                home = provisioning.Assignment(
                    client_id="alice", unit_id="u", endpoint=self.address, epoch=1
                )
                found = provisioning.GetAssignmentResponse(assignment=home, ticket="t")
                return bytes(found.SerializeToString())
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def nothing() -> Iterator[str]:
    handler = Nothing()
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler])
    handler.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield handler.address
    server.stop(None).wait(10)


def removing() -> set[str]:
    return {
        words
        for words, command in leaves(with_common_options(app))
        if words.rpartition(" ")[2] in VERBS or _has_remove(command)
    }


def _has_remove(command: Any) -> bool:
    return any("--remove" in param.opts for param in command.params)


def test_every_command_that_removes_is_tested_here() -> None:
    assert removing() == set(ABSENT) | OF_ALL


@pytest.mark.parametrize("words", ABSENT)
def test_what_is_not_there_is_said_and_is_exit_code_three(
    words: str, cli: CommandLine, nothing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tokens.toml").write_text("")
    server = [] if words == "tokens revoke" else ["--server", nothing]
    ran = cli(*words.split(), *ABSENT[words], *server)
    assert (ran.code, ran.out) == (3, ""), ran.err
    assert ran.err.startswith("homeport: ")
