"""Uncollected imports: while a program imports its modules, Python's cycle collector rests.

Modules, classes and functions stay for as long as the program does, and by default the collector
looks through all there are several times while they are made: a sixth of the processor time that a
server takes to import what it is made of.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected_imports() -> Iterator[None]:
    """What is made in it is never looked through, later neither: for the `__main__` of a program,
    around its imports."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
