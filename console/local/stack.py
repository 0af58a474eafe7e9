"""LocalStack: carries a plan out. Starts the programs in order, keeps them running, stops them
in the opposite order, and holds the data directory for itself meanwhile.

Blocking, single-threaded, and deaf to signals: `up` and the demo decide when it ends. Every
wait has a deadline; a program that keeps dying ends the stack with the last lines of its log.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from console.local.child import Child
from console.local.stack_options import StackOptions
from console.local.stack_plan import (
    AGENT,
    DATA_FOLDER,
    ETCD,
    ETCD_USER,
    LOOPBACK,
    SERVER,
    Program,
    StackPlan,
    password_file,
    restart_delay_s,
    settled_arguments,
)
from console.local.stack_security import (
    OPERATOR,
    StackSecurity,
)
from control_plane.errors import ServiceError
from control_plane.private_files import open_private, private_folder

_POLL_S = 0.03
READY = Path("run") / "up.json"  # in the data directory: the stack that runs there


class StackFailed(ServiceError):
    """The stack cannot start or go on: a port or the data directory is taken, or a program
    does not start or keeps ending, and then the message ends with its log."""

    reason = "STACK_FAILED"


class StartInterrupted(Exception):
    """`interrupted` said so while the stack was starting; what had started is stopped."""


class LocalStack:
    """A context manager: inside it, the stack runs. Call `tend` now and then."""

    def __init__(
        self,
        plan: StackPlan,
        data_dir: Path,
        *,
        on_step: Callable[[str], None] = lambda step: None,
        on_trouble: Callable[[str], None] = lambda trouble: None,
        interrupted: Callable[[], bool] = lambda: False,
        prepare: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_step` hears what is being done, `on_trouble` what died and is started again,
        each as one line. `prepare` is called once the data directory is held. `clock` times
        restarts, in seconds."""
        self.plan = plan
        self.data_dir = data_dir
        self.facts: dict[str, dict[str, object]] = {}
        self._children = {program.name: Child(program) for program in plan.programs}
        self._deaths: dict[str, list[float]] = {program.name: [] for program in plan.programs}
        self._restart_at: dict[str, float] = {}
        self._on_step = on_step
        self._on_trouble = on_trouble
        self._interrupted = interrupted
        self._prepare = prepare
        self._clock = clock
        self._lock: IO[str] | None = None

    @property
    def grpc(self) -> str:
        """host:port of the provisioning server."""
        return str(self.facts[SERVER]["grpc"])

    @property
    def metrics(self) -> str:
        """host:port of its metrics and health."""
        return str(self.facts[SERVER]["metrics"])

    @property
    def http(self) -> str:
        """host:port for clients that have HTTP and JSON alone."""
        return str(self.facts[SERVER]["http"])

    @property
    def units(self) -> dict[str, str]:
        """host:port of each unit's agent, by unit id."""
        return self.addresses("units")

    def addresses(self, kind: str) -> dict[str, str]:
        """What agents report under this key, such as `units`, by unit id."""
        found: dict[str, str] = {}
        for name, facts in self.facts.items():
            here = facts.get(kind) if name.startswith(AGENT) else None
            if isinstance(here, dict):
                found |= {unit: str(at) for unit, at in here.items()}
        return found

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now, by program; etcd's own beside that of its keeper."""
        pids = {name: child.pid for name, child in self._children.items() if child.pid}
        for facts in self.facts.values():
            if isinstance(etcd := facts.get("etcd_pid"), int):
                pids["etcd-member"] = etcd
        return pids

    def start(self) -> Self:
        """Starts everything and waits until it serves. Raises StackFailed,
        StartInterrupted; then nothing is left running."""
        self._take_data_dir()
        try:
            for flag, port in self.plan.ports.items():
                check_port_is_free(flag, port)
            self._prepare()
            for program in self.plan.programs:
                self._wait_for(program.needs)
                self._on_step(f"starting {program.name}")
                private_folder(program.log.parent)
                private_folder(program.ready_file.parent)
                program.log.unlink(missing_ok=True)
                self._start(program)
            self._wait_for(self._children)
        except BaseException:  # whatever ended the start, Ctrl-C too: leave nothing behind
            self.stop()
            raise
        return self

    def tend(self) -> None:
        """Notices programs that ended, and starts them again with growing delays. Raises
        StackFailed when one has ended too often. Never blocks."""
        now_s = self._clock()
        for program in self.plan.programs:
            child = self._children[program.name]
            due_s = self._restart_at.get(program.name)
            if due_s is not None:
                if now_s >= due_s:
                    del self._restart_at[program.name]
                    self._start(program)
            elif child.exit_code is not None:
                deaths = self._deaths[program.name]
                deaths.append(now_s)
                delay_s = restart_delay_s(deaths, now_s)
                if delay_s is None:
                    raise StackFailed(
                        f"the {program.name} keeps ending (now it {child.end()}); its log, "
                        f"{program.log}, ends with:\n{child.last_words()}"
                    )
                self._restart_at[program.name] = now_s + delay_s
                self._on_trouble(
                    f"the {program.name} {child.end()}; starting it again in {delay_s:.1f} s "
                    f"(log: {program.log})"
                )
            elif (facts := child.ready()) is not None:
                self.facts[program.name] = facts

    def stop(self) -> None:
        """Stops what runs, last started first. Idempotent."""
        for program in reversed(self.plan.programs):
            child = self._children[program.name]
            if child.pid is not None:
                self._on_step(f"stopping {program.name}")
                if not child.stop():
                    self._on_trouble(
                        f"the {program.name} did not end within {program.stop_within_s:.0f} s "
                        f"and was killed (log: {program.log})"
                    )
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def kill(self) -> None:
        """Sends SIGKILL to everything, for the operator who will not wait. `stop` still has to
        be called, or to return."""
        for program in reversed(self.plan.programs):
            self._children[program.name].kill()

    def kill_program(self, name: str) -> None:
        """SIGKILL to one program; returns when it is gone. `tend` starts it again."""
        self._children[name].kill()
        self._children[name].stop()
        if name != SERVER:  # which keeps its ports
            del self.facts[name]

    def _start(self, program: Program) -> None:
        self._children[program.name].start(self._arguments(program))

    def _arguments(self, program: Program) -> tuple[str, ...]:
        """As planned; a server that is started again keeps the ports it was given first, so
        that clients and agents find it."""
        arguments = settled_arguments(program, self.facts)
        if program.name == SERVER and SERVER in self.facts:
            known = {
                "--listen": self.grpc,
                "--metrics-listen": self.metrics,
                "--http-listen": self.http,
                "--directory-http-listen": self.facts[SERVER].get("pages"),
            }
            arguments = tuple(
                f"{flag}={known[flag]}" if (flag := word.partition("=")[0]) in known else word
                for word in arguments
            )
        return arguments

    def _wait_for(self, names: Collection[str]) -> None:
        """Until these programs, which were started, serve."""
        for program in self.plan.programs:
            if program.name in names and program.name not in self.facts:
                self._wait_until_ready(program)

    def _wait_until_ready(self, program: Program) -> None:
        child = self._children[program.name]
        deadline_s = time.monotonic() + program.ready_within_s
        while (facts := child.ready()) is None:
            if child.exit_code is not None:
                raise StackFailed(
                    f"the {program.name} {child.end()} while starting; its log, {program.log}, "
                    f"ends with:\n{child.last_words()}"
                )
            if time.monotonic() > deadline_s:
                raise StackFailed(
                    f"the {program.name} does not serve after {program.ready_within_s:.0f} s"
                    f"{child.ready_file_fault()}; its log, {program.log}, ends with:\n"
                    f"{child.last_words()}"
                )
            if self._interrupted():
                raise StartInterrupted
            time.sleep(_POLL_S)
        self.facts[program.name] = facts

    def _take_data_dir(self) -> None:
        """Holds the data directory until `stop`; the kernel lets go of it if we die."""
        DATA_FOLDER.take(self.data_dir)
        descriptor = open_private(self.data_dir / "up.lock", os.O_RDWR | os.O_APPEND | os.O_CREAT)
        lock = os.fdopen(descriptor, "a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise StackFailed(
                f"another homeport up (process {holder}) uses {self.data_dir}; stop it, or choose "
                "another directory with --data-dir"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def secured(options: StackOptions, *, mutual: bool = False) -> StackOptions:
    """The same with what secures it in the data directory; `make_stack_security` makes that.
    mutual: servers ask for certificates as well."""
    security = StackSecurity(folder=options.data_dir / "security", mutual=mutual)
    return replace(options, security=security)


def first_free_port(ports: Iterable[int]) -> int:
    """The first of these loopback ports on which nobody listens; 0: any, where none is free."""
    return next((port for port in ports if is_free_port(port)), 0)


def is_free_port(port: int) -> bool:
    """Whether nobody listens on this loopback port now."""
    try:
        check_port_is_free("", port)
    except StackFailed:
        return False
    return True


def check_port_is_free(flag: str, port: int) -> None:
    """Raises StackFailed when somebody listens on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is no user
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise StackFailed(
                f"port {port} on {LOOPBACK} cannot be used ({error.strerror}); stop the program "
                f"that has it, or choose another with {flag} (0: any free one)"
            ) from error


def ready_document(
    stack: LocalStack, store: str, security: StackSecurity | None
) -> Mapping[str, object]:
    """What `homeport up --ready-file` writes: with `ca` and `token_file` where it is secured,
    `certificate` and `certificate_key` where servers ask for them. mail: where units take it."""
    secured = (
        {}
        if security is None
        else {
            "ca": str(security.ca.resolve()),
            "token_file": str(security.operator_token_file.resolve()),
            **_operator_certificate(security),
        }
    )
    guarded = any(program.name == ETCD for program in stack.plan.programs)
    return {
        **secured,
        "grpc": stack.grpc,
        "metrics": stack.metrics,
        "http": stack.http,
        "units": stack.units,
        "mail": stack.addresses("mail"),
        "store": store,
        "store_user": ETCD_USER if guarded else None,
        "store_password_file": str(password_file(stack.data_dir).resolve()) if guarded else None,
        "data_dir": str(stack.data_dir.resolve()),
        "pids": stack.pids,
    }


def record_document(
    addresses: Sequence[str], security: StackSecurity, *, starting: bool = False
) -> Mapping[str, object]:
    """What clients on this machine read of a stack (see homeport.local_stack). starting: it does
    not serve yet."""
    return {
        "addresses": list(addresses),
        "starting": starting,
        "ca": str(security.ca.resolve()),
        "token": security.operator_token(),
        **_operator_certificate(security),
    }


def _operator_certificate(security: StackSecurity) -> Mapping[str, str]:
    if not security.mutual:
        return {}
    return {
        "certificate": str(security.certificate(OPERATOR).resolve()),
        "certificate_key": str(security.key(OPERATOR).resolve()),
    }
