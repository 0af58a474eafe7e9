"""What `homeport up` runs: which programs, in which order, and when each counts as started.

Pure: a plan is a value made from options, and so is the decision whether a program that died
is started again. `stack` carries plans out. A program's arguments may name values that an
earlier program reports once it serves, such as the port it was given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from console.local.stack_feeds import worker_arguments
from console.local.stack_options import Sharing, StackOptions
from console.local.stack_security import StackSecurity
from control_plane.backoff import Backoff
from control_plane.data_folder import SQLITE, DataFolder
from control_plane.errors import InvalidInput

ETCD, SERVER, AGENT = "etcd", "server", "agent"
SHARING, PLATFORM = "sharing", "platform"
NATS = "nats"
MESSAGES = "messages"  # the token by which units speak for `homeport-messages`
LOOPBACK = "127.0.0.1"
ETCD_USER = "root"
DATA_FOLDER = DataFolder(
    flag="--data-dir",
    parts=(
        "up.lock", "store.db*", "snapshot*", "etcd", "etcd-password*", "units", "run", "logs",
        "security", "sharing", "sharing-*", "compiled", "nats",
    ),
    earlier={"up.lock": b"", "store.db": SQLITE, "sharing/sharing.db": SQLITE},
)  # fmt: skip

READY_WITHIN_S = 150.0  # also on a machine that is busy with other things
MOST_RESTARTS = 5  # within RESTART_WINDOW_S; one more death and the stack stops
RESTART_WINDOW_S = 60.0
RESTART = Backoff(first_s=0.2)


def agent_name(unit: str) -> str:
    """The program of a unit that has one of its own."""
    return f"{AGENT}-{unit}"


def fleet_file(data_dir: Path, unit: str) -> Path:
    """Its part of the fleet file."""
    return data_dir / "run" / f"fleet-{unit}.yaml"


def password_file(data_dir: Path) -> Path:
    """Holds the password of the etcd that is started here."""
    return data_dir / "etcd-password"


@dataclass(frozen=True, slots=True)
class ReportedValue:
    """`prefix` and then what `program` wrote under `key` into its ready file."""

    program: str
    key: str
    prefix: str = ""


Argument: TypeAlias = str | ReportedValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One child process: a module of ours that writes `ready_file` as a JSON object once it
    serves, and ends on SIGTERM."""

    name: str
    module: str
    arguments: tuple[Argument, ...]
    ready_file: Path
    log: Path
    ready_within_s: float
    stop_within_s: float  # SIGKILL after that

    @property
    def needs(self) -> frozenset[str]:
        """The programs that serve before it is started; others start beside it."""
        return frozenset(one.program for one in self.arguments if isinstance(one, ReportedValue))


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """Programs in the order of their start; they stop in the opposite order."""

    programs: tuple[Program, ...]
    ports: Mapping[str, int]  # option -> port that must be free; without those that are 0


def plan_stack(options: StackOptions) -> StackPlan:
    """The programs for these options. Raises InvalidInput where they do not fit together."""
    programs = []
    store: Argument
    if options.store == "etcd":
        programs.append(
            _program(
                options,
                ETCD,
                "console.local.etcd_child",
                (
                    f"--folder={options.data_dir / 'etcd'}",
                    f"--password-file={password_file(options.data_dir)}",
                    f"--port={options.etcd_port}",
                ),
                ready_within_s=READY_WITHIN_S,
                stop_within_s=15.0,
            )
        )
        store = ReportedValue(ETCD, "url", prefix="--store=")
    elif options.store == "embedded":
        if options.workers > 1:
            raise InvalidInput(
                "workers",
                "the embedded store serves one process; use --store etcd with --workers "
                f"{options.workers}, or --workers 1",
            )
        store = f"--store=embedded:{options.data_dir / 'store.db'}"
    elif options.store.startswith(("etcd://", "etcds://")):
        store = f"--store={options.store}"
    else:
        raise InvalidInput(
            "store",
            f"--store {options.store} is none of embedded, etcd, etcd://host:port,…",
        )
    more = [f"--geo={options.geo}"] if options.geo else []
    if options.lost_after_s is not None:
        more.append(f"--lost-after-s={options.lost_after_s}")
    login: tuple[str, ...] = ()
    if options.store == "etcd":
        login = (
            f"--store-user={ETCD_USER}",
            f"--store-password-file={password_file(options.data_dir)}",
        )
    kept = () if options.store == "embedded" else (f"--snapshot={options.data_dir / 'snapshot'}",)
    programs.append(
        _program(
            options,
            SERVER,
            "provisioner",
            (
                store,
                *login,
                f"--listen={LOOPBACK}:{options.port}",
                f"--metrics-listen={LOOPBACK}:{options.metrics_port}",
                f"--http-listen={LOOPBACK}:{options.http_port}",
                f"--transport={options.transport}",
                f"--workers={options.workers}",
                *more,
                *kept,
                *_code_senders(options),
                *_pages(options),
                *server_security(options.security),
            ),
            ready_within_s=READY_WITHIN_S,
            stop_within_s=25.0,  # its own drain is 10 s
        )
    )
    if options.sharing is not None and options.security is not None:
        programs.append(_sharing(options, options.sharing, options.security))
    programs += [*(_feeds_on_nats(options) if options.feeds else []), *_agents(options)]
    wanted = {
        "--port": options.port,
        "--metrics-port": options.metrics_port,
        "--http-port": options.http_port,
    }
    if options.feeds:
        wanted["--feeds-port"] = options.feeds_port
    if options.store == "etcd":
        wanted["--etcd-port"] = options.etcd_port
    return StackPlan(
        programs=tuple(programs), ports={flag: port for flag, port in wanted.items() if port}
    )


def _agents(options: StackOptions) -> list[Program]:
    files = {AGENT: options.units}
    if options.apart:
        files = {agent_name(unit): fleet_file(options.data_dir, unit) for unit in options.apart}
    return [
        _program(
            options,
            name,
            "deployment_units.agent",
            (
                f"--units={file}",
                ReportedValue(SERVER, "grpc", prefix="--server="),
                f"--listen={LOOPBACK}:0",
                *_unit_state(options),
                *_web(options, name),
                *_applications(options),
                *_outside(options),
                *_agent_security(name, options.security),
            ),
            ready_within_s=READY_WITHIN_S,
            stop_within_s=10.0,
        )
        for name, file in files.items()
    ]


def _web(options: StackOptions, name: str) -> list[str]:
    """Where a unit serves browsers, and how links lead there."""
    if not options.web:
        return []
    ports = {agent_name(unit): port for unit, port in options.web_ports.items()}
    url = [f"--web-url={options.web_url}"] if options.web_url else []
    return [f"--http-listen={LOOPBACK}:{ports.get(name, 0)}", *url]


def _outside(options: StackOptions) -> list[str]:
    """How a unit reaches people without an account, and they it."""
    found: list[str] = []
    if not options.accounts:
        return found
    if options.mail is not None:
        found += [f"--mail-relay={options.mail.address}", f"--smtp-listen={LOOPBACK}:0"]
        found += [f"--mail-domain={options.mail.domain}={options.mail.tenant}"]
        found += [f"--mail-trusted={LOOPBACK}"] if options.mail.vouches else []
    if options.text is not None:
        found += [f"--text-line={options.text.address}", f"--text-number={options.text.number}"]
    if options.trunks:
        found += [f"--sip-listen={LOOPBACK}:0", f"--sip-trunks={options.trunks}"]
    if options.push:
        found += [f"--push={options.push}"]
    return found


def _applications(options: StackOptions) -> tuple[Argument, ...]:
    """Whose applications a unit is the agent of."""
    if options.sharing is None or options.security is None:
        return ()
    return (
        ReportedValue(SHARING, "grpc", prefix="--data-sharing="),
        f"--data-sharing-tenants={options.sharing.tenant}",
        f"--data-sharing-token-file={options.security.token_file(MESSAGES)}",
    )


def _sharing(options: StackOptions, sharing: Sharing, security: StackSecurity) -> Program:
    clock = () if sharing.clock is None else (f"--clock-file={sharing.clock}",)
    return _program(
        options,
        SHARING,
        "data_sharing",
        (
            f"--data-dir={options.data_dir / SHARING}",
            f"--listen={LOOPBACK}:0",
            "--http-listen=",
            "--metrics-listen=",
            f"--compiled-dir={options.data_dir / 'compiled'}",
            *security.serving(SHARING),
            f"--tokens={security.tokens}",
            *clock,
        ),
        ready_within_s=READY_WITHIN_S,
        stop_within_s=30.0,
    )


def _feeds_on_nats(options: StackOptions) -> list[Program]:
    """A NATS server, and a data-sharing server that keeps everything there. Raises InvalidInput."""
    if options.feeds != "nats":
        raise InvalidInput("feeds", f"--feeds {options.feeds} is not known here; there is: nats")
    nats = _program(
        options, NATS, "console.local.nats_child", (f"--folder={options.data_dir / NATS}",),
        ready_within_s=READY_WITHIN_S, stop_within_s=15.0,
    )  # fmt: skip
    return [nats, *(_worker(options, number) for number in range(options.feeds_partitions))]


def _worker(options: StackOptions, number: int) -> Program:
    """One of the data-sharing servers, each of which has a partition."""
    name = SHARING if number == 0 else f"{SHARING}-{number}"
    arguments = (
        f"--data-dir={options.data_dir / name}", *worker_arguments(options, LOOPBACK, number),
        *feeds_on(NATS), *sharing_security(options.security),
    )  # fmt: skip
    return _program(
        options, name, "data_sharing", arguments,
        ready_within_s=READY_WITHIN_S, stop_within_s=30.0,
    )  # fmt: skip


def feeds_on(nats: str) -> tuple[Argument, ...]:
    """What a data-sharing server is given that keeps everything on the NATS server of a program."""
    return (
        ReportedValue(nats, "url", prefix="--feeds="),
        ReportedValue(nats, "monitoring", prefix="--feeds-monitoring="),
        "--feeds-replicas=1",
        "--feeds-allow-fewer",
    )


def _pages(options: StackOptions) -> tuple[str, ...]:
    if not options.hosts:
        return ()
    return (
        f"--directory-http-listen={LOOPBACK}:{options.pages_port}",
        f"--directory-hosts={json.dumps(options.hosts)}",
    )


def _code_senders(options: StackOptions) -> list[str]:
    """By whom codes are sent to addresses and numbers, and domains are looked for."""
    found = []
    if options.mail is not None:
        sender = f"codes@{options.mail.domain}"
        found += [f"--directory-mail-relay={options.mail.address}"]
        found += [f"--directory-mail-from={sender}"]
    if options.text is not None:
        found += [f"--directory-text-line={options.text.address}"]
        found += [f"--directory-text-number={options.text.number}"]
    if options.dns:
        found += [f"--directory-dns={options.dns}"]
    return found


def _unit_state(options: StackOptions) -> tuple[str, ...]:
    """What units keep; the one kind is never where the other was."""
    if options.accounts:
        return (f"--state-dir={options.data_dir / 'accounts'}", "--accounts")
    return (f"--state-dir={options.data_dir / 'units'}",)


def server_security(security: StackSecurity | None) -> tuple[str, ...]:
    """What a provisioning server of the stack, or one beside it, is given."""
    if security is None:
        return ()
    calling = security.calling(SERVER, prefix="unit-")
    return (*sharing_security(security), *calling)


def sharing_security(security: StackSecurity | None) -> tuple[str, ...]:
    """The same for a data-sharing server beside the stack; with the server's certificate."""
    if security is None:
        return ()
    return (*security.serving(SERVER), f"--tokens={security.tokens}")


def _agent_security(name: str, security: StackSecurity | None) -> tuple[str, ...]:
    if security is None:
        return ()
    token = f"--config={security.settings(name)}"
    return (*security.serving(name), *security.calling(name), token)


def _program(
    options: StackOptions,
    name: str,
    module: str,
    arguments: tuple[Argument, ...],
    *,
    ready_within_s: float,
    stop_within_s: float,
) -> Program:
    ready_file = options.data_dir / "run" / f"{name}.json"
    return Program(
        name=name,
        module=module,
        arguments=(*arguments, f"--ready-file={ready_file}"),
        ready_file=ready_file,
        log=options.data_dir / "logs" / f"{name}.log",
        ready_within_s=ready_within_s,
        stop_within_s=stop_within_s,
    )


def settled_arguments(
    program: Program, facts: Mapping[str, Mapping[str, object]]
) -> tuple[str, ...]:
    """The command line with every fact filled in; `facts` are ready files by program."""
    return tuple(
        argument
        if isinstance(argument, str)
        else f"{argument.prefix}{facts[argument.program][argument.key]}"
        for argument in program.arguments
    )


def restart_delay_s(deaths_s: Sequence[float], now_s: float) -> float | None:
    """How long to wait before a program that died is started again; None: not at all.

    `deaths_s` are the times of its deaths, the last one included, on the clock of `now_s`.
    Doubles with each death in the window, so that a program that cannot start does not spin.
    """
    recent = sum(1 for death_s in deaths_s if now_s - death_s <= RESTART_WINDOW_S)
    if recent > MOST_RESTARTS:
        return None
    return RESTART.pause_s(recent - 1)
