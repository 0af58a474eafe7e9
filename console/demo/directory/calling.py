"""Chapter 7: Anna and Ben call and text each other, and neither learns the other's number.

Both telephones are behind one operator's gateway, which any unit takes calls from. Anna's first
call goes in at her own unit, Ben's at the other one, which asks hers.
"""

from __future__ import annotations

import os
import signal

from console.cli.calls.numbers import NumberCalls
from console.cli.calls.telephony import TelephonyCalls
from console.demo.directory.demo_stack import ANNAS_NUMBER, BENS_NUMBER, DemoStack
from console.demo.directory.gateway import holds
from console.demo.directory.story import Story
from console.local.stack_plan import SERVER
from homeport.api.directory.v1 import number_pb2

VIRTUAL, TECHNICAL = "+442079460101", "+442079460201"
_VIRTUAL = number_pb2.NUMBER_KIND_VIRTUAL
_TECHNICAL = number_pb2.NUMBER_KIND_TECHNICAL


def call(story: Story, stack: DemoStack) -> None:
    """Tells it."""
    with NumberCalls(stack.target) as numbers:
        numbers.add("people", _VIRTUAL, [VIRTUAL])
        numbers.add("contacts", _TECHNICAL, [TECHNICAL])
        numbers.assign("anna", "people", "")
    home = stack.client.provision("anna")
    with TelephonyCalls.at(stack.target, home) as calls:
        link = calls.link(BENS_NUMBER, "GB")
    story.check(
        f"the service has two numbers: [bold]{VIRTUAL}[/] stands for Anna towards everybody, "
        f"[bold]{TECHNICAL}[/] for Ben towards her",
        TECHNICAL,
        link.technical,
    )
    servers = stack.local.addresses("sip")
    hers = servers[home.unit_id]
    other = next(at for unit, at in servers.items() if unit != home.unit_id)
    _there(story, stack, hers)
    _back(story, stack, other)
    _texts(story, stack, hers, other)
    _recorded(story, stack)
    _emergency(story, stack, hers)


def again(story: Story, stack: DemoStack) -> None:
    """In short, once Anna has moved: by either unit, as before."""
    gateway = stack.gateway
    home = stack.client.provision("anna").unit_id
    servers = stack.local.addresses("sip")
    former = next(at for unit, at in servers.items() if unit != home)
    shown, held = [], []
    for server, caller, dialled, hidden in (
        (former, ANNAS_NUMBER, TECHNICAL, ANNAS_NUMBER),
        (servers[home], BENS_NUMBER, VIRTUAL, BENS_NUMBER),
    ):
        made = gateway.call(server, caller, dialled)
        rung = gateway.telephones.rung[-1]
        gateway.hang_up(made)
        shown.append((made.statuses[-1], rung.shown))
        held.append(holds(gateway.seen(rung.call_id), hidden))
    story.check(
        "she calls Ben and he calls back, each by the other unit than before: both telephones "
        "ring, and show what they did",
        [[(200, VIRTUAL), (200, TECHNICAL)], [False, False]],
        [shown, held],
    )


def _there(story: Story, stack: DemoStack, server: str) -> None:
    gateway = stack.gateway
    made = gateway.call(server, ANNAS_NUMBER, TECHNICAL)
    rung = gateway.telephones.rung[-1]
    story.check(
        "Anna dials Ben's: his telephone rings, and shows hers of the service",
        [[100, 180, 200], VIRTUAL],
        [made.statuses, rung.shown],
    )
    gateway.hang_up(made)
    story.check(
        "nothing that his side was sent holds her number, and nothing of hers his",
        [False, False],
        [
            holds(gateway.seen(rung.call_id), ANNAS_NUMBER, TECHNICAL),
            holds(gateway.seen(made.call_id), BENS_NUMBER, VIRTUAL),
        ],
    )
    story.figure("sip_messages", len(gateway.telephones.got))


def _back(story: Story, stack: DemoStack, server: str) -> None:
    gateway = stack.gateway
    made = gateway.call(server, BENS_NUMBER, VIRTUAL)
    rung = gateway.telephones.rung[-1]
    story.check(
        "he calls back by the other unit: hers rings, and shows Ben's number of the service",
        [[100, 180, 200], TECHNICAL],
        [made.statuses, rung.shown],
    )
    gateway.hang_up(made)
    story.check(
        "again neither was sent the other's",
        [False, False],
        [
            holds(gateway.seen(rung.call_id), BENS_NUMBER, VIRTUAL),
            holds(gateway.seen(made.call_id), ANNAS_NUMBER, TECHNICAL),
        ],
    )


def _texts(story: Story, stack: DemoStack, hers: str, other: str) -> None:
    gateway = stack.gateway
    statuses = [
        gateway.text(hers, ANNAS_NUMBER, TECHNICAL, "Coming?"),
        gateway.text(other, BENS_NUMBER, VIRTUAL, "Yes"),
    ]
    story.check(
        "both text, the same way",
        [[200, 200], [(VIRTUAL, "Coming?")], [(TECHNICAL, "Yes")], False, False],
        [
            statuses,
            gateway.telephones.texts.get(BENS_NUMBER),
            gateway.telephones.texts.get(ANNAS_NUMBER),
            holds(gateway.texts_seen(BENS_NUMBER), ANNAS_NUMBER),
            holds(gateway.texts_seen(ANNAS_NUMBER), BENS_NUMBER),
        ],
    )


def _recorded(story: Story, stack: DemoStack) -> None:
    """Once it was brought to her unit."""
    with TelephonyCalls.at(stack.target, stack.client.provision("anna")) as calls:
        kept = stack.until(
            "the calls to be recorded",
            lambda: found if len(found := calls.calls(10)) >= 4 else None,
        )
    story.check("her unit has all four on record", 4, len(kept))
    story.check(
        "without Ben's number in any of them", False, holds([str(kept).encode()], BENS_NUMBER)
    )


def _emergency(story: Story, stack: DemoStack, server: str) -> None:
    pid = stack.local.pids[SERVER]
    os.kill(pid, signal.SIGSTOP)  # directory and store answer nobody
    try:
        made = stack.gateway.call(server, ANNAS_NUMBER, "112")
        rung = stack.gateway.telephones.rung[-1]
        story.check(
            "directory and store stand still, and she dials 112: passed on, with her number",
            [200, ANNAS_NUMBER],
            [made.statuses[-1], rung.shown],
        )
        stack.gateway.hang_up(made)
    finally:
        os.kill(pid, signal.SIGCONT)
