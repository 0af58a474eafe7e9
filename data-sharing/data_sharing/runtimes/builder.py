"""Builder: makes an application's artifact from its folder with the toolchain of its language.

A folder holds `application.py`, `.js`, `.rs` or `.go`. Python and JavaScript become components
whose `handle(action, input)` gets and gives decoded JSON, and import nothing from WASI; Rust
and Go become WASI commands. What was built from the same sources by the same recipe is not
built again. Toolchains are never installed from here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from control_plane.errors import InvalidInput, Refused
from data_sharing.runtimes.port import ArtifactKind

WIT = Path(__file__).parent / "wit"
WORLD = "application"
BUILD_S = 600.0
# A backtrace of Rust (`   3: module::function` and `     at /path:1:2`) or of wasmtime
# (`    0: 0x1234 - module!function`), and its heading.
_NATIVE = re.compile(
    r"\s*(?:(?:\d+:\s+)?(?:stack |wasm |error while executing at wasm )?backtrace:?\s*$"
    r"|\d+:\s+(?:0x[0-9a-f]+\b|<?[\w$]+(?:<.*>)?(?: as .*)?::|__?\w+\s*$|<unknown>|main\s*$)"
    r"|at /\S+:\d+(?::\d+)?\s*$"
    r"|note: (?:using the `WASMTIME_BACKTRACE|run with `RUST_BACKTRACE|Some details are omitted))",
    re.IGNORECASE,
)
IGNORED = {"build", "node_modules", "target", "__pycache__"}

PYTHON_ENTRY = """\
import json
from componentize_py_types import Err
import wit_world
import application

class WitWorld(wit_world.WitWorld):
    def handle(self, action: str, input: str) -> str:
        try:
            return json.dumps(application.handle(action, json.loads(input)))
        except Exception as error:
            raise Err(f"{type(error).__name__}: {error}")
"""

JAVASCRIPT_ENTRY = """
export { homeportHandle as handle };
function homeportHandle(action, input) {
  try {
    return JSON.stringify(act(action, JSON.parse(input)));
  } catch (error) {
    throw String(error);
  }
}
"""

# Run by node; argv: source, WIT folder, world, output. Found from the folder of the package.
JAVASCRIPT_BUILD = """\
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
const [library, source, witPath, worldName, output] = process.argv.slice(2);
const { componentize } = await import(pathToFileURL(library));
const { component } = await componentize(await readFile(source, "utf8"), {
  witPath, worldName, disableFeatures: ["random", "stdio", "clocks", "http", "fetch-event"],
});
await writeFile(output, component);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build gave."""

    path: Path
    kind: ArtifactKind
    language: str
    fresh: bool  # False: nothing had changed, so nothing was done


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How one language is built: `build(folder, output)`."""

    name: str
    kind: ArtifactKind
    build: Callable[[Path, Path], None]


def build(folder: Path, output: Path | None = None) -> Built:
    """Builds the application in `folder` into `output` (default: build/application.wasm in it).

    Raises InvalidInput where the folder holds no application, or several, or it does not
    compile (with what the toolchain said); Refused where the toolchain is missing, naming what
    to install.
    """
    found = [suffix for suffix in LANGUAGES if (folder / f"application{suffix}").is_file()]
    if len(found) != 1:
        names = ", ".join(f"application{suffix}" for suffix in LANGUAGES)
        what = "several of" if found else "none of"
        raise InvalidInput("folder", f"{folder} holds {what} {names}; exactly one is expected")
    language = LANGUAGES[found[0]]
    output = output or folder / "build" / "application.wasm"
    output.parent.mkdir(parents=True, exist_ok=True)
    stamp = output.with_suffix(".sources")
    sources = _sources(folder, output)
    unchanged = output.is_file() and stamp.is_file() and stamp.read_text() == sources
    if not unchanged:
        with tempfile.TemporaryDirectory(dir=output.parent) as place:
            made = Path(place) / "application.wasm"
            language.build(folder.resolve(), made.resolve())
            made.replace(output)
        stamp.write_text(sources)
    return Built(path=output, kind=language.kind, language=language.name, fresh=not unchanged)


def _sources(folder: Path, output: Path) -> str:
    """One digest over everything that goes into the artifact, this recipe included."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not IGNORED & set(path.relative_to(folder).parts)
        and path not in (output, output.with_suffix(".sources"))
    ]  # fmt: skip
    for path in [*files, *sorted(WIT.iterdir())]:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _python(folder: Path, output: Path) -> None:
    tool = _tool("componentize-py", "pip install componentize-py")
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "homeport_entry.py").write_text(PYTHON_ENTRY)
        _run(
            [tool, "--quiet", "-d", str(WIT), "-w", WORLD, "componentize", "--stub-wasi",
             "-p", str(folder), "-p", place, "homeport_entry", "-o", str(output)],
            place,
        )  # fmt: skip


def _javascript(folder: Path, output: Path) -> None:
    node = _tool("node", "install Node.js 20 or newer")
    library = _componentize_js(folder)
    source = (folder / "application.js").read_text()
    if "export function handle" not in source:
        raise InvalidInput(
            "folder", "application.js must say `export function handle(action, input)`"
        )
    with tempfile.TemporaryDirectory() as place:
        entry, script = Path(place) / "entry.js", Path(place) / "build.mjs"
        act = source.replace("export function handle", "function act", 1)
        entry.write_text(act + JAVASCRIPT_ENTRY)
        script.write_text(JAVASCRIPT_BUILD)
        _run([node, str(script), str(library), str(entry), str(WIT), WORLD, str(output)], place)


def _componentize_js(folder: Path) -> Path:
    inside = Path("node_modules/@bytecodealliance/componentize-js/src/componentize.js")
    named = os.environ.get("NODE_PATH", "").split(os.pathsep)
    places = [*(parent / inside for parent in (folder, *folder.parents)),
              *(Path(path).parent / inside for path in named if path)]  # fmt: skip
    for path in places:
        if path.is_file():
            return path
    raise Refused(
        f"componentize-js is missing; run `npm install @bytecodealliance/componentize-js` in "
        f"{folder} or a folder above, or set NODE_PATH to the node_modules that has it"
    )


def _rust(folder: Path, output: Path) -> None:
    rustc = _tool("rustc", "install Rust from https://rustup.rs")
    # Paths would name this machine in panic messages.
    _run(
        [rustc, "--target", "wasm32-wasip1", "--edition", "2021", "-C", "opt-level=z",
         "-C", "panic=abort", "-C", "lto=fat", "-C", "codegen-units=1", "-C", "strip=symbols",
         "--remap-path-prefix", f"{folder}=.", "-o", str(output), "application.rs"],
        str(folder), missing="rustup target add wasm32-wasip1", sign="can't find crate for `std`",
    )  # fmt: skip


def _go(folder: Path, output: Path) -> None:
    go = _tool("go", "install Go 1.21 or newer")
    _run(
        [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(output), "application.go"],
        str(folder), environment={"GOOS": "wasip1", "GOARCH": "wasm"},
    )  # fmt: skip


LANGUAGES: Mapping[str, Language] = {
    ".py": Language(name="python", kind=ArtifactKind.COMPONENT, build=_python),
    ".js": Language(name="javascript", kind=ArtifactKind.COMPONENT, build=_javascript),
    ".rs": Language(name="rust", kind=ArtifactKind.WASI_COMMAND, build=_rust),
    ".go": Language(name="go", kind=ArtifactKind.WASI_COMMAND, build=_go),
}


def _tool(name: str, remedy: str) -> str:
    """Its path: beside this Python, or on PATH. Raises Refused with the remedy."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise Refused(f"{name} is missing; {remedy}")
    return found


def _run(
    command: list[str],
    folder: str,
    *,
    environment: Mapping[str, str] | None = None,
    missing: str = "",
    sign: str = "",
) -> None:
    """`missing` is the remedy where the tool's output has `sign`."""
    try:
        ran = subprocess.run(
            command, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=BUILD_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InvalidInput("folder", f"building took longer than {BUILD_S:g} s") from None
    if ran.returncode == 0:
        return
    output = without_native_frames((ran.stderr + ran.stdout).decode(errors="replace")).strip()
    if sign and sign in output:
        raise Refused(f"the toolchain is incomplete; run `{missing}`")
    raise InvalidInput("folder", f"{Path(command[0]).name} could not build it:\n{output[-4000:]}")


def without_native_frames(said: str) -> str:
    """What a toolchain said, without the stack frames of the toolchain's own machine code and of
    its WebAssembly: they tell the author of an application nothing. Frames of the application's
    language stay."""
    kept = [line for line in said.splitlines() if not _NATIVE.match(line)]
    return "\n".join(kept)
