"""FleetSampler: how full the units are while a load runs, looked up now and then beside it."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

from console.cli.calls.fleet import FleetCalls
from console.cli.failure import CommandFailed
from console.cli.profile import Target
from homeport.errors import HomeportError, PermissionDenied, Unauthenticated, Unsupported

SAMPLES = 60  # of one run, about
LEAST_S = 1.0
ASK_WITHIN_S = 3.0


class FleetSampler:
    """A context manager: inside it, it looks. A thread of its own: whoever reads what load
    processes say must not wait for servers that are overwhelmed."""

    def __init__(self, target: Target, duration_s: float) -> None:
        """Looks once, and so raises HomeportError where nobody answers. A caller who may not see
        the fleet gets none."""
        self._target = target
        self._every_s = max(LEAST_S, duration_s / SAMPLES)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="fleet sampler", daemon=True)
        self._began_s: float | None = None
        self._filling: list[dict[str, Any]] = []
        self._seen = True
        try:
            self._units = self._listed(None)
        except (PermissionDenied, Unauthenticated, Unsupported):
            self._units, self._seen = [], False
        self._before = {unit["unit"]: unit["clients"] for unit in self._units}

    def begin(self) -> None:
        """The clock of the run starts now."""
        self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        if self._seen:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._seen:
            self._thread.join(2 * ASK_WITHIN_S)

    def document(self) -> dict[str, Any]:
        """Units with how many clients they had before and have now; and how they filled: seconds
        of the run, and clients by unit then."""
        units = [
            {**unit, "clients_before": self._before.get(unit["unit"], 0)} for unit in self._units
        ]
        return {"units": units, "filling": list(self._filling)}

    def _look(self) -> None:
        over = False
        while not over:
            over = self._stop.wait(self._every_s)
            try:
                self._units = self._listed(ASK_WITHIN_S)
            except (HomeportError, CommandFailed):
                continue  # it has other things to do; the next look will tell
            if self._began_s is not None:
                self._filling.append(
                    {
                        "at": round(time.monotonic() - self._began_s, 1),
                        "clients": {unit["unit"]: unit["clients"] for unit in self._units},
                    }
                )

    def _listed(self, deadline_s: float | None) -> list[dict[str, Any]]:
        given = {} if deadline_s is None else {"deadline_s": deadline_s}
        with FleetCalls(self._target, **given) as calls:
            listed = calls.list_units()
        return [
            {
                "unit": unit.spec.unit_id,
                "latitude": unit.spec.position.latitude,
                "longitude": unit.spec.position.longitude,
                "capacity": unit.spec.capacity,
                "clients": unit.clients,
            }
            for unit in listed
        ]
