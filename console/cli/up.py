"""The body of `homeport up`: starts the local stack, says where to go next, stays until told to
stop, and then stops everything. A second Ctrl-C does not wait for anybody."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import quote

from rich.console import Console, Group, RenderableType
from rich.text import Text

from console.cli.markup import escape
from console.cli.output import Format, busy, console_for_notes, show
from console.cli.tables import facts
from console.local.stack import (
    READY,
    LocalStack,
    StartInterrupted,
    ready_document,
    record_document,
    secured,
)
from console.local.stack_options import StackOptions
from console.local.stack_plan import (
    ETCD,
    ETCD_USER,
    LOOPBACK,
    SERVER,
    password_file,
    plan_stack,
    server_security,
    sharing_security,
)
from console.local.stack_security import OPERATOR, StackSecurity
from console.local.stack_units import prepare_stack
from control_plane.fleet.file import read_fleet
from control_plane.fleet.unit import UnitId
from control_plane.private_files import private_folder
from control_plane.ready_file import clear_ready_file, write_ready_file
from control_plane.written_paths import check_written_file, check_written_folder
from homeport.local_stack import records_folder
from provisioner.geo.database import GeoDatabase

_TEND_EVERY_S = 0.1
_SECURED_NOW = """TLS and tokens are new to {0}, which has data from before:
- clients keep their homes; each proves itself by its last ticket, and a client library of
  this version binds a key to it
- new clients are asked for a token; as before, without: homeport tenants apply TENANT
  --enrolment open
- programs of other users need {0}/security/ca.pem and a token: homeport tokens issue --help
- homeport up --insecure leaves everything as it was"""


def run_until_stopped(
    options: StackOptions,
    ready_file: Path | None,
    *,
    insecure: bool = False,
    mutual: bool = False,
) -> None:
    """insecure: without TLS and tokens; mutual: callers show certificates, too. Returns once
    everything has stopped as told. Raises ServiceError where the stack cannot start, or a program
    of it keeps ending; nothing is left running then either."""
    read_fleet(options.units)  # a mistake in it is said at once, and not by a program's log
    if options.geo is not None:
        GeoDatabase.open(options.geo)
    check_written_folder(options.data_dir, "--data-dir")
    if ready_file is not None:
        check_written_file(ready_file, "--ready-file")
    if not insecure:
        options = secured(options, mutual=mutual)
    plan = plan_stack(options)

    unsecured = _has_unsecured_data(options)
    stop = threading.Event()
    notes = console_for_notes()
    files = [options.data_dir / READY, *([ready_file] if ready_file is not None else [])]
    for file in files[1:]:
        file.unlink(missing_ok=True)
    record = records_folder() / f"{quote(str(options.data_dir.resolve()), safe='')[-200:]}.json"
    reporter = _StepReporter(notes)

    def prepare() -> None:
        prepare_stack(options)
        if options.port:  # else nobody knows yet where it will be
            _write_record(record, [f"{LOOPBACK}:{options.port}"], options.security, starting=True)

    stack = LocalStack(
        plan,
        options.data_dir,
        on_step=reporter.report,
        on_trouble=lambda trouble: notes.print(trouble, style="yellow", markup=False),
        interrupted=stop.is_set,
        prepare=prepare,
    )
    with _stopping_on_signals(stop, stack):
        try:
            with busy("starting") as reporter.update:
                stack.start()
        except BaseException as ended:  # whatever ended the start: nobody is to wait for it
            clear_ready_file(record)
            if isinstance(ended, StartInterrupted):
                return
            raise
        try:
            store = _store_url(options, stack)
            announced = ready_document(stack, store, options.security)
            _write_record(record, [stack.grpc, *stack.units.values()], options.security)
            for file in files:
                write_ready_file(file, announced, indent=2)
            show({}, Format.TABLE, lambda: _where_next(stack, options, store))
            sys.stdout.flush()
            if unsecured:
                notes.print(_SECURED_NOW.format(options.data_dir), style="yellow", markup=False)
            while not stop.wait(_TEND_EVERY_S):
                stack.tend()
                if announced != (now := ready_document(stack, store, options.security)):
                    announced = now  # a program was started again: other pids, other ports
                    _write_record(record, [stack.grpc, *stack.units.values()], options.security)
                    for file in files:
                        write_ready_file(file, announced, indent=2)
        finally:
            with busy("stopping") as reporter.update:
                stack.stop()
            for file in (*files, record):
                clear_ready_file(file)
    notes.print(f"stopped; everything is kept in {options.data_dir}", markup=False)


def _write_record(
    record: Path,
    addresses: Sequence[str],
    security: StackSecurity | None,
    *,
    starting: bool = False,
) -> None:
    """How commands and clients on this machine find CA and token by themselves."""
    if security is None:
        return
    private_folder(record.parent)
    document = record_document(addresses, security, starting=starting)
    write_ready_file(record, document, serves=not starting)


@contextmanager
def _stopping_on_signals(stop: threading.Event, stack: LocalStack) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop`; a second one kills what still runs."""

    def heard(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            stack.kill()
        stop.set()

    before = {name: signal.signal(name, heard) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class _StepReporter:
    """Reports steps to the operator: in the spinner's words, or in lines where there is no
    terminal to spin on."""

    def __init__(self, notes: Console) -> None:
        self._notes = notes
        self.update: Callable[[str], None] = lambda words: None

    def report(self, step: str) -> None:
        if self._notes.is_terminal:
            self.update(f"{step} …")
        else:
            self._notes.print(step, markup=False)


def _has_unsecured_data(options: StackOptions) -> bool:
    """Whether clients may be in the data directory from a time in which nobody showed a token."""
    security = options.security
    stores = (options.data_dir / "store.db", options.data_dir / ETCD)
    return (
        security is not None
        and not security.tokens.exists()
        and any(store.exists() for store in stores)
    )


def _store_url(options: StackOptions, stack: LocalStack) -> str:
    """What further servers would take as --store."""
    if options.store == "embedded":
        return f"embedded:{(options.data_dir / 'store.db').resolve()}"
    return str(stack.facts[ETCD]["url"]) if options.store == "etcd" else options.store


def _security_facts(security: StackSecurity | None) -> list[tuple[str, str]]:
    if security is None:
        return [("security", "none: no TLS, and whoever can connect may do everything")]
    found, what = f"{security.ca} (CA), {security.operator_token_file} (token)", "TLS and tokens"
    if security.mutual:
        found += f", {security.certificate(OPERATOR)} (certificate, its key beside it)"
        what = "mTLS and tokens"
    return [("security", f"{what}, known to this user's programs; {escape(found)}")]


def _where_next(stack: LocalStack, options: StackOptions, store: str) -> RenderableType:
    running = facts(
        ("provisioning", f"[bold]{escape(stack.grpc)}[/] (gRPC)"),
        ("HTTP, JSON", f"{'http' if options.security is None else 'https'}://{stack.http}"),
        ("metrics", f"http://{stack.metrics}/metrics"),
        ("units", _units_fact(stack, options)),
        *_browser_facts(stack, options),
        *_mail_facts(stack),
        ("store", escape(store)),
        ("data, logs", escape(str(options.data_dir))),
        *_security_facts(options.security),
    )
    # Not folded: they are there to be copied.
    lines = [
        Text.assemble(("$ ", "dim"), (command, "cyan"), no_wrap=True, overflow="ignore")
        for command in _next_commands(stack, options, store)
    ]
    return Group("[bold green]Homeport is up[/]; Ctrl-C stops it", "", running, "", *lines)


def _next_commands(stack: LocalStack, options: StackOptions, store: str) -> list[str]:
    there = "" if stack.grpc.endswith(":7700") else f" --server {stack.grpc}"
    if options.apart:
        return [
            f"homeport provision anna --ip 81.2.69.142{there}",
            f"homeport accounts claim anna @anna{there}",
            f"homeport resolve @anna{there}",
            *_sign_in_command(options, there),
        ]
    commands = [
        f"homeport provision alice --ip 81.2.69.142{there}",
        f"homeport explain bob --at 35.7,139.7{there}",
        f"homeport units list{there}",
    ]
    if options.store == "etcd":
        access = [
            *("--store", store, "--store-user", ETCD_USER),
            *("--store-password-file", str(password_file(options.data_dir))),
        ]
        free = ["--listen", f"{LOOPBACK}:0", "--metrics-listen", f"{LOOPBACK}:0"]
        data = ["--data-dir", str(options.data_dir / "sharing")]
        security = options.security
        commands[2:] = [
            shlex.join(["homeport", "serve", *access, *free, *server_security(security)]),
            shlex.join(["homeport", "share", *access, *data, *sharing_security(security)]),
        ]
    return commands


def _sign_in_command(options: StackOptions, there: str) -> list[str]:
    """How somebody gets into the web client."""
    web = " ".join(f"--web {one}" for one in options.web_url.split(",") if one)
    return [f"homeport accounts sign-in anna {web}{there}"] if web else []


def _units_fact(stack: LocalStack, options: StackOptions) -> str:
    if options.apart:
        return ", ".join(f"{unit} at {at}" for unit, at in stack.units.items())
    return f"{len(stack.units)}, each with an agent on loopback"


def _browser_facts(stack: LocalStack, options: StackOptions) -> list[tuple[str, str]]:
    scheme = "http" if options.security is None else "https"
    port = str(stack.facts[SERVER].get("pages") or "").rpartition(":")[2]
    hosts = [one.partition(":")[0] for one in options.hosts]
    at = [f"handles at {scheme}://{host}:{port}/@HANDLE" for host in hosts]
    for unit, web in stack.addresses("web").items():
        host = options.unit_hosts.get(UnitId(unit), LOOPBACK)
        at.append(f"{unit} at {scheme}://{host}:{web.rpartition(':')[2]}/client/")
    return [("browsers", ", ".join(at))] if at else []


def _mail_facts(stack: LocalStack) -> list[tuple[str, str]]:
    at = [f"{unit} at {mail}" for unit, mail in stack.addresses("mail").items()]
    return [("mail, SMTP", ", ".join(at))] if at else []
