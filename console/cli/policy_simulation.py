"""Simulations on this machine, with progress, and what is told of one wherever it ran."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from console.cli.input.population_file import add_clients
from console.cli.output import busy
from console.cli.progress import counting
from provisioner.geo.database import GeoDatabase
from simulation.policy.figures import document_of
from simulation.policy.listed import ListedQuestion, ListedSimulation
from simulation.policy.page import page_of
from simulation.policy.picture import picture_of
from simulation.policy.simulator import Answer, Question, check, simulate, steps_of
from simulation.population.population import population_of
from simulation.side_process import can_fork, side_process


class Told(NamedTuple):
    """Of a simulation. page, picture: make the files' content."""

    document: dict[str, Any]
    page: Callable[[], bytes]
    picture: Callable[[], bytes]


def place_modelled(question: Question, geo: Path | None) -> Told:
    """Users where people live. Raises InvalidInput, and what opening the database raises."""
    check(question)  # before what takes seconds
    with busy("reading and verifying the geo database"):
        database = GeoDatabase.open(geo)
        population = population_of(database)
    with counting("simulating", total=steps_of(question)) as advance:
        apart = side_process if can_fork() else None
        answer = simulate(question, population, advance, apart=apart)
    return _told(answer, attribution=database.info.attribution)


def place_listed(question: ListedQuestion, file: Path, geo: Path | None) -> Told:
    """The clients of a file. Raises InvalidInput, and what opening files raises."""
    simulation = ListedSimulation(question)
    with counting("reading clients", total=None) as advance:
        add_clients(file, geo, simulation.clients, advance)
    with counting("simulating", total=len(simulation.clients)) as advance:
        answer = simulation.run(advance)
    return _told(answer)


def _told(answer: Answer, *, attribution: str = "") -> Told:
    document = document_of(*answer)
    return Told(
        document,
        lambda: page_of(*answer, document, attribution=attribution).encode(),
        lambda: picture_of(*answer, document).encode(),
    )
