"""Who is notified of a unit's changes, and of which."""

from provisioner.placement.occupancy import Occupancy


class Decision:
    """Counts how often it had to forget."""

    def __init__(self) -> None:
        self.forgot = 0

    def forget(self) -> None:
        self.forgot += 1


def watched(units: int = 2) -> tuple[Occupancy, Decision]:
    """All units have ten slots and are a tenth full; the decision looked at unit 0."""
    occupancy, decision = Occupancy(units), Decision()
    for unit in range(units):
        occupancy.update(unit, 10, 0.1)
    occupancy.subscribe(0, decision)
    return occupancy, decision


def test_a_unit_is_full_until_something_is_known_of_it() -> None:
    occupancy = Occupancy(1)
    assert (occupancy.room[0], occupancy.load[0], int(occupancy.is_open[0])) == (0, 1.0, 0)


def test_changes_within_a_load_step_notify_nobody() -> None:
    occupancy, decision = watched()
    changes = occupancy.changes
    occupancy.update(0, 9, 0.12)
    assert (decision.forgot, occupancy.changes) == (0, changes)
    assert (occupancy.room[0], occupancy.load[0]) == (9, 0.12)


def test_another_load_step_notifies_once() -> None:
    occupancy, decision = watched()
    occupancy.update(0, 9, 0.2)
    occupancy.update(0, 9, 0.3)
    assert decision.forgot == 1


def test_the_last_slot_notifies_and_closes_the_unit() -> None:
    occupancy, decision = watched()
    for _ in range(9):
        occupancy.use_slot(0)
    assert (decision.forgot, int(occupancy.is_open[0])) == (0, 1)
    occupancy.use_slot(0)
    assert (decision.forgot, int(occupancy.is_open[0])) == (1, 0)


def test_changes_of_other_units_notify_nobody() -> None:
    occupancy, decision = watched()
    occupancy.update(1, 0, 1.0)
    assert decision.forgot == 0


def test_all_are_notified_when_everything_is_to_be_forgotten() -> None:
    occupancy, decision = watched()
    occupancy.subscribe(1, decision)
    occupancy.forget_all()
    assert decision.forgot == 2


def test_arrays_show_each_change_at_once() -> None:
    occupancy, _ = watched()
    is_open, steps = occupancy.is_open, occupancy.steps
    occupancy.update(1, 0, 0.5)
    assert (int(is_open[1]), int(steps[1])) == (0, 10)
