"""Runtime port: installing and invoking an application, whatever isolates it.

A `Runtime` takes an artifact and makes it ready (`install`: checked, compiled, cached); what
it gives back runs one action at a time, each in a fresh instance that nothing survives. An
application decides nothing here: whatever it does, looping, trapping, printing megabytes, ends
in an `Outcome`, never in an exception. Schemas of inputs and outputs are the caller's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from control_plane.errors import InvalidInput
from control_plane.printable import quoted

MIB = 1 << 20


class ArtifactKind(StrEnum):
    """How an application is packed."""

    WASI_COMMAND = "wasi-command"  # WASI preview 1: one JSON document on stdin, one on stdout
    COMPONENT = "component"  # exports `handle` of homeport:application (wit/)
    PROCESS = "process"  # an executable of this machine; the same JSON on stdin and stdout


class InvocationStatus(StrEnum):
    """How an invocation ended. Only DONE carries an output."""

    DONE = "done"
    FAILED = "failed"  # the application says so: an err result, or an exit code other than 0
    TIMED_OUT = "timed-out"  # of CPU, fuel or wall time
    OUT_OF_MEMORY = "out-of-memory"
    TRAPPED = "trapped"  # broke a rule of its sandbox: illegal access, deep recursion, denied call
    BAD_OUTPUT = "bad-output"  # too large, not UTF-8, or not one JSON document
    REFUSED = "refused"  # not run at all: the input is too large, or the machine cannot isolate


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What a developer submits: the bytes of a .wasm file, or of an executable."""

    kind: ArtifactKind
    content: bytes
    sha256: str  # hex, of content

    @classmethod
    def of(cls, kind: ArtifactKind | str, content: bytes, sha256: str | None = None) -> Artifact:
        """Raises InvalidInput where the kind is none of ours, or `sha256`, as a manifest
        gives it, is not that of the content."""
        try:
            kind = ArtifactKind(kind)
        except ValueError:
            known = ", ".join(ArtifactKind)
            raise InvalidInput("runtime.kind", f"{quoted(kind)} is not one of {known}") from None
        actual = hashlib.sha256(content).hexdigest()
        if sha256 is not None and sha256.lower() != actual:
            raise InvalidInput(
                "runtime.sha256", f"the artifact's SHA-256 is {actual}, the manifest says {sha256}"
            )
        return cls(kind=kind, content=content, sha256=actual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one invocation may use."""

    cpu_s: float = 1.0  # of its own thread or processes
    wall_s: float = 5.0  # from start to end, waiting for the machine included
    memory_bytes: int = 128 * MIB  # linear memory; of a process, its address space
    output_bytes: int = 256 * 1024  # of output, and as much again on stderr is kept
    input_bytes: int = 1 * MIB  # larger inputs are refused before anything starts
    fuel: int | None = None  # wasm instructions, about; the same on every machine

    def __post_init__(self) -> None:
        """Raises InvalidInput where a limit is not positive."""
        for name in ("cpu_s", "wall_s", "memory_bytes", "output_bytes", "input_bytes", "fuel"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInput(f"limits.{name}", f"limits.{name} must be more than 0: {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the application was granted. By default nothing: no clock, no randomness but a
    fixed sequence, no environment, no files. Network cannot be granted."""

    clock: bool = False  # without: every clock stands still, a second after 1970
    random: bool = False  # without: the same bytes in each invocation
    environment: tuple[tuple[str, str], ...] = ()
    files: tuple[FileGrant, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileGrant:
    """A folder of the host that the application sees."""

    host_path: str
    guest_path: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One action to perform."""

    action: str
    input: str  # one JSON document
    key: str = ""  # idempotency key: the same for every try of one instruction


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an invocation."""

    status: InvocationStatus
    output: str = ""  # the JSON document as the application gave it, when DONE
    value: Any = None  # the same, decoded
    message: str = ""  # one sentence for people, unless DONE
    stderr_tail: str = ""  # the last it printed there, at most 4 KiB
    cpu_s: float = field(default=0.0, compare=False)
    wall_s: float = field(default=0.0, compare=False)


class Installed(Protocol):
    """An application made ready to run under its limits and grants."""

    @property
    def artifact(self) -> Artifact: ...

    @property
    def limits(self) -> Limits: ...

    def invoke(self, invocation: Invocation) -> Outcome:
        """Runs one action in a fresh instance, in the calling thread, which it blocks. Never
        raises for what the application does. Safe from several threads at once."""
        ...


class Runtime(Protocol):
    """A way to isolate applications."""

    def install(
        self,
        artifact: Artifact,
        limits: Limits = ...,
        capabilities: Capabilities = ...,
    ) -> Installed:
        """Checks, compiles and caches; may take seconds, blocks.

        Raises InvalidInput where the artifact is not what its kind says, or asks for imports
        that no grant gives; Refused where this machine cannot isolate it.
        """
        ...
