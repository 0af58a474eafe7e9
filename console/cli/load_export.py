"""`homeport load --export-ghz` and `--export-locust`: files with which other load generators play
the same users. Nobody is called."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from console.cli.output import note
from console.cli.profile import Target
from control_plane.errors import InvalidInput
from control_plane.files import replace_file
from control_plane.written_paths import check_written_file
from simulation.load.calls import ELSEWHERE
from simulation.load.export.ghz import ghz_config
from simulation.load.export.locust_file import locust_file
from simulation.load.plan import plan_of
from simulation.load.processes import longitudes_of
from simulation.load.settings import LoadSettings
from simulation.population.population import load_population


def export(
    settings: LoadSettings,
    geo: Path | None,
    target: Target,
    *,
    ghz: Path | None,
    locust: Path | None,
) -> None:
    """Writes those that are named. Raises InvalidInput for a path that cannot be written, and for a
    scenario that ghz cannot play."""
    for path, flag in ((ghz, "--export-ghz"), (locust, "--export-locust")):
        if path is not None:
            check_written_file(path, flag)
    if locust is not None:
        replace_file(locust, locust_file(settings).encode())
        note(f"locust -f {locust} plays it; it needs Locust beside homeport-server")
    if ghz is not None:
        replace_file(ghz, _ghz(settings, geo, target).encode())
        note(f"ghz --config {ghz} plays it; give it -m and --cacert where servers ask for them")


def _ghz(settings: LoadSettings, geo: Path | None, target: Target) -> str:
    population = load_population(geo)
    plan = plan_of(settings, 0, longitudes_of(population, settings))
    run = secrets.token_hex(4)

    def request(user: int, place: int) -> dict[str, Any]:
        where = population.user(user + place * ELSEWHERE, settings.seed).address
        return {"tenant": target.tenant, "client_id": f"load-{run}-{user}", "address": where}

    try:
        config = ghz_config(
            settings, plan, host=target.server, secured=bool(target.ca), request=request
        )
    except ValueError as error:
        raise InvalidInput("export-ghz", f"--export-ghz: {error}") from error
    return json.dumps(config)
