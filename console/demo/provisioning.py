"""`make demo`: gives 20,000 real public addresses their home, and shows what came of it.

Starts the local stack with a fresh store, samples addresses that look like users, provisions
them through the gRPC API, prints the summary, tries tickets at the units, draws the map, stops.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from rich.console import Console

import homeport
from console.cli.failure import failure_of, report
from console.cli.output import busy, console_for_people, kilometres, load_bar
from console.cli.progress import counting
from console.cli.tables import Table, fold, number, optional, whole
from console.cli.views.homes import explanation_view
from console.local.stack import LocalStack, secured
from console.local.stack_options import StackOptions
from console.local.stack_plan import StackPlan, plan_stack
from console.local.stack_security import StackSecurity
from console.local.stack_units import make_stack_security
from control_plane.fleet.file import SAMPLE, read_fleet
from control_plane.fleet.unit import UnitSpec
from control_plane.printable import number_of
from homeport import Assignment, ClientAt
from provisioner.geo.database import GeoDatabase
from provisioner.geo.locator import Locator
from provisioner.geo.sampling import sample_public_addresses

SEED = 20  # any; the same one gives the same clients
_EXPLAINED_UNITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    clients: int
    output: Path
    store: str
    units: Path
    transport: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What came of provisioning: `homes` in the order of the addresses, None where refused."""

    addresses: Sequence[str]
    homes: Sequence[Assignment | None]
    took_s: float

    @property
    def distances_km(self) -> np.ndarray:
        """Of those whose position is known."""
        known = [home.distance_km for home in self.homes if home and home.distance_km is not None]
        return np.array(known, dtype=np.float64)


def main() -> int:
    options = _options(sys.argv[1:])
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        run(options)
    except BaseException as error:  # raised again where it is not one of ours
        failure = None if isinstance(error, SystemExit) else failure_of(error)
        if failure is None:
            raise
        report(failure)
        return failure.code
    return 0


def run(options: Options) -> None:
    """The whole demo. Raises HomeportError (ours or the library's)."""
    out = console_for_people()
    units = read_fleet(options.units)
    with busy("reading the geo database"):
        database = GeoDatabase.open()
    with busy(f"choosing {number_of(options.clients, 'address', 'addresses')}"):
        addresses = sample_public_addresses(database, options.clients, SEED)
    data_dir = options.output / "data"
    shutil.rmtree(data_dir, ignore_errors=True)
    security, plan = _plan(options, data_dir)
    with busy("starting") as now_doing:
        stack = LocalStack(
            plan,
            data_dir,
            on_step=lambda step: now_doing(f"{step} …"),
            prepare=lambda: make_stack_security(security, [unit.id for unit in units]),
        )
        stack.start()
    try:
        token, tls = security.operator_token(), homeport.Tls.from_files(security.ca)
        with homeport.Client(stack.grpc, tls=tls, token=token) as client:
            outcome = provision(client, addresses)
            _print_summary(out, units, outcome)
            _print_explanation(out, client, outcome)
        _print_tickets(out, stack, outcome, tls)
    finally:
        with busy("stopping"):
            stack.stop()
    with busy("drawing the map"):
        maps = draw(units, Locator(lambda: database), outcome, options.output)
    out.print(f"\nmap: {', '.join(str(path) for path in maps)}", markup=False)
    out.print(f"[dim]{database.info.attribution}[/]")


def _plan(options: Options, data_dir: Path) -> tuple[StackSecurity, StackPlan]:
    """A stack with TLS and tokens."""
    secure = secured(
        StackOptions(
            data_dir=data_dir,
            units=options.units,
            store=options.store,
            port=0,
            metrics_port=0,
            transport=options.transport,
        )
    )
    assert secure.security is not None
    return secure.security, plan_stack(secure)


def provision(client: homeport.Client, addresses: Sequence[str]) -> DemoResult:
    """Provisions each address as a client of its own."""
    homes: list[Assignment | None] = []
    began_s = time.perf_counter()
    with counting("provisioning", total=len(addresses), show_after_s=0.0) as advance:
        clients = (
            ClientAt(client_id=f"user-{number:06}", address=address)
            for number, address in enumerate(addresses)
        )
        for result in client.provision_many(clients):
            homes.append(result.assignment)
            advance(1)
    return DemoResult(addresses=addresses, homes=homes, took_s=time.perf_counter() - began_s)


def summary_table(units: Sequence[UnitSpec], outcome: DemoResult) -> Table:
    """What came of it, unit by unit."""
    done = [home for home in outcome.homes if home]
    distances = outcome.distances_km
    table = Table(
        fold("unit", footer=number_of(len(units), "unit")),
        number("clients", footer=f"{len(done):,}"),
        optional(whole("load")),
        number("mean", footer=kilometres(_mean(distances))),
        number("p99", footer=kilometres(_p99(distances))),
        footers=True,
    )
    for unit in units:
        mine = [home for home in done if home.unit_id == unit.id]
        far = np.array([home.distance_km for home in mine if home.distance_km is not None])
        load = len(mine) / unit.capacity
        table.add_row(
            unit.id,
            f"{len(mine):,}",
            f"{load_bar(load)} {load:>5.1%}",
            kilometres(_mean(far)),
            kilometres(_p99(far)),
        )
    return table


def _print_summary(out: Console, units: Sequence[UnitSpec], outcome: DemoResult) -> None:
    out.print(summary_table(units, outcome))
    done = [home for home in outcome.homes if home]
    sixes = sum(":" in address for address in outcome.addresses)
    rate = len(done) / outcome.took_s
    out.print(
        f"\nClients that have a home now: [bold]{len(done):,}[/] of {len(outcome.homes):,}; "
        f"by IPv6 came {sixes:,}.\n"
        f"[bold green]{rate:,.0f} a second[/] ({outcome.took_s:.2f} s), each recorded on disk, "
        "each with a ticket."
    )


def _print_explanation(out: Console, client: homeport.Client, outcome: DemoResult) -> None:
    """One decision that was more than "the nearest", if there was one."""
    done = [number for number, home in enumerate(outcome.homes) if home]
    if not done:
        return
    telling = [n for n in done if (home := outcome.homes[n]) and home.rule != "nearest"]
    number = (telling or done)[0]
    name = f"user-{number:06}"
    explanation = client.explain(name, address=outcome.addresses[number])
    shown = replace(explanation, units=explanation.units[:_EXPLAINED_UNITS])
    out.print(f"\n[bold]One decision, explained[/] [dim](homeport explain {name})[/]")
    out.print(explanation_view(name, shown))


def _print_tickets(out: Console, stack: LocalStack, outcome: DemoResult, tls: homeport.Tls) -> None:
    """The same ticket at its own unit and at another."""
    home = next((home for home in outcome.homes if home), None)
    if home is None:
        return
    others = [unit for unit in stack.units if unit != home.unit_id]
    out.print(f"[bold]The ticket of {home.client_id}[/] [dim](for {home.unit_id})[/]")
    for unit in (home.unit_id, *others[:1]):
        answer = homeport.admit(stack.units[unit], home.ticket, tls=tls)
        verdict = "[green]admitted[/]" if answer.admitted else f"[red]refused: {answer.reason}[/]"
        out.print(f"  shown to {unit}: {verdict} [dim]{answer.message}[/]")


def draw(
    units: Sequence[UnitSpec], locator: Locator, outcome: DemoResult, folder: Path
) -> tuple[Path, Path]:
    """Writes the map, as PNG and SVG; clients without position are not on it."""
    from console.demo.world_map import ClientsOnMap, UnitOnMap, draw_world

    counts: dict[tuple[float, float, str], int] = {}
    per_unit: dict[str, int] = {unit.id: 0 for unit in units}
    for address, home in zip(outcome.addresses, outcome.homes, strict=True):
        if home is None:
            continue
        per_unit[home.unit_id] += 1
        where = locator.locate(address, None, None)
        if where.latitude is not None and where.longitude is not None:
            key = (where.latitude, where.longitude, home.unit_id)
            counts[key] = counts.get(key, 0) + 1
    distances = outcome.distances_km
    targets = (folder / "world.png", folder / "world.svg")
    draw_world(
        [
            UnitOnMap(
                id=unit.id,
                latitude=unit.position.latitude,
                longitude=unit.position.longitude,
                clients=per_unit[unit.id],
                capacity=unit.capacity,
            )
            for unit in units
        ],
        [
            ClientsOnMap(latitude=latitude, longitude=longitude, unit=unit, clients=clients)
            for (latitude, longitude, unit), clients in counts.items()
        ],
        title=f"{number_of(sum(per_unit.values()), 'client')}, each with a home",
        subtitle=(
            f"real public addresses, sampled by population, on {number_of(len(units), 'unit')} · "
            f"distance to the unit: mean {kilometres(_mean(distances))}, "
            f"p99 {kilometres(_p99(distances))}"
        ),
        targets=targets,
    )
    return targets


def _mean(distances_km: np.ndarray) -> float | None:
    return float(distances_km.mean()) if distances_km.size else None


def _p99(distances_km: np.ndarray) -> float | None:
    return float(np.percentile(distances_km, 99)) if distances_km.size else None


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--clients", type=int, default=20_000)
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    parser.add_argument("--store", choices=("embedded", "etcd"), default="embedded")
    parser.add_argument("--units", type=Path, default=SAMPLE, help="fleet file")
    parser.add_argument("--transport", choices=("auto", "native", "grpcio"), default="auto")
    given = parser.parse_args(arguments)
    return Options(**vars(given))


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
