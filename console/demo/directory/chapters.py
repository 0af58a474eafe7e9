"""The chapters in their order; each builds on those before it."""

from __future__ import annotations

from console.demo.directory.buying import buy
from console.demo.directory.calling import call
from console.demo.directory.composing import compose
from console.demo.directory.demo_stack import DemoStack
from console.demo.directory.devices import recognise
from console.demo.directory.inviting import invite
from console.demo.directory.moving import move
from console.demo.directory.proving import prove_and_show
from console.demo.directory.signing_up import sign_up
from console.demo.directory.story import Story
from console.demo.directory.writing import write

CHAPTERS = (1, 2, 3, 4, 5, 6, 7, 8, 9)


def tell_chapters(story: Story, stack: DemoStack, *, last: int) -> None:
    """Up to the one of this number; 0: all. Raises CommandFailed, HomeportError."""
    with story.chapter(1, "One name, one account"):
        ben = sign_up(story, stack)
    if last == 1:
        return
    with story.chapter(2, "Proved, found, and seen as she wants"):
        prove_and_show(story, stack, ben)
    if last == 2:
        return
    with story.chapter(3, "Whose an address is, and whom an invitation reaches"):
        invite(story, stack)
    if last == 3:
        return
    with story.chapter(4, "As whom, and where to"):
        compose(story, stack, ben)
    if last == 4:
        return
    with story.chapter(5, "One message, and where it arrives"):
        launch = write(story, stack, ben)
    if last == 5:
        return
    with story.chapter(6, "A program at a handle"):
        shop = buy(story, stack)
    if last == 6:
        return
    with story.chapter(7, "Calls that show nobody's number"):
        call(story, stack)
    if last == 7:
        return
    with story.chapter(8, "Which browser is on which device"):
        recognise(story, stack)
    if last == 8:
        return
    with story.chapter(9, "A unit is emptied, and nothing changes"):
        move(story, stack, launch, shop)
