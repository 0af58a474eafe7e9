"""The queues in which instructions wait for a platform."""

from __future__ import annotations

from msgspec.structs import replace

from data_sharing.delivery.in_flight_queue import InFlight, InFlightQueue
from tests.support.instructions import NOW_MS, RING
from tests.support.platform_sessions import session


def item(
    number: int = 1, *, platform: str = "", held_by: str = "", deadline_ms: int = NOW_MS
) -> InFlight:
    return InFlight(
        instruction=replace(RING, id=f"i-{number}", platform=platform),
        deadline_ms=deadline_ms,
        attempt=1,
        held_by=held_by,
    )


def waiting(queue: InFlightQueue) -> list[str]:
    return [one.instruction.id for one in queue.for_application("acme", "alarm", "1.0.0")]


def test_what_any_platform_may_get_waits_by_application_in_order() -> None:
    queue = InFlightQueue()
    for number in (1, 2):
        queue.append(item(number))
    assert waiting(queue) == ["i-1", "i-2"]
    assert not queue.for_application("acme", "alarm", "2.0.0")
    assert not queue.for_application("other", "alarm", "1.0.0")


def test_what_one_platform_alone_may_get_waits_for_it() -> None:
    queue = InFlightQueue()
    queue.append(item(1, platform="hub"))
    queue.append(item(2, held_by="car"))
    assert [one.instruction.id for one in queue.for_platform("acme", "hub")] == ["i-1"]
    assert [one.instruction.id for one in queue.for_platform("acme", "car")] == ["i-2"]
    assert waiting(queue) == []


def test_a_named_platform_outweighs_the_one_that_had_it() -> None:
    assert item(platform="hub", held_by="car").only_for == "hub"
    assert item(held_by="car").only_for == "car"
    assert item().only_for == ""


def test_is_stale() -> None:
    queue = InFlightQueue()
    one = item()
    assert queue.is_stale(one, of=""), "it is not on its way any more"
    queue.add(one)
    assert not queue.is_stale(one, of="")
    assert queue.is_stale(one, of="hub"), "any platform may get it now"
    one.backing_off = True
    assert queue.is_stale(one, of="")
    one.backing_off, one.session = False, session()
    assert queue.is_stale(one, of=""), "it was sent"
    one.session, one.held_by = None, "hub"
    assert not queue.is_stale(one, of="hub")


def test_a_later_one_of_the_same_instruction_is_another() -> None:
    queue = InFlightQueue()
    first, second = item(), item()
    queue.add(first)
    assert queue.holds(first)
    assert not queue.holds(second)
    queue.remove(first)
    queue.add(second)
    assert not queue.holds(first)
    assert queue.get("i-1") is second
    assert len(queue) == 1


def test_removing_what_is_not_there_does_nothing() -> None:
    queue = InFlightQueue()
    queue.remove(item())
    assert len(queue) == 0
    assert queue.get("i-1") is None


def test_overdue_is_what_is_past_its_deadline() -> None:
    queue = InFlightQueue()
    for number, deadline_ms in enumerate((NOW_MS - 1, NOW_MS, NOW_MS + 1)):
        queue.add(item(number, deadline_ms=deadline_ms))
    assert [one.instruction.id for one in queue.overdue(NOW_MS)] == ["i-0"]


def test_the_tally_says_where_instructions_are() -> None:
    queue = InFlightQueue()
    assert queue.tally(NOW_MS).oldest_ms == NOW_MS
    sent, waits, backs_off = (item(number, deadline_ms=NOW_MS + number) for number in (1, 2, 3))
    sent.session = session("hub")
    backs_off.backing_off = True
    for one in (sent, waits, backs_off):
        queue.add(one)
    tally = queue.tally(NOW_MS + 3)
    assert tally.states == {"sent": 1, "waiting": 1, "backing_off": 1}
    assert tally.overdue == 2
    assert tally.oldest_ms == RING.decided_at_ms


def test_a_tenant_has_half_of_the_room_and_who_has_little_always_has_some() -> None:
    queue = InFlightQueue(200)
    assert queue.room("acme") == 100
    items = [item(number) for number in range(100)]
    for one in items[:68]:
        queue.add(one)
    assert (queue.room("acme"), queue.room("other")) == (32, 100)
    for one in items[68:]:
        queue.add(one)
    assert (queue.room("acme"), queue.room("other")) == (0, 100)
    for number in range(100, 200):
        queue.add(replaced_tenant(item(number), "likewise"))
    assert (queue.room("acme"), queue.room("likewise"), queue.room("other")) == (0, 0, 64)
    for one in items[:80]:
        queue.remove(one)
    assert (queue.room("acme"), queue.room("likewise")) == (80, 0)
    queue.remove(items[0])  # it is not there any more
    assert queue.room("acme") == 80


def replaced_tenant(item: InFlight, tenant: str) -> InFlight:
    item.instruction = replace(item.instruction, tenant=tenant)
    return item
