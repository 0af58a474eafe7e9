"""Platforms as processes: they connect, fetch, run in sandboxes, report, die and come back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from control_plane.serving.server import Transport
from data_sharing.decisions.outbox import InstructionState
from data_sharing.instruction import Performance
from tests.support.platforms import COFFEE, PlatformProcess, brew, serving

Start = Callable[..., PlatformProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts platform processes and ends them with the test."""
    started: list[PlatformProcess] = []

    def begin(port: int, *arguments: str, **how: object) -> PlatformProcess:
        process = PlatformProcess(tmp_path, port, *arguments, **how)  # type: ignore[arg-type]
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.process.poll() is None:
            process.kill()


@pytest.mark.parametrize("transport", [Transport.NATIVE, Transport.GRPCIO])
async def test_a_platform_fetches_what_it_hosts_and_performs_it(
    tmp_path: Path, start: Start, transport: Transport
) -> None:
    async with serving(tmp_path, transport) as service:
        await service.decide(brew(1, cups=3))
        hub = start(service.port)
        assert (await hub.ready())["applications"] == {"coffee": "1.0.0"}
        kept = await service.ends(1)
        assert kept.outcome is not None
        assert '"cups":3' in kept.outcome.output
        assert (kept.outcome.status, kept.platform) == (Performance.DONE, "hub")
        assert service.registry.fetched == [("coffee", "1.0.0")]
        assert await hub.stop() == 0
        await service.until(lambda: service.dispatcher.sessions.get("default", "hub") is None)


async def test_artifacts_are_kept_checked_and_fetched_anew_when_damaged(
    tmp_path: Path, start: Start
) -> None:
    async with serving(tmp_path) as service:
        hub = start(service.port)
        await hub.ready()
        await hub.stop()
        again = start(service.port)
        await again.ready()
        await again.stop()
        assert len(service.registry.fetched) == 1
        kept = hub.folder / "artifacts" / COFFEE.sha256
        kept.write_bytes(b"damaged")
        mended = start(service.port)
        await mended.ready()
        assert len(service.registry.fetched) == 2
        assert hashlib.sha256(kept.read_bytes()).hexdigest() == COFFEE.sha256


async def test_an_artifact_that_is_another_is_not_installed(tmp_path: Path, start: Start) -> None:
    async with serving(tmp_path) as service:
        service.registry.artifacts["coffee", "1.0.0"] = COFFEE.content + b"\0"
        hub = start(service.port)
        await service.until(lambda: "SHA-256" in hub.log.read_text())
        assert not (hub.folder / "artifacts").exists()
        assert await hub.stop() == 0


@pytest.mark.parametrize(
    ("point", "idempotent", "expected"),
    [
        pytest.param("platform.begin.after", False, Performance.UNKNOWN, id="noted-not-run"),
        pytest.param("platform.run.after", False, Performance.UNKNOWN, id="run-not-noted"),
        pytest.param("platform.run.after", True, Performance.DONE, id="idempotent-runs-again"),
        pytest.param("platform.end.after", False, Performance.DONE, id="noted-not-told"),
    ],
)
async def test_a_platform_killed_between_running_and_telling_performs_nothing_twice(
    tmp_path: Path, start: Start, point: str, idempotent: bool, expected: Performance
) -> None:
    async with serving(tmp_path) as service:
        hub = start(service.port, environment={"HOMEPORT_FAULT_POINT": point})
        await hub.ready()
        await service.decide(brew(1, idempotent=idempotent))
        assert await hub.ends() == -9
        assert service.told == []
        start(service.port)
        unknown = expected is Performance.UNKNOWN
        kept = await service.ends(1, InstructionState.DEAD if unknown else InstructionState.DONE)
        assert kept.outcome is not None
        assert kept.outcome.status is expected
        assert kept.outcome.replayed is (point != "platform.run.after" or not idempotent)
        assert len(service.told) == 1


async def test_a_platform_finds_its_service_again_and_tells_what_it_missed(
    tmp_path: Path, start: Start
) -> None:
    async with serving(tmp_path) as before:
        hub = start(before.port)
        await hub.ready()
        await before.decide(brew(1))
        await before.ends(1)
        port = before.port
    async with serving(tmp_path, port=port, fence=2) as after:
        await after.decide(brew(2))
        await after.ends(2)
        assert hub.process.poll() is None


async def test_a_leaving_platform_finishes_what_it_has(tmp_path: Path, start: Start) -> None:
    async with serving(tmp_path) as service:
        hub = start(service.port)
        await hub.ready()
        await service.decide(*(brew(number) for number in range(50)))
        await service.until(lambda: len(service.told) > 0)
        assert await hub.stop() == 0
        told = {one.instruction for one in service.told}
        for number in range(50):  # each is either told, or surely did not run
            done = service.kept(number).state is InstructionState.DONE
            assert done is (f"i-{number}" in told)
        other = start(service.port, name="car")
        await other.ready()
        for number in range(50):
            kept = await service.ends(number)
            assert kept.outcome is not None
            assert kept.outcome.status is Performance.DONE
        assert len(service.told) == 50


async def test_a_second_run_takes_over_and_the_first_ends_with_a_word(
    tmp_path: Path, start: Start
) -> None:
    async with serving(tmp_path) as service:
        hub = start(service.port)
        await hub.ready()
        (tmp_path / "elsewhere").mkdir()
        other = PlatformProcess(tmp_path / "elsewhere", service.port)
        try:
            await other.ready()
            assert await hub.ends() == 1
            assert "newer run" in hub.log.read_text()
        finally:
            other.kill()


def test_settings_that_cannot_be_meant_are_told(tmp_path: Path) -> None:
    hub = PlatformProcess(tmp_path, 1, "--grant=network")
    assert hub.process.wait(60) == 2
    assert "--grant network" in hub.log.read_text()
