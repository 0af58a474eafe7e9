"""Names while servers of the directory die and the store is away: never two owners, nothing that
was promised is lost, and what people come to is what they come to without a fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from control_plane import faultpoints
from homeport.api.directory.v1 import directory_pb2 as pb
from homeport.api.directory.v1 import directory_pb2_grpc as pb_grpc
from homeport.api.status.v1 import status_pb2
from tests.support.fakes.smtp_relay import SmtpRelay
from tests.support.fault_harness import FaultHarness, Outcome, fault_harness
from tests.support.judge.names import NameHistory, history_of
from tests.support.name_seekers import Seekers

FAST = ("--heartbeat-interval=10", "--election-timeout=100")
PEOPLE, PRIZES = 16, 3
PASSINGS = {"claim.commit.before": 5, "claim.commit.after": 5, "proof.try.after": 2}
OUTAGE_S = 60.0


@asynccontextmanager
async def directory(
    folder: Path, servers: int, program: tuple[str, ...] = ("-m", "provisioner")
) -> AsyncIterator[tuple[FaultHarness, Seekers]]:
    """Servers over an etcd, with somewhere for codes to go."""
    async with SmtpRelay() as relay, fault_harness(folder, members=1, arguments=FAST) as on:
        host, port = relay.address
        mail = (f"--directory-mail-relay={host}:{port}", "--directory-mail-from=codes@talk.example")
        await on.serve(servers, *mail, program=program)
        await on.fleet()
        async with Seekers([one.address for one in on.servers], relay) as seekers:
            yield on, seekers


async def judged(on: FaultHarness, seekers: Seekers) -> NameHistory:
    """The history of names, and in its verdict the books of clients as well."""
    homes = await on.verdict()
    assert on.store is not None
    found = await history_of(on.store)
    found.finish(seekers.told)
    found.verdict.violations += homes.verdict.violations
    found.verdict.counts += homes.verdict.counts
    return found


def one_winner_each(seekers: Seekers) -> bool:
    return all(len(one) == 1 for one in seekers.winners.values())


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_a_directory_server_that_dies_anywhere_costs_nobody_a_name(tmp_path, record):
    """A reference run without a fault, then one for each fault point: a third server has it, is
    asked like the others, and dies there. Counted alike in the end."""
    async with directory(tmp_path, 2) as (on, seekers):
        await seekers.run("ref", PEOPLE, PRIZES)
        host, port = seekers.relay.address
        for number, label in enumerate(faultpoints.CLAIMING):
            victim = await on.serve_one(
                f"--directory-mail-relay={host}:{port}",
                "--directory-mail-from=codes@talk.example",
                environment={faultpoints.VARIABLE: f"{label}:{PASSINGS[label]}"},
            )
            others = [one.address for one in on.servers if one is not victim]
            async with Seekers([victim.address, *others], seekers.relay) as these:
                these.measured, these.told = seekers.measured, seekers.told
                these.winners = seekers.winners
                await these.run(f"at{number}", PEOPLE, PRIZES)
            await on.until(lambda v=victim: v.process.poll() is not None, f"death at {label}")
            on.servers.remove(victim)
        found = await judged(on, seekers)
    outcome = Outcome(verdict=found.verdict, measured=seekers.measured)
    reference = found.counts("ref")
    record(
        "directory server killed (-9) around a claim, and after a try; counted as without",
        outcome,
        note=f"{len(seekers.told):,} names given, {reference.held + reference.identifiers} in each",
    )  # fmt: skip
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
    assert one_winner_each(seekers), seekers.winners
    assert reference.held == reference.identifiers == PEOPLE
    for number, label in enumerate(faultpoints.CLAIMING):
        assert found.counts(f"at{number}") == reference, label


def is_to_wait(error: grpc.aio.AioRpcError) -> bool:
    """Whether it is UNAVAILABLE, and says for how long."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if error.code() is not grpc.StatusCode.UNAVAILABLE or not isinstance(details, bytes):
        return False
    told = status_pb2.Status.FromString(details).details
    return any(one.type_url.endswith("RetryInfo") for one in told)


async def heard(call) -> str:
    """What somebody hears who does not insist."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return "wait" if is_to_wait(error) else f"{error.code().name} {error.details()}"
    return "stale" if getattr(answer, "stale", False) else "answered"


async def through_an_outage(tmp_path, record, outage_s: float) -> None:
    async with directory(tmp_path, 2) as (on, seekers):
        await seekers.run("ref", PEOPLE, 1)
        first = on.servers[0].address
        said: dict[str, set[str]] = {"claim": set(), "proof": set(), "known": set(), "new": set()}
        async with grpc.aio.insecure_channel(first) as channel:
            stub = pb_grpc.DirectoryServiceStub(channel)
            known = pb.ResolveRequest(identifier=pb.Identifier(uri="@ref03-second"))
            known_mail = pb.ResolveRequest(identifier=pb.Identifier(uri="ref03@mail.example"))
            for asked in (known, known_mail):
                await stub.Resolve(asked, timeout=10)
            on.cluster.kill()
            began = time.monotonic()
            running = asyncio.ensure_future(seekers.run("out", PEOPLE, 1))
            await on.until(lambda: seekers.measured.requests > 0, "people")
            while time.monotonic() < began + outage_s:
                mail = pb.Identifier(uri="mailto:ref05@mail.example")
                said["claim"].add(await heard(stub.ClaimHandle(
                    pb.ClaimHandleRequest(account="ref04", handle="ref04-third", rename=True,
                                          request_id="third"), timeout=15)))  # fmt: skip
                said["proof"].add(await heard(stub.BeginProof(
                    pb.BeginProofRequest(account="ref05", identifier=mail, request_id="again"),
                    timeout=15)))  # fmt: skip
                for asked in (known, known_mail):
                    said["known"].add(await heard(stub.Resolve(asked, timeout=15)))
                nobody = pb.ResolveRequest(identifier=pb.Identifier(uri="@ref06-second"))
                said["new"].add(await heard(stub.Resolve(nobody, timeout=15)))
                await asyncio.sleep(0.5)
            for member in on.cluster.members:
                on.cluster.spawn(member)
            await running
            assert await seekers.claim(0, "ref04", "ref04-third", rename=True)
        found = await judged(on, seekers)
    outcome = Outcome(verdict=found.verdict, measured=seekers.measured)
    held = found.counts("out").held
    record(
        f"store away for {outage_s:.0f} s while names are claimed and proved", outcome,
        note=f"{PEOPLE} people came to {held} handles, remembered names answered meanwhile",
    )  # fmt: skip
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
    assert said == {"claim": {"wait"}, "proof": {"wait"}, "known": {"stale"}, "new": {"wait"}}
    assert one_winner_each(seekers), seekers.winners
    reference = found.counts("ref")
    # One of the reference has renamed once more.
    assert found.counts("out") == reference._replace(quarantined=reference.quarantined - 1)


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_names_are_claimed_and_proved_through_a_minute_without_store(tmp_path, record):
    await through_an_outage(tmp_path, record, OUTAGE_S)


@pytest.mark.faults
async def test_the_judge_of_names_sees_a_compare_that_is_missing(tmp_path):
    """Taken out of both servers: a handle goes from one to another by itself."""
    program = ("-m", "tests.faults.broken_server", "take_names_of_others")
    async with directory(tmp_path, 2, program) as (on, seekers):
        await seekers.run("x", 8, 6)
        found = await judged(on, seekers)
    told = {one.what.partition(" from ")[0] for one in found.verdict.violations}
    assert told & {"it went", "it has 2 owners"}, found.verdict
