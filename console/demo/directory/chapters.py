"""The chapters in their order; each builds on those before it."""

from __future__ import annotations

from console.demo.directory.demo_stack import DemoStack
from console.demo.directory.signing_up import sign_up
from console.demo.directory.story import Story

CHAPTERS = (1,)


def tell_chapters(story: Story, stack: DemoStack, *, last: int) -> None:
    """Up to the one of this number; 0: all. Raises CommandFailed, HomeportError."""
    with story.chapter(1, "One name, one account"):
        sign_up(story, stack)
