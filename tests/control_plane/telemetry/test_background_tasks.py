"""How background tasks fare, as Prometheus sees it."""

from __future__ import annotations

from control_plane.supervision import STEADY_S, Supervisor
from control_plane.telemetry.background_tasks import BackgroundTasks


def test_failures_are_counted_by_name_and_stay_while_failing_ends() -> None:
    now = [0.0]
    supervisor = Supervisor(clock=lambda: now[0], jitter=lambda: 0.0)

    def told() -> dict[tuple[str, str], float]:
        return {
            (one.name, one.labels["task"]): one.value
            for family in BackgroundTasks(supervisor).collect()
            for one in family.samples
        }

    assert told() == {}
    for _ in range(2):
        supervisor.note("ledger", ValueError("x"))
    assert told() == {
        ("homeport_background_task_failures_total", "ledger"): 2,
        ("homeport_background_task_failing", "ledger"): 1,
    }
    now[0] += 2 * STEADY_S
    assert told()["homeport_background_task_failing", "ledger"] == 0
