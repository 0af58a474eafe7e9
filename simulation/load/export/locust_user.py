"""Locust (https://locust.io): a user class and a shape that play the same users and scenarios.

    from simulation.load.export.locust_user import locust_classes
    from simulation.load.settings import LoadSettings, Scenario

    HomeportUser, HomeportShape = locust_classes(LoadSettings(scenario=Scenario.RAMP))

A Locust user calls once a second here, so that as many users run as calls are due; it waits for its
answer first, so where servers stall, fewer arrive. Only the classes need Locust. They call with
HOMEPORT_TOKEN, over TLS where HOMEPORT_CA names a file.
"""

from __future__ import annotations

import os
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from simulation.load.arrivals import Rates, day_rates, rates_of
from simulation.load.calls import ELSEWHERE
from simulation.load.plan import plan_of
from simulation.load.settings import LoadSettings, Scenario
from simulation.load.user_kinds import UserKind
from simulation.population.population import load_population

DEADLINE_S = 5.0


def rate_at(settings: LoadSettings, at_s: float) -> float | None:
    """Arrivals a second at a time of the run; None: it is over."""
    if at_s >= settings.duration_s:
        return None
    rates: Rates = rates_of(settings)
    if settings.scenario is Scenario.DAY:  # as if all were in one time zone
        rates = day_rates(settings, 0.0, 1.0)
    herd = 0.0
    if settings.scenario is Scenario.HERD:
        back_s = next(at for at, rate in rates[2:] if rate == 0.0 and at > rates[2][0])
        if back_s <= at_s < back_s + settings.herd_within_s:
            herd = settings.users / settings.herd_within_s
    points, values = zip(*rates, strict=True)
    return float(np.interp(at_s, points, values)) + herd


def locust_classes(settings: LoadSettings, *, run: str = "locust") -> tuple[Any, Any]:
    """The user class and the shape. run: sets the ids of its users apart from all others'. Raises
    ImportError without Locust."""
    import grpc.experimental.gevent as grpc_gevent
    from locust import LoadTestShape, User, constant_throughput, task

    grpc_gevent.init_gevent()
    import grpc

    from homeport.api.provisioning.v1 import provisioning_pb2 as pb
    from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc

    population = load_population()
    # Users of a day are told apart by number alone here: when they are awake, the shape says.
    plan = plan_of(settings, 0, lambda users: np.zeros(len(users)))
    calls = cycle(
        list(zip(plan.kinds.tolist(), plan.users.tolist(), plan.places.tolist(), strict=True))
    )
    token = os.environ.get("HOMEPORT_TOKEN", "")
    ca = os.environ.get("HOMEPORT_CA", "")
    metadata = [("authorization", f"Bearer {token}")] if token else []

    class HomeportUser(User):  # type: ignore[misc]
        """Whoever is next in the plan, once a second."""

        wait_time = constant_throughput(1)
        host = os.environ.get("HOMEPORT_SERVER", "127.0.0.1:7700")

        def __init__(self, environment: Any) -> None:
            super().__init__(environment)
            address = self.host.removeprefix("http://").removeprefix("https://")
            channel = (
                grpc.secure_channel(address, grpc.ssl_channel_credentials(Path(ca).read_bytes()))
                if ca
                else grpc.insecure_channel(address)
            )
            self._service = pb_grpc.ProvisioningServiceStub(channel)

        @task  # type: ignore[untyped-decorator]
        def arrive(self) -> None:
            kind, user, place = next(calls)
            client_id = f"load-{run}-{user}"
            began = time.perf_counter()
            failure: Exception | None = None
            try:
                if kind == UserKind.RELEASED:
                    self._service.ReleaseAssignment(
                        pb.ReleaseAssignmentRequest(client_id=client_id),
                        timeout=DEADLINE_S,
                        metadata=metadata,
                    )
                else:
                    where = population.user(user + place * ELSEWHERE, settings.seed).address
                    self._service.Provision(
                        pb.ProvisionRequest(client_id=client_id, address=where),
                        timeout=DEADLINE_S,
                        metadata=metadata,
                    )
            except grpc.RpcError as error:
                failure = error
            self.environment.events.request.fire(
                request_type="grpc",
                name=UserKind(kind).word,
                response_time=(time.perf_counter() - began) * 1e3,
                response_length=0,
                exception=failure,
            )

    class HomeportShape(LoadTestShape):  # type: ignore[misc]
        """As many users as calls are due a second."""

        def tick(self) -> tuple[int, float] | None:
            rate = rate_at(settings, self.get_run_time())
            return None if rate is None else (max(1, round(rate)), max(1.0, rate))

    return HomeportUser, HomeportShape
