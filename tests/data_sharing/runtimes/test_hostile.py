"""Whatever an application does ends in an outcome that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from data_sharing.runtimes.port import MIB, Artifact, Invocation, InvocationStatus, Limits
from data_sharing.runtimes.runtime_host import RuntimeHost
from tests.support.wasm_guests import (
    BOMB,
    LOOP,
    answering,
    asks,
    command,
    component,
    printing,
    printing_forever,
    prints,
    wat,
)

LIMITS = Limits(cpu_s=0.2, wall_s=5, memory_bytes=8 * MIB, output_bytes=100_000)
RECURSE = "(func $r (param i64) (result i64) (i64.add (call $r (local.get 0)) (i64.const 1)))"
DEEP = b"[" * 50_000 + b"]" * 50_000


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeHost]:
    with RuntimeHost(tmp_path_factory.mktemp("cache"), threads=4) as opened:
        yield opened


@pytest.mark.parametrize(
    ("artifact", "status", "message"),
    [
        pytest.param(command(wat(LOOP)), InvocationStatus.TIMED_OUT, "of CPU", id="loops"),
        pytest.param(
            component(LOOP + "unreachable"),
            InvocationStatus.TIMED_OUT,
            "of CPU",
            id="component-loops",
        ),
        pytest.param(
            command(wat(BOMB)),
            InvocationStatus.OUT_OF_MEMORY,
            "8388608 bytes",
            id="takes-all-memory",
        ),
        pytest.param(
            command(
                wat(
                    "(drop (memory.grow (i32.const 1)))" + prints(b"1"),
                    b"1",
                    "(table 2000000 funcref)",
                )
            ),
            InvocationStatus.TRAPPED,
            "table",
            id="takes-a-huge-table",
        ),
        pytest.param(
            command(wat("unreachable")), InvocationStatus.TRAPPED, "unreachable", id="traps"
        ),
        pytest.param(
            command(wat("(drop (i32.load (i32.const -8)))")),
            InvocationStatus.TRAPPED,
            "out of bounds memory access",
            id="reads-beyond-its-memory",
        ),
        pytest.param(
            command(wat("(drop (call $r (i64.const 1)))", more=RECURSE)),
            InvocationStatus.TRAPPED,
            "call stack exhausted",
            id="recurses",
        ),
        pytest.param(
            component("(drop (call $r (i64.const 1))) unreachable", RECURSE),
            InvocationStatus.TRAPPED,
            "call stack exhausted",
            id="component-recurses",
        ),
        pytest.param(
            command(printing_forever()),
            InvocationStatus.BAD_OUTPUT,
            "larger than 100000",
            id="prints-megabytes",
        ),
        pytest.param(
            command(printing_forever(2)),
            InvocationStatus.TIMED_OUT,
            "of CPU",
            id="prints-megabytes-on-stderr",
        ),
        pytest.param(
            command(printing(b"junk")),
            InvocationStatus.BAD_OUTPUT,
            "not one JSON document",
            id="prints-junk",
        ),
        pytest.param(
            command(printing(b"{} {}")),
            InvocationStatus.BAD_OUTPUT,
            "not one JSON document",
            id="prints-two-documents",
        ),
        pytest.param(
            command(printing(b'"\xff\xfe"')),
            InvocationStatus.BAD_OUTPUT,
            "not UTF-8",
            id="prints-what-is-not-text",
        ),
        pytest.param(
            command(printing(DEEP)),
            InvocationStatus.BAD_OUTPUT,
            "not one JSON document",
            id="nests-too-deep",
        ),
        pytest.param(
            command(wat("nop")), InvocationStatus.BAD_OUTPUT, "no output", id="prints-nothing"
        ),
        pytest.param(
            command(wat(prints(b"{}") + "(call $proc_exit (i32.const 3))", b"{}")),
            InvocationStatus.FAILED,
            "exit code 3",
            id="exits-with-a-code",
        ),
        pytest.param(
            component(answering(1)), InvocationStatus.FAILED, "null", id="component-gives-err"
        ),
        pytest.param(
            component(
                "(i32.store (i32.const 20) (i32.const -9)) (i32.const 16)"
                "(i32.store (i32.const 24) (i32.const 9))"
            ),
            InvocationStatus.TRAPPED,
            "out of bounds",
            id="component-lies-about-its-string",
        ),
    ],
)
def test_bad_behaviour_has_its_outcome(
    hosting: RuntimeHost, artifact: Artifact, status: InvocationStatus, message: str
) -> None:
    outcome = hosting.install(artifact, LIMITS).invoke(asks())
    assert outcome.status is status, outcome
    assert message in outcome.message
    assert outcome.output == ""


def ending(code: int) -> Artifact:
    """A command that prints 7 and ends itself."""
    return command(wat(prints(b"7") + f"(call $proc_exit (i32.const {code})) {LOOP}", b"7"))


@pytest.mark.parametrize("code", [1, 2, 125, 126, 127, 128, 130, 137, 254, 255, 256, -1, 2**31 - 1])
def test_a_command_fails_with_the_exit_code_it_gave(hosting: RuntimeHost, code: int) -> None:
    """wasmtime takes those above 125 for a trap, and tells no number."""
    outcome = hosting.install(ending(code), LIMITS).invoke(asks())
    assert outcome.status is InvocationStatus.FAILED, outcome
    assert outcome.message == f"it ended with exit code {code}"


def test_a_command_that_ends_itself_in_order_is_done(hosting: RuntimeHost) -> None:
    outcome = hosting.install(ending(0), LIMITS).invoke(asks())
    assert (outcome.status, outcome.value) == (InvocationStatus.DONE, 7)


def test_a_trap_is_no_exit_code(hosting: RuntimeHost) -> None:
    artifact = command(wat(prints(b"x ended with exit code 3", 2) + "unreachable",
                           b"x ended with exit code 3"))  # fmt: skip
    outcome = hosting.install(artifact, LIMITS).invoke(asks())
    assert outcome.status is InvocationStatus.TRAPPED


def test_exit_codes_of_many_at_once_are_not_mixed_up(hosting: RuntimeHost) -> None:
    codes = [*range(120, 140)] * 5
    installed = {code: hosting.install(ending(code), LIMITS) for code in set(codes)}
    with ThreadPoolExecutor(8) as threads:
        outcomes = threads.map(lambda code: installed[code].invoke(asks()), codes)
        said = [outcome.message for outcome in outcomes]
    assert said == [f"it ended with exit code {code}" for code in codes]


def test_fuel_stops_at_the_same_instruction_everywhere(hosting: RuntimeHost) -> None:
    installed = hosting.install(command(wat(LOOP)), Limits(fuel=10_000))
    assert installed.invoke(asks()).status is InvocationStatus.TIMED_OUT
    assert "fuel" in installed.invoke(asks()).message


def test_memory_is_counted_from_the_first_page(hosting: RuntimeHost) -> None:
    small = Limits(memory_bytes=65536)
    outcome = hosting.install(command(printing(b"1")), small).invoke(asks())
    assert outcome.status is InvocationStatus.OUT_OF_MEMORY


def test_a_huge_input_is_refused_before_anything_runs(hosting: RuntimeHost) -> None:
    installed = hosting.install(command(wat(LOOP)), Limits(input_bytes=1000))
    outcome = installed.invoke(Invocation(action="a", input='"' + "x" * 1000 + '"'))
    assert outcome.status is InvocationStatus.REFUSED


def test_a_large_input_passes_unread_by_who_does_not_read(hosting: RuntimeHost) -> None:
    installed = hosting.install(command(printing(b"7")), Limits(input_bytes=64 * MIB))
    outcome = installed.invoke(Invocation(action="a", input='"' + "x" * (32 * MIB) + '"'))
    assert (outcome.status, outcome.value) == (InvocationStatus.DONE, 7)


def test_the_end_of_stderr_is_kept_and_no_more(hosting: RuntimeHost) -> None:
    outcome = hosting.install(command(printing_forever(2)), LIMITS).invoke(asks())
    assert len(outcome.stderr_tail) == 4096


def test_wall_time_stops_what_has_cpu_left(hosting: RuntimeHost) -> None:
    limits = Limits(cpu_s=60, wall_s=0.1)
    outcome = hosting.install(command(wat(LOOP)), limits).invoke(asks())
    assert (outcome.status, outcome.message) == (
        InvocationStatus.TIMED_OUT,
        "stopped: it ran for its 0.1 s",
    )


async def test_neighbours_of_a_hostile_application_are_unharmed(hosting: RuntimeHost) -> None:
    good = hosting.install(component(answering(0)), Limits(cpu_s=10, wall_s=60))
    bad = [hosting.install(command(wat(body)), LIMITS) for body in (LOOP, BOMB, "unreachable")]
    async with asyncio.TaskGroup() as group:
        hostile = [group.create_task(hosting.invoke(one, asks())) for one in bad]
        kind = [group.create_task(hosting.invoke(good, asks(n))) for n in range(200)]
    assert [one.result().status for one in hostile] == [
        InvocationStatus.TIMED_OUT, InvocationStatus.OUT_OF_MEMORY, InvocationStatus.TRAPPED,
    ]  # fmt: skip
    assert [one.result().value for one in kind] == list(range(200))
