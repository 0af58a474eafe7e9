"""`homeport doctor` and `homeport version`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.common_options import installed_version
from console.cli.options import Ca, Output, Profile, Server, Token, target_of
from console.cli.output import Format, busy, show

if TYPE_CHECKING:
    from console.cli.health_checks import Finding, ObservedUnit
    from console.cli.profile import Target


def doctor(
    metrics: Annotated[
        str | None,
        typer.Option(
            help="The server's metrics port. Default: the port after that of the server.",
            metavar="HOST:PORT",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="The data directory of `homeport up`. Default: homeport-data, where it is in "
            "this folder; else none is looked at."
        ),
    ] = None,
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Look at what the charts have made in a Kubernetes namespace, with kubectl, "
            "which only reads; the server itself is asked as well where --server names it.",
            rich_help_panel="Kubernetes",
        ),
    ] = False,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            help="Default: that of the kubeconfig's context.",
            rich_help_panel="Kubernetes",
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(help="One Helm release; default: all.", rich_help_panel="Kubernetes"),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(help="Of the kubeconfig; default: its own.", rich_help_panel="Kubernetes"),
    ] = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(help="Default: as kubectl finds it.", rich_help_panel="Kubernetes"),
    ] = None,
    nats: Annotated[
        str | None,
        typer.Option(
            help="Look at the NATS servers that keep feeds, by their monitoring ports; the server "
            "itself is asked as well where --server names it.",
            metavar="http://HOST:PORT,…",
            rich_help_panel="Feeds on NATS",
        ),
    ] = None,
    nats_prefix: Annotated[
        str,
        typer.Option(help="What names of streams begin with.", rich_help_panel="Feeds on NATS"),
    ] = "homeport",
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Looks at everything that usually goes wrong.

    Each line says what to do next. Exits with 1 when something has failed.
    """
    if cluster:
        with busy("examining") as now_doing:
            now_doing("reading the cluster …")
            findings = _cluster(kubeconfig, context or "", namespace, release or "")
        if server is not None:
            findings += _all_of_server(
                metrics, data_dir, target_of(server, None, token, profile, ca)
            )
    elif given := [
        name
        for name, value in (
            ("--namespace", namespace),
            ("--release", release),
            ("--context", context),
            ("--kubeconfig", kubeconfig),
        )
        if value is not None
    ]:
        raise typer.BadParameter(f"{given[0]} is about a cluster; add --cluster")
    elif nats is not None:
        findings = _nats(nats, nats_prefix)
        if server is not None:
            findings += _all_of_server(
                metrics, data_dir, target_of(server, None, token, profile, ca)
            )
    else:
        findings = _all_of_server(metrics, data_dir, target_of(server, None, token, profile, ca))
    _show(findings, output)


def _all_of_server(metrics: str | None, data_dir: Path | None, target: Target) -> list[Finding]:
    """What a server says, and its data directory where that is here."""
    with busy("examining") as now_doing:
        now_doing(f"asking {target.server} …")
        findings, units = _service(target)
        address = metrics or _metrics_beside(target.server)
        now_doing(f"reading http://{address}/metrics …")
        findings += _metrics(address)
        findings += _fleet(units)
        folder = data_dir or Path("homeport-data")
        if data_dir is not None or folder.exists():
            findings.append(_data_dir(folder, target.server))
    return findings


def _cluster(
    kubeconfig: Path | None, context: str, namespace: str | None, release: str
) -> list[Finding]:
    import time

    from console.cli.kubernetes.examination import examine
    from console.cli.kubernetes.kubectl import Access, read_cluster

    access = Access.find(kubeconfig, context)
    state = read_cluster(access, namespace or access.namespace(), release)
    return examine(state, now_s=time.time(), version=installed_version())


def _nats(addresses: str, prefix: str) -> list[Finding]:
    from console.cli.nats_monitoring import examine_nats

    asked = [one.strip() for one in addresses.split(",") if one.strip()]
    wrong = [one for one in asked if not one.startswith(("http://", "https://"))]
    if wrong or not asked:
        raise typer.BadParameter("--nats has addresses like http://host:8222, with commas between")
    with busy("examining") as now_doing:
        now_doing(f"asking {', '.join(asked)} …")
        return examine_nats(asked, prefix)


def _show(findings: list[Finding], output: Format) -> None:
    """Raises typer.Exit where one has failed."""
    from console.cli.views.health import findings_table

    document = [
        {
            "check": finding.check,
            "outcome": finding.outcome.value,
            "seen": finding.seen,
            "next_step": finding.next_step,
        }
        for finding in findings
    ]
    failed = any(finding.outcome == "fail" for finding in findings)
    show({"healthy": not failed, "checks": document}, output, lambda: findings_table(findings))
    if failed:
        raise typer.Exit(1)


def version(output: Output = Format.TABLE) -> None:
    """Shows what is installed."""
    import platform

    import grpc

    from control_plane.compiled_modules import are_compiled

    facts = {
        "homeport": installed_version(),
        "python": platform.python_version(),
        "grpcio": grpc.__version__,
        "modules": "compiled" if are_compiled() else "pure Python",
    }
    show(facts, output, lambda: "\n".join(f"{name} {value}" for name, value in facts.items()))


def _service(target: Target) -> tuple[list[Finding], list[ObservedUnit] | None]:
    """Whether the service answers, and its units if it does."""
    import time

    from console.cli.calls.fleet import FleetCalls
    from console.cli.failure import CommandFailed, failure_of
    from console.cli.health_checks import ObservedUnit, fail, ok
    from console.cli.views.units import TAKING, status_word
    from homeport.errors import HomeportError

    began_s = time.monotonic()
    try:
        with FleetCalls(target, deadline_s=5.0) as service:
            units = service.list_units()
    except (HomeportError, CommandFailed) as error:
        failure = failure_of(error)
        said = failure.message if failure else error.message
        what, _, step = said.rpartition("; " if "; " in said else ": ")
        return [fail("server", what, step)], None
    took_ms = (time.monotonic() - began_s) * 1e3
    seen = [
        ObservedUnit(
            id=unit.spec.unit_id,
            live=unit.HasField("status"),
            clients=unit.clients,
            capacity=unit.spec.capacity,
            taking=status_word(unit) in TAKING,
        )
        for unit in units
    ]
    return [ok("server", f"{target.server} answers, first call in {took_ms:.0f} ms")], seen


def _metrics(address: str) -> list[Finding]:
    import http.client
    import time

    from console.cli import health_checks as checks
    from console.cli.scrape import scrape
    from control_plane.printable import why_failed

    try:
        seen = scrape(address)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = why_failed(error)
        step = "name it with --metrics HOST:PORT, or start the server with --metrics-listen"
        return [
            checks.warn("metrics", f"nothing usable at http://{address}: {why}", step),
            checks.check_versions(installed_version(), None),
        ]
    findings = [
        checks.ok("metrics", f"http://{address}/metrics"),
        checks.check_versions(installed_version(), seen.version),
        checks.check_store(seen.store_connected, seen.ready),
        checks.check_tasks(seen.failing_tasks),
        checks.check_records(seen.damaged),
        checks.check_policies(seen.policies_behind, seen.resting_hooks),
    ]
    if seen.clock_skew_s is not None:
        findings.append(checks.check_clock(seen.clock_skew_s))
    findings.append(checks.check_geo(seen.geo_build_s, time.time()))
    return findings


def _fleet(units: list[ObservedUnit] | None) -> list[Finding]:
    from console.cli import health_checks as checks

    if units is None:
        return []
    agents = checks.check_agents(units)
    return [agents, checks.check_room(units)] if units else [agents]


def _data_dir(folder: Path, server: str) -> Finding:
    """Whether `homeport up` could keep its data there, and whether it is the server's own."""
    import os

    from console.cli.health_checks import fail, ok, warn
    from console.local.stack import READY
    from control_plane.ready_file import read_ready_file

    folder = folder.resolve()
    running = read_ready_file(folder / READY)
    if running is not None and running.get("grpc") != server:
        return warn(
            "data",
            f"{folder} belongs to another stack, which serves at {running.get('grpc')}",
            "name the right directory with --data-dir, or that stack with --server",
        )
    place = folder if folder.exists() else folder.parent
    if not place.is_dir():
        return fail("data", f"{place} is not a directory", "choose another with --data-dir")
    if not os.access(place, os.W_OK | os.X_OK):
        return fail(
            "data",
            f"{place} cannot be written to",
            "change its permissions, or choose another with --data-dir",
        )
    return ok("data", f"{folder} can be written" if folder.exists() else f"{folder} can be made")


def _metrics_beside(server: str) -> str:
    host, _, port = server.rpartition(":")
    return f"{host}:{int(port) + 1}" if port.isdigit() else server
