"""The sample applications, built by their toolchains and run in the sandbox. A toolchain that
this machine lacks skips its sample, with the reason; builds are kept between runs."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import InvalidInput, Refused
from data_sharing.runtimes import builder
from data_sharing.runtimes.port import (
    MIB,
    Artifact,
    ArtifactKind,
    Installed,
    Invocation,
    InvocationStatus,
    Limits,
    Outcome,
)
from data_sharing.runtimes.runtime_host import RuntimeHost
from data_sharing.runtimes.wasm import WasmRuntime

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "data-sharing" / "applications"
KEPT = ROOT / "build" / "applications"
NODE = KEPT / "node"
COMPONENTIZE_JS = "@bytecodealliance/componentize-js@0.23.0"
LIMITS = Limits(cpu_s=20, wall_s=60)


@pytest.fixture(scope="module")
def runtime() -> Iterator[WasmRuntime]:
    made = WasmRuntime(KEPT / "compiled")
    yield made
    made.close()


def built(name: str) -> builder.Built:
    try:
        return builder.build(SAMPLES / name, KEPT / name / "application.wasm")
    except Refused as error:
        pytest.skip(error.message)


def installed(runtime: WasmRuntime, name: str) -> Installed:
    made = built(name)
    return runtime.install(Artifact.of(made.kind, made.path.read_bytes()), LIMITS)


def ask(application: Installed, action: str, value: str) -> Outcome:
    return application.invoke(Invocation(action=action, input=value, key="k"))


RING: tuple[str, str, dict[str, Any]] = (
    "ring", '{"tone": "sharp"}',
    {"performed": "ring", "tone": "sharp", "volume": 40, "said": "Ringing, sharp, at 40 %"},
)  # fmt: skip
BREW: tuple[str, str, dict[str, Any]] = (
    "brew", '{"cups": 2}',
    {"performed": "brew", "cups": 2, "water_ml": 250, "said": "Brewing, cups: 2"},
)  # fmt: skip


def does(application: Installed, expected: tuple[str, str, dict[str, Any]]) -> None:
    action, value, output = expected
    outcome = ask(application, action, value)
    assert (outcome.status, outcome.value) == (InvocationStatus.DONE, output), outcome
    assert ask(application, "dance", "{}").status is InvocationStatus.FAILED


@pytest.mark.slow
def test_another_python_component_does_its_action(runtime: WasmRuntime) -> None:
    does(installed(runtime, "alarm"), RING)


def test_a_python_component_does_its_action(runtime: WasmRuntime) -> None:
    heating = installed(runtime, "heating")
    assert [ask(heating, "heat", f'{{"minutes": {m}}}').value["warmer_by_c"] for m in (10, 20)] == [
        12.0,
        24.0,
    ]


def test_a_python_exception_is_a_failure_that_says_what(runtime: WasmRuntime) -> None:
    outcome = ask(installed(runtime, "heating"), "heat", "{}")
    assert (outcome.status, outcome.message) == (InvocationStatus.FAILED, "KeyError: 'minutes'")


def test_the_committed_command_does_its_action(runtime: WasmRuntime) -> None:
    content = (SAMPLES / "coffee" / "coffee.wasm").read_bytes()
    assert len(content) < 100_000
    does(runtime.install(Artifact.of(ArtifactKind.WASI_COMMAND, content)), BREW)


async def test_outputs_of_commands_that_run_at_once_stay_apart(tmp_path: Path) -> None:
    content = (SAMPLES / "coffee" / "coffee.wasm").read_bytes()
    with RuntimeHost(tmp_path, threads=8) as hosting:
        coffee = hosting.install(Artifact.of(ArtifactKind.WASI_COMMAND, content), LIMITS)
        cups = [1 + number % 12 for number in range(300)]
        asked = [Invocation(action="brew", input=f'{{"cups": {many}}}') for many in cups]
        outcomes = await asyncio.gather(*(hosting.invoke(coffee, one) for one in asked))
    assert [outcome.value["cups"] for outcome in outcomes] == cups


def test_a_rust_command_is_built_and_does_its_action(runtime: WasmRuntime) -> None:
    does(installed(runtime, "coffee"), BREW)


def test_a_go_command_is_built_and_does_its_action(runtime: WasmRuntime) -> None:
    does(installed(runtime, "coffee-go"), BREW)


@pytest.mark.slow
def test_a_javascript_component_is_built_and_does_its_action(
    runtime: WasmRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js is missing; install Node.js 20 or newer")
    if not (NODE / "node_modules").is_dir():
        NODE.mkdir(parents=True, exist_ok=True)
        (NODE / "package.json").write_text("{}")
        ran = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", COMPONENTIZE_JS],
            cwd=NODE, capture_output=True, timeout=150, check=False,
        )  # fmt: skip
        if ran.returncode != 0:
            shutil.rmtree(NODE)
            pytest.skip(f"npm could not install {COMPONENTIZE_JS}: {ran.stderr.decode()[-300:]}")
    monkeypatch.setenv("NODE_PATH", str(NODE / "node_modules"))
    does(installed(runtime, "alarm-js"), RING)


PYTHON = {
    "loops": ("while True: pass", InvocationStatus.TIMED_OUT),
    "takes-all-memory": (
        "return ['x' * 2**20 * n for n in range(1, 4096)]",
        InvocationStatus.OUT_OF_MEMORY,
    ),
    "reads-a-file": ("return open('/etc/passwd').read()", InvocationStatus.TRAPPED),
    "sleeps": ("import time; time.sleep(1000)", InvocationStatus.TRAPPED),
    "connects": (
        "import socket; socket.create_connection(('127.0.0.1', 1))",
        InvocationStatus.TRAPPED,
    ),
    "recurses": ("return handle(action, input)", InvocationStatus.FAILED),
    "returns-what-is-no-json": ("return {1, 2}", InvocationStatus.FAILED),
    "returns-megabytes": ("return 'x' * 2**21", InvocationStatus.BAD_OUTPUT),
}


@pytest.mark.slow
def test_a_hostile_python_component_harms_itself_only(runtime: WasmRuntime) -> None:
    """One build with a behaviour for each action, as builds take seconds."""
    folder = KEPT / "hostile" / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["def handle(action, input):"]
    for name, (body, _) in PYTHON.items():
        lines += [f"    if action == {name!r}:", f"        {body}"]
    (folder / "application.py").write_text("\n".join([*lines, "    return input", ""]))
    made = builder.build(folder, KEPT / "hostile" / "application.wasm")
    limits = Limits(cpu_s=3, wall_s=60, memory_bytes=64 * MIB)
    hostile = runtime.install(Artifact.of(made.kind, made.path.read_bytes()), limits)
    outcomes = {name: ask(hostile, name, "1").status for name in PYTHON}
    assert outcomes == {name: status for name, (_, status) in PYTHON.items()}
    assert ask(hostile, "echo", "[1]").value == [1]


def test_what_has_not_changed_is_not_built_again(tmp_path: Path) -> None:
    sample = tmp_path / "coffee"
    shutil.copytree(SAMPLES / "coffee", sample)
    try:
        first = builder.build(sample)
    except Refused as error:
        pytest.skip(error.message)
    assert (first.fresh, builder.build(sample).fresh) == (True, False)
    with (sample / "application.rs").open("a") as source:
        source.write("// changed\n")
    assert builder.build(sample).fresh


def test_a_folder_without_an_application_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="none of application"):
        builder.build(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        pytest.param("application.rs", "fn main( {", "error", id="rust"),
        # Ten seconds until it comes to the syntax.
        pytest.param(
            "application.py", "def handle(:", "SyntaxError", id="python", marks=pytest.mark.slow
        ),
    ],
)
def test_what_does_not_compile_says_why(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(f"{text}\n")
    try:
        with pytest.raises(InvalidInput, match=said):
            builder.build(tmp_path)
    except Refused as error:
        pytest.skip(error.message)


def test_a_missing_toolchain_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "application.go").write_text("package main\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="install Go"):
        builder.build(tmp_path)
