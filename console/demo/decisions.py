"""`make demo-decisions`: a morning in which traffic, frost and a calendar change what happens.

Three producers and three consumers that know nothing of each other, two platforms, real
sandboxes; what the applications did is read from their recorded outcomes. The clock alone is
simulated, and the story says so.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from rich.console import Console

from console.cli.failure import CommandFailed, failure_of, report
from console.cli.markup import escape
from console.cli.output import busy, console_for_people
from console.cli.views.decisions import explanation_view, instruction_document
from console.demo.decisions_stack import TENANT, DecisionsStack
from homeport.api.datasharing.v1 import decision_pb2, plan_pb2

ZONE = ZoneInfo("Europe/Berlin")
MONDAY, TUESDAY = "2026-11-30", "2026-12-01"


def at(day: str, time: str) -> int:
    """Local time as Unix ms."""
    return int(datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=ZONE).timestamp() * 1000)


def clock(at_ms: float) -> str:
    """Unix ms as local time of day."""
    return datetime.fromtimestamp(at_ms / 1000, ZONE).strftime("%H:%M")


class Story:
    """Tells what happens, and fails where it is not what should."""

    def __init__(self, stack: DecisionsStack, out: Console) -> None:
        self.stack = stack
        self.out = out

    def chapter(self, title: str) -> None:
        self.out.print(f"\n[bold cyan]{title}[/]")

    def tell(self, text: str) -> None:
        self.out.print(f"[dim]{clock(self.stack.clock.now_ms())}[/]  {text}")

    def show_plan(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """The plan's next occurrence; its actions: when, and with which configuration."""
        plan = self.stack.plan()
        actions = _actions(plan)
        moved = f"{clock(plan.next.effective_time.ToMilliseconds())}"
        said = ", ".join(
            f"{name} {when} {escape(str(config))}" for name, (when, config) in actions.items()
        )
        state = "[red]cancelled[/]" if plan.next.cancelled else f"work at {moved}"
        self.tell(f"plan [bold]work[/]: {state}; {said}")
        return actions

    def explain(self, position: int) -> decision_pb2.ExplainDecisionResponse:
        """Why an event led to what it did."""
        with self.stack.calls() as calls:
            event = decision_pb2.EventName(position=position)
            answer = calls.explain(TENANT, event=event)
        self.out.print(explanation_view(answer))
        return answer

    def show_performed(self, one: decision_pb2.Instruction) -> None:
        document = instruction_document(one)
        outcome = document["outcome"]
        said = (outcome["output"] or {}).get("said") or outcome["message"]
        self.tell(
            f"[green]✓[/] {one.application} on {outcome['platform']}: [bold]{escape(said)}[/] "
            f"[dim]{outcome['status']}, {escape(str(document['configuration']))}[/]"
        )


def _actions(plan: plan_pb2.Plan) -> dict[str, tuple[str, dict[str, Any]]]:
    return {
        one.name: (
            clock(one.due_time.ToMilliseconds()),
            json.loads(one.config_json),
        )
        for one in plan.next.actions
    }


def expect(what: str, expected: object, actual: object) -> None:
    """Raises CommandFailed: a story that is not true is not told."""
    if expected != actual:
        raise CommandFailed(f"{what}: expected {expected}, and it is {actual}")


def run_scenario(stack: DecisionsStack, out: Console) -> None:
    """The whole scenario. Raises CommandFailed where something is not as it should be."""
    story = Story(stack, out)
    story.chapter("Monday: the plan as Anna made it")
    planned = story.show_plan()
    expect("the alarm", "07:30", planned["wake-up"][0])

    story.chapter("Traffic is as always, then slow")
    for minutes, speed in ((31, 52), (33, 49)):
        calm = stack.publish(
            "traffic",
            "city.traffic.speed",
            {"route": "route-7", "speed_kmh": speed, "minutes": minutes},
        )
        story.tell(f"traffic says: route 7 takes {minutes} minutes, {speed} km/h")
    story.tell("why nothing happens:")
    story.explain(calm)
    slow = calm
    for minutes, speed in ((64, 18), (71, 15)):
        slow = stack.publish(
            "traffic",
            "city.traffic.speed",
            {"route": "route-7", "speed_kmh": speed, "minutes": minutes},
        )
        story.tell(f"traffic says: route 7 takes {minutes} minutes, {speed} km/h")
    story.tell("the forecast rises, and everything moves 20 minutes earlier:")
    story.explain(slow)
    moved = story.show_plan()
    expect(
        "all three actions move",
        {"wake-up": "07:10", "coffee": "07:20", "heating": "07:55"},
        {name: when for name, (when, _) in moved.items()},
    )

    story.chapter("Frost")
    frost = stack.publish("weather", "city.weather.now", {"place": "berlin", "temperature_c": -6})
    story.tell("weather says: −6 °C in Berlin")
    story.explain(frost)
    colder = story.show_plan()
    expect("the heating", {"minutes": 20}, colder["heating"][1])

    if stack.has_two_workers:
        story.chapter("The worker that decides is killed (-9)")
        stack.kill_worker()
        story.tell("the other one has the partition now, with all that was decided")
        kept = story.show_plan()
        expect("the plan", colder, kept)

    story.chapter("The morning comes (the clock jumps; nothing else is simulated)")
    for count, (name, when) in enumerate(
        (("wake-up", "07:10"), ("coffee", "07:20"), ("heating", "07:55")), start=1
    ):
        stack.clock.go_to(at(MONDAY, when))
        done = stack.performed(count)
        story.show_performed(done[-1])
        expect(f"{name} is done", count, len(done))
    done = stack.performed(3)
    expect(
        "who did what",
        [("alarm", "bedside-hub"), ("coffee", "bedside-hub"), ("heating", "car")],
        [(one.application, one.outcome.platform) for one in done],
    )
    heated = instruction_document(done[2])
    expect("the car was heated for", 20, heated["outcome"]["output"]["minutes"])
    story.tell("the car's instruction names what changed the plan, and which events did:")
    for field, change in heated["modification"].items():
        out.print(f"       {field} = {change['value']} [dim]by {escape(change['by'])}[/]")
    causes = ", ".join(f"{one['source']} {one['id']}" for one in heated["causes"])
    out.print(f"       [dim]because of {escape(causes)}[/]")

    story.chapter("Tuesday: the calendar cancels")
    stack.clock.go_to(at(TUESDAY, "06:00"))
    day_off = stack.publish(
        "calendar", "user.calendar.entry", {"title": "work", "cancelled": True}, subject="anna"
    )
    story.tell("calendar says: work is cancelled")
    story.explain(day_off)
    story.show_plan()
    stack.clock.go_to(at(TUESDAY, "09:30"))
    # The next traffic event is decided after the timers of this moment had their turn.
    stack.until("Wednesday's plan", lambda: stack.plan().next.planned_time.seconds
                  == at("2026-12-02", "09:00") // 1000)  # fmt: skip
    expect("instructions in all", 3, len(stack.instructions()))
    story.tell("nothing rang, brewed or heated")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--output", type=Path, default=Path("demo-output/decisions"))
    arguments.add_argument(
        "--feeds", choices=("", "nats"), default="", help="nats: two workers, one of them killed"
    )
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    out = console_for_people()
    try:
        with busy("preparing") as now_doing:
            stack = DecisionsStack(
                options.output,
                starts_at_ms=at(MONDAY, "06:00"),
                on_step=lambda step: now_doing(f"{step} …"),
                feeds=options.feeds,
            )
            stack.__enter__()
        try:
            out.print(
                "[bold]A morning, decided[/]\n"
                "A server, two platforms (a bedside hub and a car) and six applications run as "
                "processes and\nsandboxes of this machine. Their clock is simulated: it starts on "
                "a Monday at 06:00 in Berlin and\njumps where a person would wait."
            )
            run_scenario(stack, out)
        finally:
            with busy("stopping"):
                stack.__exit__()
        out.print("\n[bold green]Everything happened as decided.[/]")
    except BaseException as error:  # raised again where it is not one of ours
        failure = None if isinstance(error, SystemExit) else failure_of(error)
        if failure is None:
            raise
        report(failure)
        return failure.code
    return 0


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
